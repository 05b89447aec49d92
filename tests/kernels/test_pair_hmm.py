"""The compiled pair hidden Markov model: against listing all alignments, and small differences."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from seqexp.kernels import pair_hmm
from seqexp.kernels.pair_hmm import (
    Letters,
    Rates,
    Table,
    derivatives,
    log_likelihood,
    log_likelihoods,
    log_likelihoods_by_place,
    recursion,
)

pytestmark = pytest.mark.skipif(
    pair_hmm.available(torch.zeros(1, dtype=torch.float64)).binary is None, reason="no compiler"
)

STATES = (1, 2, 3, 4)

AFTER_INSERTION = {1: 0, 2: 1, 3: 1, 4: 1}
AFTER_DELETION = {1: 0, 2: 1, 3: 1, 4: 2}


def rates_of(pairs: int, bases: int, states: int) -> Rates:
    """Random rates, such that each state's choices sum to one."""
    generator = torch.Generator().manual_seed(states)
    shape = (pairs, states, bases + 1, 9)
    drawn = torch.rand(shape, generator=generator, dtype=torch.float64) + 0.05
    shares = drawn / drawn.sum(dim=3, keepdim=True)
    last = shares[:, :, -1, :4] + shares[:, :, -1, 4:8] / 2
    return Rates(
        emission=shares[:, :, :-1, 4:8].contiguous(),
        insertion=shares[..., :4].contiguous(),
        deletion=shares[:, :, :-1, 8].contiguous(),
        end=1 - last.sum(dim=2),
        stay=torch.rand(pairs, bases, generator=generator, dtype=torch.float64),
    )


def letters_of(*pairs: tuple[str, str]) -> Letters:
    def encoded(texts: list[str]) -> tuple[Tensor, Tensor]:
        rows = torch.full((len(texts), max(map(len, texts))), -1)
        for row, text in zip(rows, texts, strict=True):
            row[: len(text)] = torch.tensor(["ACGT".index(letter) for letter in text])
        return rows, torch.tensor([len(text) for text in texts])

    bases, reads = zip(*pairs, strict=True)
    return Letters(*encoded(list(bases)), *encoded(list(reads)))


def ways(rates: Rates, row: int, base: str, read: str) -> Iterator[float]:
    """The probability of each alignment, event by event."""
    states = rates.emission.shape[1]
    assert rates.stay is not None
    stay = rates.stay[row]

    def go(state: int, i: int, j: int, p: float) -> Iterator[float]:
        if i == len(base) and j == len(read):
            yield p * float(rates.end[row, state])
        if j < len(read):
            letter = "ACGT".index(read[j])
            inserted = p * float(rates.insertion[row, state, i, letter])
            yield from go(AFTER_INSERTION[states], i, j + 1, inserted)
        if i < len(base):
            deleted = p * float(rates.deletion[row, state, i])
            yield from go(AFTER_DELETION[states], i + 1, j, deleted)
        if i < len(base) and j < len(read):
            passed = p * float(rates.emission[row, state, i, "ACGT".index(read[j])])
            recent = states - 1
            if base[i] != read[j] or (state not in (0, recent)):
                yield from go(recent, i + 1, j + 1, passed)
            elif state == 0:
                yield from go(0, i + 1, j + 1, passed)
            else:
                yield from go(recent, i + 1, j + 1, passed * float(stay[i]))
                yield from go(0, i + 1, j + 1, passed * (1 - float(stay[i])))

    return go(0, 0, 0, 1.0)


PAIRS = (("ACGT", "AGT"), ("", "CA"), ("CAAT", ""), ("TTG", "TTCG"), ("A", "A"))


@pytest.mark.parametrize("states", STATES)
def test_the_likelihood_is_the_sum_over_all_alignments(states: int) -> None:
    rates, letters = rates_of(len(PAIRS), 4, states), letters_of(*PAIRS)
    expected = [sum(ways(rates, row, *pair)) for row, pair in enumerate(PAIRS)]
    found = log_likelihoods(rates, letters).exp()
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


@pytest.mark.parametrize("states", STATES)
def test_derivatives_are_those_of_small_differences(states: int) -> None:
    rates, letters = rates_of(len(PAIRS), 4, states), letters_of(*PAIRS)
    _, found = derivatives(rates, letters)
    names = ("emission", "insertion", "deletion", "end", "stay")
    for name, derivative in zip(names, found, strict=False):
        given = getattr(rates, name)
        for index in torch.randperm(given.numel(), generator=torch.manual_seed(0))[:40].tolist():
            values = []
            for sign in (-1, 1):
                moved = given.clone()
                moved.view(-1)[index] += sign * 1e-5
                changed = {n: moved if n == name else getattr(rates, n) for n in names}
                values.append(log_likelihoods(Rates(**changed), letters))
            wanted = (values[1] - values[0]).sum() / 2e-5
            assert float(derivative.reshape(-1)[index]) == pytest.approx(float(wanted), abs=1e-6)


