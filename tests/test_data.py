"""How a split is cut into batches."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from seqexp import data
from seqexp.data import Batch, Data, Sequences
from seqexp.spec import (
    IGNORE,
    NO_SYMBOLS,
    PAD,
    Features,
    Output,
    Scoring,
    TaskSpec,
    Vocabulary,
)


def of_lengths(lengths: list[int], pad: str = "right") -> Sequences:
    """Row i holds the id i + 1, so often; its label is i."""
    width = max(lengths)
    tokens = torch.full((len(lengths), width), PAD)
    for row, length in enumerate(lengths):
        place = slice(0, length) if pad == "right" else slice(width - length, width)
        tokens[row, place] = row + 1
    return Sequences(tokens, torch.arange(len(lengths))[:, None])


@pytest.mark.parametrize("pad", ["right", "left"])
def test_sequences_of_like_length_come_together_without_shared_padding(pad: str) -> None:
    split = of_lengths([3, 9, 1, 8, 2, 7], pad)
    batches = list(split.batches(2, length_pool=3))  # one pool of all six
    assert [batch.targets[:, 0].tolist() for batch in batches] == [[2, 4], [0, 5], [3, 1]]
    assert [batch.tokens.shape[1] for batch in batches] == [2, 7, 9]
    for batch in batches:
        for row, label in zip(batch.tokens, batch.targets[:, 0], strict=True):
            whole = split.tokens[label]
            assert row[row != PAD].tolist() == whole[whole != PAD].tolist()


def test_only_sequences_of_a_pool_are_sorted_together() -> None:
    split = of_lengths([9, 8, 7, 6, 1, 2, 3, 4])
    batches = list(split.batches(2, length_pool=2))
    assert [b.targets[:, 0].tolist() for b in batches] == [[3, 2], [1, 0], [4, 5], [6, 7]]


def test_pooled_batches_hold_all_once_in_an_order_of_the_seed() -> None:
    split = of_lengths([(7 * i) % 13 + 1 for i in range(50)])
    orders = [
        [label for b in split.batches(8, seed, length_pool=3) for label in b.targets[:, 0].tolist()]
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == list(range(50))
    widths = [batch.tokens.shape[1] for batch in split.batches(8, 1, length_pool=7)]
    assert sorted(widths) != widths  # the batches themselves are shuffled


def test_trimming_keeps_targets_with_their_tokens() -> None:
    tokens = torch.tensor([[0, 1, 2, 0, 0], [0, 0, 3, 4, 0]])
    trimmed = Batch(tokens, torch.where(tokens == PAD, IGNORE, tokens)).trimmed()
    assert trimmed.tokens.tolist() == [[1, 2, 0], [0, 3, 4]]
    assert trimmed.targets.tolist() == [[1, 2, IGNORE], [IGNORE, 3, 4]]
    assert Batch(tokens[:, :1], tokens[:, :1]).trimmed().tokens.tolist() == [[0], [0]]


def stream(targets_of: Callable[[torch.Tensor], torch.Tensor] = lambda ids: ids[1:]) -> Sequences:
    """Two rows of six of the ids 1 to 13, and the id after each."""
    ids = torch.arange(1, 14, dtype=torch.uint8)
    return Sequences(ids[:-1].view(2, 6), targets_of(ids).view(2, 6), is_stream=True)


def test_windows_of_a_stream_are_read_in_the_order_of_the_batch() -> None:
    (batch,) = stream().batches(2, order_seed=0)
    assert batch.rows is not None
    first, second = batch.windows(4)
    assert first.tokens.tolist() == [[6 * row + i for i in (1, 2, 3, 4)] for row in batch.rows]
    assert second.targets.tolist() == [[6 * row + i for i in (6, 7)] for row in batch.rows]
    part = batch.part(1, 4, scored_from=3)
    assert part.targets.tolist() == [[IGNORE, IGNORE, 6 * row + 5] for row in batch.rows]
    assert [b.rows is None and b.tokens.dtype == torch.int64 for b in (first, part)] == [True] * 2
    assert {len(b) for b in stream().batches(1)} == {1}


def test_a_large_stream_stays_where_it_is_and_its_windows_move(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = stream().to(torch.device("meta"))
    assert small.tokens.device.type == "meta"
    monkeypatch.setattr(data, "MAX_ON_DEVICE", 10)
    large = stream().to(torch.device("meta"))
    assert large.tokens.device.type == "cpu"
    (batch,) = large.batches(2, order_seed=0, length_pool=3)
    for window in batch.windows(4):
        assert window.tokens.device.type == window.targets.device.type == "meta"


def test_a_digest_depends_on_every_target_of_a_stream() -> None:
    task = TaskSpec(Vocabulary(tuple("abc")), 4, Output.NEXT_TOKEN, ("padding", *"abc"))

    def changed(place: int) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda ids: ids[1:] + (torch.arange(12) == place)

    splits = [stream(), *(stream(changed(place)) for place in range(12))]
    digests = {Data(task, split, split, split).digest() for split in splits}
    assert len(digests) == 13


# --- features, numbers, contexts ------------------------------------------------------------------


def with_context(rows: int = 6, shared: bool = False) -> Sequences:
    """Row i holds features of i, and so does its context; shared ones are of i modulo 2."""
    lengths = torch.tensor([3, 5, 1, 4, 2, 5])[:rows]
    tokens = torch.arange(rows).float()[:, None, None].repeat(1, 5, 2)
    tokens = tokens.masked_fill(torch.arange(5)[None, :, None] >= lengths[:, None, None], torch.nan)
    context = torch.tensor([[0, 1, 1, 0], [0, 2, 0, 0]]) if shared else torch.ones(rows, 3).long()
    if not shared:
        context *= torch.arange(1, rows + 1)[:, None]
    targets = torch.arange(rows).float()[:, None].repeat(1, 3)
    context_rows = torch.arange(rows) % 2 if shared else None
    more = {"context": context, "context_rows": context_rows, "per_position": False}
    return Sequences(tokens, targets, **more)


def test_each_sequence_keeps_its_context_and_its_numbers() -> None:
    split = with_context()
    for batch in split.batches(4, order_seed=1, length_pool=2):
        assert batch.context is not None
        for row in range(len(batch)):
            number = batch.tokens[row].nan_to_num(0.0).max()
            assert batch.targets[row].tolist() == [number] * 3
            assert set(batch.context[row].tolist()) == {int(number) + 1}
        assert not batch.tokens.isnan().all(dim=2).all(dim=0).any()  # no shared padding


def test_rows_that_share_a_context_each_have_it_without_its_padding() -> None:
    split = with_context(shared=True)
    (batch,) = split.batches(10, length_pool=1)
    assert batch.context is not None
    order = batch.targets[:, 0].long()
    assert batch.context.tolist() == [[[1, 1], [2, 0]][i % 2] for i in order.tolist()]
    chosen = split.chosen(torch.tensor([3, 0]))
    (few,) = chosen.batches(10)
    assert few.context is not None
    assert few.context.tolist() == [[0, 2, 0, 0], [0, 1, 1, 0]]
    assert len(split.at_most(2, seed=0)) == 2


def test_numbers_stand_where_a_sequence_ends_and_its_context_in_every_window() -> None:
    (batch,) = with_context().batches(10)
    windows = list(batch.windows(2))
    assert [int((~w.targets.isnan()).all(dim=1).sum()) for w in windows] == [2, 2, 2]
    assert torch.equal(sum(w.targets.nan_to_num(0.0) for w in windows), batch.targets)
    assert all(w.context is batch.context for w in windows)
    assert sum(w.num_scored() for w in windows) == batch.num_scored() == 18
    assert all(torch.equal(w.tokens[..., 0].isnan(), w.tokens[..., 1].isnan()) for w in windows)


def test_several_labels_as_many_as_tokens_are_no_positions() -> None:
    spec = TaskSpec(Vocabulary(tuple("ab")), 4, Output.MULTI_LABEL, tuple("wxyz"))
    tokens, labels = torch.tensor([[1, 2, 1, 0]]), torch.tensor([[1, 0, 1, IGNORE]])
    split = Sequences(tokens, labels)
    (batch,) = Data(spec, split, split, split).train.batches(1)
    assert not batch.per_position
    first, second = batch.windows(2)
    assert first.targets.tolist() == [[IGNORE] * 4] and second.targets.tolist() == labels.tolist()


def test_the_digest_follows_contexts_and_numbers_and_not_how_they_are_scored() -> None:
    spec = TaskSpec(
        *(NO_SYMBOLS, 3, Output.REGRESSION, tuple("xyz")),
        features=Features(2),
        context=Vocabulary(tuple("abcdefgh")),
    )

    def digest(spec: TaskSpec, **changes: torch.Tensor) -> str:
        split = with_context()
        return Data(spec, replace(split, **changes), split, split).digest()

    same = digest(spec)
    assert digest(replace(spec, scoring=Scoring("huber"))) == same
    split = with_context()
    assert split.context is not None
    others = [
        digest(spec, context=split.context.flip(0)),
        digest(spec, context_rows=torch.arange(6)),
        digest(spec, targets=split.targets + 0.25),
        digest(spec, tokens=split.tokens + 0.25),
        digest(replace(spec, context=Vocabulary(tuple("abcdefgx")))),
    ]
    assert len({same, *others}) == 6


@pytest.mark.parametrize("count", [1, 7, 100, 499])
def test_rows_drawn_of_very_many_are_those_drawn_of_few(
    monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = (torch.rand(500, 1, generator=generator) ** 3 * 5).long()  # of unlike sizes
    split = Sequences(torch.ones(500, 2, dtype=torch.uint8), labels, per_position=False)
    expected = split.drawn(count, 3)
    monkeypatch.setattr(data, "VERY_MANY", 1)
    assert torch.equal(split.drawn(count, 3), expected)


def test_a_digest_does_not_depend_on_the_width_of_next_tokens_or_on_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens, targets = torch.arange(60).view(6, 10), torch.arange(1, 61).view(6, 10)
    split = Sequences(tokens.short(), targets)
    assert split.digest() == replace(split, targets=targets.short()).digest()
    assert split.digest() != replace(split, tokens=tokens).digest()
    expected = split.digest()
    monkeypatch.setattr(data, "MANY", 7)
    assert split.digest() == expected
