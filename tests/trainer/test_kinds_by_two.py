"""Two processes train each kind, on features and with a context, as one does, to rounding."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from child import last_words, start_child
from forms import FEATURES, LETTERS, model_of
from kinds import data_of

from seqexp.data import Batch
from seqexp.spec import IGNORE, Output
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes, joined
from seqexp.trainer.loop import fit
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.training import Training

CASES: list[tuple[Output, str, str | None, int | None, dict[str, Any]]] = [
    (Output.SEQUENCE_CLASS, LETTERS, FEATURES, None, {}),
    (Output.MULTI_LABEL, FEATURES, None, None, {}),
    (Output.REGRESSION, LETTERS, None, None, {}),
    (Output.TOKEN_CLASS, FEATURES, LETTERS, None, {}),
    (Output.NEXT_TOKEN, LETTERS, LETTERS, 3, {}),
    (Output.NEXT_TOKEN, LETTERS, None, 3, {"output": "adaptive"}),
    (Output.NEXT_TOKEN, LETTERS, None, 3, {"output": "sampled", "tied": True, "embedding_size": 4}),
]


def curves(processes: Processes) -> list[dict[str, float]]:
    """The metrics of two epochs and of the test, case by case."""
    found = []
    for output, made_of, context, k1, keys in CASES:
        data = data_of(output, made_of, context)
        model = model_of("lstm", data.spec, **keys).float()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        constant = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        given = Settings(epochs=2, batch_size=5, bptt=BPTT(k1), log_every_steps=None)
        device, task = torch.device("cpu"), of(data.spec)
        more = {"processes": processes}
        training = Training(model, optimizer, constant, given, 0, device, task, **more)
        found += [report.metrics for report in fit(training, data) if report.metrics]
    return [
        {k: v for k, v in metrics.items() if not k.startswith(("time/", "speed/"))}
        for metrics in found
    ]


def train(file: Path, environment: dict[str, str]) -> int:
    """One of two processes, as torchrun starts them."""
    os.environ |= environment
    torch.set_num_threads(1)
    with joined(use_gpu=False) as processes:
        found = curves(processes)
        if processes.is_first:
            torch.save(found, file)
    return 0


def test_two_processes_have_the_curves_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    said, file = tmp_path / "said.log", tmp_path / "curves.pt"
    children = [
        start_child(said, train, file, {**address, "RANK": rank, "LOCAL_RANK": rank})
        for rank in ("0", "1")
    ]
    alone = curves(Processes())
    for child in children:
        child.join(120)
        assert child.exitcode == 0, last_words(said)
    together = torch.load(file)
    assert len(alone) == len(together) == 3 * len(CASES)
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("output", [Output.REGRESSION, Output.MULTI_LABEL])
def test_a_share_keeps_contexts_and_what_is_no_position(output: Output) -> None:
    (batch,) = data_of(output, LETTERS, FEATURES).train.batches(100)
    assert batch.context is not None
    shares = [Processes(rank, 2).share(batch) for rank in (0, 1)]
    assert sum(share.num_scored() for share in shares) == batch.num_scored()
    for rank, share in enumerate(shares):
        assert share.context is not None and not share.per_position
        assert torch.equal(share.context.nan_to_num(0), batch.context[rank::2].nan_to_num(0))
    one: Any = Batch(
        batch.tokens[:1], batch.targets[:1], context=batch.context[:1], per_position=False
    )
    empty = Processes(1, 2).share(one)
    assert empty.num_scored() == 0 and len(empty.context) == 1
    assert empty.targets.is_floating_point() or int(empty.targets[0, 0]) == IGNORE