@pytest.mark.parametrize("states", STATES)
def test_each_letter_of_the_read_is_written_once_and_each_base_done_with_once(states: int) -> None:
    rates, letters = rates_of(len(PAIRS), 4, states), letters_of(*PAIRS)
    _, found = derivatives(rates, letters)
    written = (rates.emission * found.passed).sum(dim=(1, 2, 3))
    written = written + (rates.insertion * found.inserted).sum(dim=(1, 2, 3))
    torch.testing.assert_close(written, letters.num_letters.double(), rtol=1e-12, atol=1e-12)
    done = (rates.emission * found.passed).sum(dim=(1, 3)) + (rates.deletion * found.skipped).sum(1)
    is_base = torch.arange(4) < letters.num_bases[:, None]
    torch.testing.assert_close(done, is_base.double(), rtol=1e-12, atol=1e-12)
    ends = (rates.end * found.ended).sum(dim=1)
    torch.testing.assert_close(ends, torch.ones_like(ends), rtol=1e-12, atol=0)


def test_pairs_are_summed_as_each_alone_by_any_number_of_threads() -> None:
    pairs = tuple(("ACGTTGCA"[:n], "ACTTGACC"[: 11 - n]) for n in range(3, 9)) * 4
    rates, letters = rates_of(len(pairs), 8, 4), letters_of(*pairs)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    both = derivatives(rates, letters)
    torch.set_num_threads(threads)
    one = derivatives(rates, letters)
    for row in (0, 7, 23):
        alone_rates = Rates(*(getattr(rates, n)[row : row + 1] for n in rates.__dict__))
        alone = derivatives(
            alone_rates, Letters(*(t[row : row + 1] for t in vars(letters).values()))
        )
        for ours, theirs in zip((one[0], *one[1]), (alone[0], *alone[1]), strict=True):
            torch.testing.assert_close(ours[row : row + 1], theirs, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip((one[0], *one[1]), (both[0], *both[1]), strict=True):
        assert torch.equal(ours, theirs)


def table_of(kinds: int, states: int) -> Table:
    """Of pairs as in PAIRS, each place of a random kind."""
    generator = torch.Generator().manual_seed(states)
    values = torch.rand(kinds, states * 10 + 1, generator=generator)
    return Table(values / 10, torch.randint(kinds, (len(PAIRS), 5), generator=generator))


@pytest.mark.parametrize("states", STATES)
def test_rates_by_kind_of_place_are_those_of_each_pair(states: int) -> None:
    table, letters = table_of(7, states), letters_of(*PAIRS)
    assert table.states == states
    found = log_likelihoods_by_place(table, letters)
    wanted = log_likelihoods(table.rates(letters.num_bases), letters)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=0)


def test_kinds_that_are_not_in_the_table_are_refused() -> None:
    table, letters = table_of(7, 4), letters_of(*PAIRS)
    with pytest.raises(ValueError, match="kinds of places"):
        log_likelihoods_by_place(Table(table.values, table.place + 7), letters)
    with pytest.raises(ValueError, match="place is torch.int64 of"):
        log_likelihoods_by_place(Table(table.values, table.place[:, :4]), letters)


def test_letters_and_sizes_that_are_none_are_refused() -> None:
    rates, letters = rates_of(1, 3, 1), letters_of(("ACG", "AG"))
    for name, wrong in (
        ("read", torch.tensor([[0, 7]])),
        ("base", torch.tensor([[0, -1, 2]])),
        ("num_bases", torch.tensor([4])),
        ("num_letters", torch.tensor([-1])),
    ):
        with pytest.raises(ValueError, match="letters are 0 to 3"):
            log_likelihoods(rates, Letters(**{**vars(letters), name: wrong}))


@pytest.mark.parametrize("states", STATES)
def test_without_a_compiler_values_and_gradients_are_the_same(states: int) -> None:
    letters = letters_of(*PAIRS)
    found = []
    for compute in (log_likelihood, recursion):
        rates = rates_of(len(PAIRS), 4, states)
        for tensor in vars(rates).values():
            tensor.requires_grad_()
        values = compute(rates, letters)
        torch.autograd.backward(values.sum())
        gradients = [t.grad for t in vars(rates).values() if t.grad is not None]
        found.append([values.detach(), *gradients])
    for ours, theirs in zip(*found, strict=states > 1):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
