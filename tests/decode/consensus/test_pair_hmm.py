"""The likelihood of reads: sums over all alignments, against listing them one by one."""

import itertools
import math
import random
from collections.abc import Iterator

import pytest
import torch

from seqexp.decode.consensus import alignments as recursion
from seqexp.decode.consensus.error_rates import (
    estimate_channel,
    estimate_shared_channel,
    expected_counts,
)
from seqexp.decode.consensus.pair_hmm import Channel, encode, log_likelihood
from seqexp.decode.consensus.rank import rank

RATES = {"insertion": 0.1, "deletion": 0.2, "substitution": 0.05, "tail": 0.03}


def histories(bases: str, max_letters: int) -> Iterator[tuple[str, float]]:
    """Every course of `sim_error`, event by event: the read that it writes, and its probability.

    After the last base, letters are added as the tail's rate has it.
    """
    pi, pd, ps, tail = RATES.values()
    if not bases:
        for count in range(max_letters + 1):
            for letters in itertools.product("ACGT", repeat=count):
                yield "".join(letters), (tail / 4) ** count * (1 - tail)
        return
    if max_letters:
        for letter, (rest, p) in itertools.product("ACGT", histories(bases, max_letters - 1)):
            yield letter + rest, pi / 4 * p
    for rest, p in histories(bases[1:], max_letters):
        yield rest, pd * p
    if max_letters:
        for rest, p in histories(bases[1:], max_letters - 1):
            yield bases[0] + rest, (1 - pi - pd - ps) * p
            for letter in "ACGT":
                yield letter + rest, ps / 4 * p


def test_the_likelihood_is_the_sum_over_all_histories() -> None:
    channel = Channel.of_rates(**RATES)
    for candidate in ("A", "CC", "ACA", "GT"):
        expected: dict[str, float] = {}
        for read, probability in histories(candidate, max_letters=4):
            expected[read] = expected.get(read, 0.0) + probability
        reads = sorted(expected)
        found = log_likelihood(reads, [candidate], channel)[0].exp()
        wanted = torch.tensor([expected[read] for read in reads], dtype=torch.float64)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


def test_all_reads_together_have_probability_one() -> None:
    channel = Channel.of_rates(insertion=0.02, deletion=0.3, substitution=0.2, tail=0.01)
    reads = ["".join(r) for n in range(6) for r in itertools.product("ACGT", repeat=n)]
    total = float(log_likelihood(reads, ["AC"], channel).exp().sum())
    # what is missing has at least 4 inserted letters in 3 gaps
    assert 1 - 15 * 0.02**4 < total < 1


def test_a_gradient_is_that_of_small_differences() -> None:
    rates = [torch.tensor(rate, dtype=torch.float64, requires_grad=True) for rate in RATES.values()]

    def function(*rates: torch.Tensor) -> torch.Tensor:
        return log_likelihood(["ACGT", "A", ""], ["ACCT", "GA"], Channel.of_rates(*rates))

    assert torch.autograd.gradcheck(function, rates)


