"""Truncated backpropagation through time against its definition."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch

from seqexp.data import Batch, Data, Sequences
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.model.rnn import RNN
from seqexp.model.stacked_rnn import StackedRNN
from seqexp.optimizer.schedule import constant
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary
from seqexp.task.kinds import of
from seqexp.trainer.loop import fit, train_batch
from seqexp.trainer.settings import BPTT, Settings
from seqexp.trainer.training import Place, Training

CPU = torch.device("cpu")
SPEC = TaskSpec(Vocabulary(tuple("abcdefgh")), 9, Output.NEXT_TOKEN, tuple("-abcdefgh"))


def text(rows: int, time: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 9, (rows, time + 1), generator=generator)
    return ids[:, :-1].clone(), ids[:, 1:].clone()


def training(model: Any, k1: int | None = None, k2: int | None = None, **kw: Any) -> Training:
    model, spec = model.double(), kw.pop("spec", SPEC)
    optimizer = torch.optim.SGD(model.parameters(), lr=kw.pop("lr", 0.5))
    settings = Settings(bptt=BPTT(k1, k2), log_every_steps=None, **kw)
    return Training(model, optimizer, constant(optimizer), settings, 0, CPU, of(spec))


def made(kind: Any = RNN, **settings: Any) -> Any:
    torch.manual_seed(0)
    return kind(SPEC, embedding_size=6, hidden_size=10, **settings)


def weights(of: Training) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in of.model.parameters()])


MODELS = [(RNN, {}), (LSTM, {}), (StackedRNN, {"cell": "gru", "num_layers": 2})]


@pytest.mark.parametrize(("kind", "settings"), MODELS)
@pytest.mark.parametrize(("k1", "k2"), [(30, 30), (30, None), (31, 100), (1000, 1000)])
def test_windows_as_long_as_the_sequence_equal_full_bptt_to_the_bit(
    kind: Any, settings: dict[str, Any], k1: int, k2: int | None
) -> None:
    tokens, targets = text(6, 30)
    split = Sequences(tokens, targets)
    data = Data(SPEC, split, split, split)
    full = training(made(kind, **settings), epochs=2, batch_size=4)
    cut = training(made(kind, **settings), k1, k2, epochs=2, batch_size=4)
    reports = [
        [r.metrics["train/loss_nats"] for r in fit(run, data) if r.kind == "epoch"]
        for run in (full, cut)
    ]
    assert torch.equal(weights(full), weights(cut))
    assert reports[0] == reports[1]


@pytest.mark.parametrize(("kind", "settings"), MODELS)
@pytest.mark.parametrize(
    ("k1", "k2"), [(5, 5), (5, 10), (5, 7), (3, 20), (1, 4), (7, 8), (4, 1000)]
)
def test_updates_equal_a_naive_loop_that_keeps_the_last_k2_inputs(
    kind: Any, settings: dict[str, Any], k1: int, k2: int
) -> None:
    """The loop below keeps every state it ever saw, by position, as a value."""
    tokens, targets = text(3, 23)
    ours = training(made(kind, **settings), k1, k2)
    list(train_batch(ours, Place(), Batch(tokens, targets), 1))

    naive = training(made(kind, **settings))
    states: dict[int, Any] = {0: None}
    for begin in range(0, 23, k1):
        end = min(begin + k1, 23)
        start = max(0, end - k2)
        state, losses = states[start], []
        for position in range(start, end):
            logits, state = naive.model(tokens[:, position : position + 1], state)
            if position >= begin:
                target = targets[:, position]
                losses.append(
                    torch.nn.functional.cross_entropy(logits[:, 0], target, reduction="sum")
                )
            states[position + 1] = tuple(tensor.detach() for tensor in state)
        loss = torch.stack(losses).sum() / (3 * k1)
        naive.optimizer.zero_grad()
        loss.backward()
        naive.optimizer.step()
    torch.testing.assert_close(weights(ours), weights(naive), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("k1", "k2"), [(4, 4), (4, 8), (4, 6), (5, 5), (5, 6), (2, 12), (12, 12)])
def test_a_gradient_goes_back_exactly_k2_tokens(k1: int, k2: int) -> None:
    """Only the last token is scored; each token of the text has an embedding of its own."""
    time = 12
    spec = TaskSpec(
        Vocabulary(tuple("abcdefghijkl")), 13, Output.NEXT_TOKEN, tuple("-abcdefghijkl")
    )
    torch.manual_seed(0)
    model = RNN(spec, embedding_size=6, hidden_size=10).double()
    tokens = torch.arange(1, time + 1)[None]
    targets = torch.full((1, time), IGNORE)
    targets[0, -1] = 3
    run = training(model, k1, k2)
    list(train_batch(run, Place(), Batch(tokens, targets), 1))
    assert run.step == 1
    moved = model.input.table.grad.abs().sum(dim=1)[1:] > 0
    assert moved.tolist() == [False] * (time - k2) + [True] * k2


def test_a_short_last_window_counts_as_its_tokens_do() -> None:
    """Filters of width 1 know no past, so that windows are independent: 4 + 4 + 2 tokens."""
    tokens, targets = text(5, 10)
    steps = []
    for k1 in (None, 4):
        torch.manual_seed(0)
        run = training(CNN1D(SPEC, num_filters=3, filter_width=1), k1, lr=1e-9)
        before = weights(run)
        list(train_batch(run, Place(), Batch(tokens, targets), 1))
        steps.append((weights(run) - before) / 1e-9)
    torch.testing.assert_close(steps[1], steps[0] * 10 / 4, rtol=1e-4, atol=1e-6)


def saved_bytes(time: int, k1: int, k2: int) -> int:
    """The largest sum of what an update saves for its gradient."""
    tokens, targets = text(2, time)
    run = training(made(LSTM), k1, k2)
    sizes = [0]

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        sizes[-1] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for _ in train_batch(run, Place(), Batch(tokens, targets, is_stream=True), 1):
            sizes.append(0)
    return max(sizes)


def test_memory_grows_with_k2_and_not_with_the_length_of_the_stream() -> None:
    assert saved_bytes(100, 5, 10) == saved_bytes(400, 5, 10)
    assert saved_bytes(400, 5, 20) > 1.5 * saved_bytes(400, 5, 10)


def test_the_state_is_carried_between_windows_and_forgotten_between_batches() -> None:
    """Evaluated in windows, a text has the same score; its second half alone has another."""
    from seqexp.trainer.score import evaluate

    model = made(LSTM).double()
    tokens, targets = text(3, 40)
    whole = evaluate(model, of(SPEC), [Batch(tokens, targets)])
    windows = evaluate(model, of(SPEC), [Batch(tokens, targets)], window=7)
    assert windows.nats == pytest.approx(whole.nats, rel=1e-12)
    halves = [Batch(tokens[:, :20], targets[:, :20]), Batch(tokens[:, 20:], targets[:, 20:])]
    assert evaluate(model, of(SPEC), halves).nats != pytest.approx(whole.nats, rel=1e-9)


def test_a_classified_sequence_is_updated_once_where_it_ends() -> None:
    spec = TaskSpec(Vocabulary(tuple("abcdefgh")), 2, Output.SEQUENCE_CLASS, ("x", "y"))
    tokens, _ = text(4, 12)
    tokens[0, 5:] = 0  # ends in the second window of four
    labels = torch.tensor([[0], [1], [1], [0]])
    torch.manual_seed(0)
    run = training(LSTM(spec, hidden_size=5), 4, 4, spec=spec)
    updates = list(train_batch(run, Place(), Batch(tokens, labels), 1))
    assert [update.score.count for update in updates] == [0, 1, 3]
    assert run.step == 2
    assert sum(update.tokens for update in updates) == 48


def test_windows_without_a_target_are_no_points_of_a_curve() -> None:
    spec = TaskSpec(Vocabulary(tuple("abcdefgh")), 2, Output.SEQUENCE_CLASS, ("x", "y"))
    tokens, _ = text(4, 12)
    split = Sequences(tokens, torch.tensor([[0], [1], [1], [0]]))
    run = training(LSTM(spec, hidden_size=5), 4, 4, spec=spec, epochs=2)
    run.settings = replace(run.settings, log_every_steps=1)
    steps = [r.step for r in fit(run, Data(spec, split, split, split)) if r.kind == "step"]
    assert steps == [1, 2]


def test_gradients_of_a_label_reach_over_the_whole_sequence_if_k2_does() -> None:
    spec = TaskSpec(Vocabulary(tuple("abcdefgh")), 2, Output.SEQUENCE_CLASS, ("x", "y"))
    tokens, _ = text(4, 12)
    labels = torch.tensor([[0], [1], [1], [0]])
    runs = []
    for k1, k2 in ((None, None), (5, 15)):
        torch.manual_seed(0)
        runs.append(training(LSTM(spec, hidden_size=5), k1, k2, spec=spec))
        list(train_batch(runs[-1], Place(), Batch(tokens, labels), 1))
        assert runs[-1].step == 1
    torch.testing.assert_close(weights(runs[0]), weights(runs[1]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("is_stream", "expected"), [(False, 1), (True, 4)])
def test_masks_are_one_draw_a_sequence_and_one_an_update_of_a_stream(
    is_stream: bool, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    real = torch.bernoulli

    def bernoulli(*arguments: Any) -> torch.Tensor:
        drawn.append(real(*arguments))
        return drawn[-1]

    monkeypatch.setattr("torch.bernoulli", bernoulli)
    tokens, targets = text(3, 20)
    run = training(made(LSTM, recurrent_dropout=0.5), 5, 5)
    run.model.train()
    list(train_batch(run, Place(), Batch(tokens, targets, is_stream), 1))
    assert len(drawn) == 4
    different = {tuple(mask.flatten().tolist()) for mask in drawn}
    assert len(different) == expected


def test_parts_of_a_batch_put_together_are_the_batch() -> None:
    tokens, targets = text(2, 11)
    batch = Batch(tokens, targets)
    for cuts in ([0, 11], [0, 3, 4, 11]):
        parts = [batch.part(a, b) for a, b in itertools.pairwise(cuts)]
        assert torch.equal(torch.cat([part.tokens for part in parts], dim=1), tokens)
        assert torch.equal(torch.cat([part.targets for part in parts], dim=1), targets)
    scored = batch.part(2, 9, scored_from=5)
    assert (scored.targets[:, :3] == IGNORE).all()
    assert torch.equal(scored.targets[:, 3:], targets[:, 5:9])
