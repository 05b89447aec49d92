"""Predictions of a split are kept in the order of its rows, however they were batched."""

import pytest
import torch
from torch import Tensor

from seqexp.data import Batch, Sequences
from seqexp.spec import IGNORE
from seqexp.trainer.predicted import Predicted


def logits_of(part: Batch) -> Tensor:
    """Of each position: its token, and ten times that."""
    return torch.stack([part.tokens, 10 * part.tokens], dim=2).float()


@pytest.mark.parametrize("pool", [None, 100])
@pytest.mark.parametrize("window", [None, 2])
def test_labels_and_positions_come_in_the_order_of_rows(
    pool: int | None, window: int | None
) -> None:
    tokens = torch.tensor([[1, 2, 3, 4], [5, 0, 0, 0], [6, 7, 0, 0], [8, 9, 10, 0]])
    positions = Sequences(tokens, torch.where(tokens > 0, tokens, IGNORE), per_position=True)
    found = Predicted()
    for batch in positions.batches(3, length_pool=pool):
        for part in batch.windows(window):
            found.add(part, logits_of(part))
    kept = found.tensors()
    assert kept["targets"][:, 0].tolist() == list(range(1, 11))
    assert kept["numbers"].tolist() == [0, 0, 0, 0, 1, 2, 2, 3, 3, 3]
    assert torch.equal(kept["logits"][:, 0].long(), kept["targets"][:, 0])

    labels = Sequences(tokens, torch.tensor([[0], [1], [IGNORE], [3]]), per_position=False)
    found = Predicted()
    for batch in labels.batches(3, length_pool=pool):
        for part in batch.windows(window):
            found.add(part, logits_of(part)[:, -1:])
    kept = found.tensors()
    assert kept["targets"][:, 0].tolist() == [0, 1, 3] and kept["numbers"].tolist() == [0, 1, 3]


def test_more_than_the_limit_is_not_kept_at_all() -> None:
    split = Sequences(torch.ones(5, 3).long(), torch.zeros(5, 1).long())
    found = Predicted(limit=9)
    for batch in split.batches(2):
        found.add(batch, torch.zeros(len(batch), 1, 2))
    assert found.is_too_large and found.tensors() == {}


def test_a_digest_is_of_rows_however_they_are_encoded() -> None:
    tokens, targets = torch.tensor([[1, 2], [3, 4]]), torch.tensor([[0], [1]])
    keys = torch.tensor([11, 12])
    one, other = Sequences(tokens, targets), Sequences(tokens + 1, targets)
    assert one.digest() != other.digest()
    assert Sequences(tokens, targets, keys=keys).digest() == (
        Sequences(tokens + 1, targets, keys=keys).digest()
    )
    flipped = torch.tensor([1, 0])
    assert one.digest() != one.chosen(flipped).digest()
    assert torch.equal(Sequences(tokens, targets, keys=keys).chosen(flipped).keys, keys[flipped])
