"""Shuffles that keep every pair of neighbours."""

from collections import Counter
from itertools import pairwise

import pytest

from seqexp.dataset.dna.shuffle import dinucleotide_shuffle


def pairs(sequence: str) -> Counter[tuple[str, str]]:
    return Counter(pairwise(sequence))


@pytest.mark.parametrize(
    "sequence",
    ["ACGTTGCAACGGTTAACCGGTACGATCAGC" * 5, "AANNNGATTACAGATTACA", "GCGCGCGTATATA", "AACC", "A", ""],
)
def test_pairs_of_letters_are_counted_the_same_exactly(sequence: str) -> None:
    for seed in range(20):
        shuffled = dinucleotide_shuffle(sequence, seed)
        assert pairs(shuffled) == pairs(sequence)
        assert Counter(shuffled) == Counter(sequence)


def test_the_seed_alone_decides() -> None:
    sequence = "ACGTTGCAACGGTTAACCGGTACGATCAGC" * 3
    shuffled = [dinucleotide_shuffle(sequence, seed) for seed in range(50)]
    assert len({*shuffled, sequence}) == 51
    assert shuffled == [dinucleotide_shuffle(sequence, seed) for seed in range(50)]


def test_every_sequence_with_the_same_pairs_has_the_same_chance() -> None:
    """ABACBA has the pairs AB BA AC CB BA; by hand, its walks from A to A that use all of them:

    A B A C B A   and   A C B A B A: two, with the same chance.
    """
    counts = Counter(dinucleotide_shuffle("ABACBA", seed) for seed in range(2000))
    assert set(counts) == {"ABACBA", "ACBABA"}
    assert abs(counts["ABACBA"] - 1000) < 5 * 500**0.5  # 5 standard deviations


def test_a_planted_site_does_not_survive() -> None:
    sequence = "ACGTTGCAACGGTTAACC" + "TGACGTCATTGC" + "GGTACGATCAGCTTGAACCT"
    found = sum("TGACGTCATTGC" in dinucleotide_shuffle(sequence, seed) for seed in range(500))
    assert found == 0
