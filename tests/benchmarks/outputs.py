"""What the output of a word model costs: tokens a second of full, adaptive and sampled softmax.

An LSTM(256) over vectors of 256, 30,000 words of Zipf's frequencies, updates of 32 x 35 words, on
one thread. All outputs take turns in one process. Ratios of CPU time within a turn against the full
softmax: median and quartiles. `tied` shares the vectors of input and output; with lazy Adam, rows
that no word of an update needs are not stepped.

python -m tests.benchmarks.outputs [TURNS] [fp32|bf16]
"""

import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor

from seqexp.build import keep_freed_memory, step_lazily
from seqexp.data import Batch
from seqexp.model.lstm import LSTM
from seqexp.optimizer.lazy_adam import LazyAdam
from seqexp.spec import Output, TaskSpec, Vocabulary
from seqexp.task.kinds import of
from seqexp.trainer.distributed import Processes
from seqexp.trainer.settings import Settings
from seqexp.trainer.training import Training, Work
from seqexp.trainer.update import update

WORDS, SIZE, BATCH, TIME = 30_000, 256, 32, 35
SYMBOLS = tuple(str(word) for word in range(WORDS - 1))
SPEC = TaskSpec(Vocabulary(SYMBOLS), WORDS, Output.NEXT_TOKEN, SYMBOLS)

EXPONENT = 1.0
"""Of the frequencies by rank."""

OUTPUTS: dict[str, tuple[dict[str, Any], bool]] = {
    "full": ({}, False),
    "full, tied": ({"tied": True}, False),
    "full, lazy Adam": ({}, True),
    "adaptive": ({"output": "adaptive"}, False),
    "sampled": ({"output": "sampled"}, False),
    "adaptive, lazy Adam": ({"output": "adaptive"}, True),
    "sampled, lazy Adam": ({"output": "sampled"}, True),
    "sampled, tied, lazy Adam": ({"output": "sampled", "tied": True}, True),
}
"""Keys of the model, and whether its tables are stepped lazily."""


def words(seed: int) -> Batch:
    """An update's words, and those after them."""
    generator = torch.Generator().manual_seed(seed)
    frequencies = torch.arange(1, WORDS).double() ** -EXPONENT
    drawn = torch.multinomial(frequencies, BATCH * (TIME + 1), True, generator=generator)
    ids: Tensor = drawn.view(BATCH, TIME + 1) + 1
    return Batch(ids[:, :-1], ids[:, 1:], per_position=True)


def training(name: str, precision: Any) -> Training:
    """As a run has it."""
    keys, is_lazy = OUTPUTS[name]
    torch.manual_seed(0)
    model = LSTM(SPEC, embedding_size=SIZE, hidden_size=SIZE, **keys)
    weights = list(model.parameters())
    optimizer: Any = LazyAdam(weights) if is_lazy else torch.optim.Adam(weights, fused=True)
    if is_lazy:
        step_lazily(optimizer, model, Processes())
    constant = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
    settings = Settings(precision=precision)
    return Training(model, optimizer, constant, settings, 0, torch.device("cpu"), of(SPEC))


def seconds(going: Training, batch: Batch, masks: int) -> float:
    """CPU seconds of an update."""
    count = BATCH * TIME
    began = time.process_time()
    update(Work(going, [batch], None, count, float(count), masks, "here"))
    return time.process_time() - began


def main(turns: int, precision: str) -> None:
    """Print a line an output."""
    torch.set_num_threads(1)
    keep_freed_memory()
    trainings = {name: training(name, precision) for name in OUTPUTS}
    found: dict[str, list[float]] = {name: [] for name in OUTPUTS}
    for turn in range(turns + 2):  # the first two warm up
        for name, going in trainings.items():
            taken = seconds(going, words(turn), turn)
            if turn > 1:
                found[name].append(taken)
    print(f"{'':26}{'tokens a second':>16}   times the full softmax (quartiles), {precision}")
    for name, values in found.items():
        ratios = [full / ours for full, ours in zip(found["full"], values, strict=True)]
        low, _, high = statistics.quantiles(ratios, n=4)
        rate = BATCH * TIME / statistics.median(values)
        shown = f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})"
        print(f"{name:26}{rate:16,.0f}   {shown}")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 12,
        sys.argv[2] if len(sys.argv) > 2 else "fp32",
    )
