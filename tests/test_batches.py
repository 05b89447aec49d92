"""How a split is cut into batches."""

import pytest
import torch

from seqexp.spec import IGNORE, PAD, Batch, Sequences


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