def test_rates_may_differ_from_base_to_base_and_be_learned() -> None:
    """What a network would give: emissions of each base, gap and pair."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 3, 4), (2, 4, 4), (2, 3))
    rates = [
        torch.rand(shape, generator=generator, dtype=torch.float64) * 0.1 + 0.01 for shape in shapes
    ]
    read, num_letters = encode(["ACG", "TA"])

    def function(*rates: torch.Tensor) -> torch.Tensor:
        from seqexp.decode.consensus.pair_hmm import alignment_log_likelihood

        bases = torch.tensor([3, 2])
        pairs = recursion.Alignments(*rates, bases, read, num_letters)
        return alignment_log_likelihood(pairs)

    assert torch.autograd.gradcheck(function, [rate.requires_grad_() for rate in rates])


def test_padding_changes_nothing() -> None:
    channel = Channel.of_rates(**RATES)
    reads, candidates = ["ACGTACG", "A", ""], ["ACG", "ACGTTTTTT", "T"]
    together = log_likelihood(reads, candidates, channel)
    for row, column in itertools.product(range(3), range(3)):
        alone = log_likelihood([reads[column]], [candidates[row]], channel)
        torch.testing.assert_close(together[row, column], alone[0, 0], rtol=1e-13, atol=0)


def test_what_cannot_be_read_has_no_likelihood() -> None:
    found = log_likelihood(["A"], ["", "A"], Channel.of_rates(tail=0.0))
    assert found[0, 0] == -math.inf and math.isfinite(found[1, 0])
    deletion_only = Channel.of_rates(insertion=0.0, deletion=0.5, substitution=0.0)
    assert log_likelihood(["AC"], ["A"], deletion_only)[0, 0] == -math.inf


def test_long_reads_do_not_underflow() -> None:
    """Identical sequences of one letter, without insertions: the only alignment has no event."""
    channel = Channel.of_rates(insertion=0.0, deletion=0.3, substitution=0.1)
    sequence = "A" * 2000
    found = float(log_likelihood([sequence], [sequence], channel))
    assert found == pytest.approx(2000 * math.log(0.6 + 0.1 / 4), rel=1e-12)
    # a thousand letters far from the diagonal, each inserted in the only gap
    inserting = Channel.of_rates(insertion=0.01, deletion=0.0, substitution=0.0)
    found = float(log_likelihood(["C" * 1000 + "A"], ["A"], inserting))
    assert found == pytest.approx(1000 * math.log(0.01 / 4) + math.log(0.99), rel=1e-12)


def test_logarithms_and_rescaled_probabilities_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = random.Random(0)
    candidates = ["".join(generator.choices("ACGT", k=n)) for n in (40, 55)]
    reads = [candidates[0], candidates[1][:30] + candidates[0][20:]]

    def results() -> tuple[torch.Tensor, list[torch.Tensor]]:
        rates = [torch.tensor(r, dtype=torch.float64, requires_grad=True) for r in RATES.values()]
        found = log_likelihood(reads, candidates, Channel.of_rates(*rates))
        return found, list(torch.autograd.grad(found.sum(), rates))

    scaled, scaled_gradients = results()
    monkeypatch.setattr(recursion, "_SAFE_LOG_LIKELIHOOD", math.inf)
    logs, log_gradients = results()
    torch.testing.assert_close(scaled, logs, rtol=1e-12, atol=0)
    torch.testing.assert_close(scaled_gradients, log_gradients, rtol=1e-10, atol=1e-10)


def test_a_wide_band_loses_nothing_that_counts() -> None:
    generator = random.Random(1)
    truth = "".join(generator.choices("ACGT", k=200))
    reads = [truth[:50] + "ACGTACG" + truth[50:120] + truth[131:], truth]
    channel = Channel.of_rates()
    narrow = expected_counts([reads], [truth], channel)
    exact = float(log_likelihood(reads, [truth], channel).sum())
    assert narrow.log_likelihood == pytest.approx(exact, abs=1e-9)


def test_expected_counts_of_an_unambiguous_read_are_its_events() -> None:
    """C for A cannot but be a substitution where insertions and deletions hardly ever happen."""
    channel = Channel.of_rates(insertion=1e-9, deletion=1e-9, substitution=0.1, tail=1e-9)
    counts = expected_counts([["CCGT"]], ["ACGT"], channel)
    passed = torch.zeros(4, 4, dtype=torch.float64)
    passed[0, 1] = passed[1, 1] = passed[2, 2] = passed[3, 3] = 1
    torch.testing.assert_close(counts.passed, passed, rtol=0, atol=1e-6)
    assert float(counts.inserted.sum() + counts.deleted.sum()) < 1e-6


@pytest.mark.parametrize("rates", [(0.05, 0.05, 0.01), (0.02, 0.1, 0.08)])
def test_estimated_rates_are_within_their_error_of_the_true_ones(
    rates: tuple[float, float, float],
) -> None:
    from seqexp.dataset.reads.channel import ErrorRates, random_sequence, read_out

    truths = [random_sequence(100, seed) for seed in range(8)]
    clusters = [
        [read_out(truth, ErrorRates(*rates), 100 * index + read) for read in range(10)]
        for index, truth in enumerate(truths)
    ]
    channel = estimate_shared_channel(clusters, truths)
    draws = 8 * 10 * 100 / (1 - rates[0])
    for name, rate in zip(("insertion", "deletion", "substitution"), rates, strict=True):
        # binomial, were all alignments known; a substitution by the same letter is never seen
        seen = rate * 3 / 4 if name == "substitution" else rate
        error = rate * math.sqrt((1 - seen) / (seen * draws))
        assert abs(channel.rates()[name] - rate) < 4 * error
    assert channel.rates()["tail"] < 0.03


def test_rates_by_letter_find_the_letter_that_is_misread() -> None:
    truth = "ACGT" * 30
    reads = [truth.replace("CGTA", "CATA", number) for number in (5, 10, 15, 20)]  # G read as A
    channel = estimate_channel(reads, truth, by_letter=True)
    share = channel.emission[2, 0] / (channel.emission[2].sum() + channel.deletion[2])
    assert float(share) == pytest.approx(50 / 120, abs=0.02)
    assert float(channel.emission[0, 2]) < 0.01
    total = channel.insertion.sum() + channel.deletion + channel.emission.sum(dim=1)
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64))


def test_candidates_are_ranked_by_the_likelihood_of_all_reads() -> None:
    reads = ["ACGTAC", "ACGTC", "ACGGTAC"]
    ranked = rank(["ACGTC", "ACGTAC", "TTTT", "ACGTAC"], reads, Channel.of_rates())
    assert [one.candidate for one in ranked] == ["ACGTAC", "ACGTC", "TTTT"]
    total = float(log_likelihood(reads, ["ACGTAC"], Channel.of_rates()).sum())
    assert ranked[0].log_likelihood == pytest.approx(total, rel=1e-12)


def test_other_letters_are_refused() -> None:
    with pytest.raises(ValueError, match="'ACN' has other letters than ACGT"):
        encode(["AC", "ACN"])
