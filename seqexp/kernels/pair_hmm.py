"""Sums over alignments of reads with candidates on the CPU: `cpp/pair_hmm.cpp`, called by ctypes.

A pair hidden Markov model of 1 to 4 states, in float64, banded, for a batch of pairs at once; the
same bits for any number of threads. Other Python threads run meanwhile.

Source: Durbin, Eddy, Krogh & Mitchison (1998), sec. 4.2.
"""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from seqexp.kernels.build import Built, built

SOURCE = Path(__file__).with_name("cpp") / "pair_hmm.cpp"

LETTERS = 4
MAX_STATES = 4

Band = int | Int[Tensor, " pairs"] | None

WHOLE = ("base", "read", "num_bases", "num_letters", "band")
"""What is given as int64."""

MAX_BYTES = 2**29
"""Of the cells that are kept of eight pairs at a time."""

NUMBERS = ("pairs", "bases", "length", "states", "threads")
POINTERS = (
    *("emission", "insertion", "deletion", "stay", "end", "after_last"),
    *("base", "read", "num_bases", "num_letters", "band", "log_likelihood"),
    *("passed", "inserted", "skipped", "stayed", "ended", "through"),
)
BY_PLACE = ("table", "place")


class _Pairs(ctypes.Structure):
    """`struct Pairs` of `pair_hmm.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in NUMBERS),
        *((name, ctypes.c_void_p) for name in POINTERS),
        ("kinds", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in BY_PLACE),
    ]


@dataclass(frozen=True)
class Rates:
    """Probabilities of what each base of a candidate may do in each state; padding is not read.

    Before each base a letter may be inserted, and another; then the base is deleted, or passed on
    as a letter. After the last base letters may be inserted, and then it ends.

    Two states are clean and after a recent error; three are clean, after a gap, recent; four are
    clean, after an insertion, after a deletion, recent. A substitution leads to recent; a copied
    base from clean to clean, from a gap to recent, and from recent to recent by `stay`, else to
    clean.

    Args:
        emission: that a base is passed on as a letter.
        insertion: that a letter is written in the gap before a base; the last gap: after all.
        deletion: that a base is skipped.
        end: that it ends after the last gap.
        stay: that a copied base leaves a recent error recent; None where there is one state.
    """

    emission: Float[Tensor, "pairs states bases letters"]
    insertion: Float[Tensor, "pairs states gaps letters"]
    deletion: Float[Tensor, "pairs states bases"]
    end: Float[Tensor, "pairs states"]
    stay: Float[Tensor, "pairs bases"] | None = None


@dataclass(frozen=True)
class Table:
    """Rates of kinds of places, and the kind of each base and of the gap after the last one.

    Where many candidates are alike, so are most of their places; their rates stand here once.

    Args:
        values: of each kind and state, float32: emissions, insertions in the gap before, deletion;
            then one `stay`; then of each state the end, which counts after the last base.
        place: the kind of each place.
    """

    values: Float[Tensor, "kinds columns"]
    place: Int[Tensor, "pairs gaps"]

    @property
    def states(self) -> int:
        """Of the model."""
        return (self.values.shape[1] - 1) // (2 * LETTERS + 2)

    def rates(self, num_bases: Int[Tensor, " pairs"]) -> Rates:
        """The same by pair, float64."""
        states = self.states
        chosen = self.values.double()[self.place]  # (pairs, gaps, columns)
        stop = states * (2 * LETTERS + 1)
        events = chosen[..., :stop].reshape(*self.place.shape, states, -1).transpose(1, 2)
        last = num_bases[:, None, None].expand(-1, -1, states)
        return Rates(
            emission=events[:, :, :-1, :LETTERS],
            insertion=events[..., LETTERS : 2 * LETTERS],
            deletion=events[:, :, :-1, 2 * LETTERS],
            end=chosen[..., stop + 1 :].gather(1, last)[:, 0],
            stay=chosen[:, :-1, stop],
        )


@dataclass(frozen=True)
class Letters:
    """Candidates and reads, a pair a row: letters are 0 to 3, padded with -1."""

    base: Int[Tensor, "pairs bases"]
    num_bases: Int[Tensor, " pairs"]
    read: Int[Tensor, "pairs length"]
    num_letters: Int[Tensor, " pairs"]


class Derivatives(NamedTuple):
    """Of the log-likelihood by each rate, of the same shapes.

    A rate times its derivative is the expected number of its uses. `through` joins all ways to and
    from any cell of a row.
    """

    passed: Float[Tensor, "pairs states bases letters"]
    inserted: Float[Tensor, "pairs states gaps letters"]
    skipped: Float[Tensor, "pairs states bases"]
    ended: Float[Tensor, "pairs states"]
    stayed: Float[Tensor, "pairs bases"]
    through: Float[Tensor, "pairs gaps"]


def available(like: Tensor) -> Built:
    """The library for rates like these, or the reason why there is none."""
    if like.device.type != "cpu" or like.dtype != torch.float64:
        return Built(None, f"it is for float64 on the CPU, not {like.dtype} on {like.device.type}")
    return built(SOURCE, "REAL=double")


def fits(letters: Letters, states: int, band: int | None) -> bool:
    """Whether the cells of eight pairs, which are kept for the way back, fit into memory."""
    bases, length = letters.base.shape[1], letters.read.shape[1]
    width = length + 1 if band is None else min(2 * band + 1, length + 1)
    return (bases + 1) * width * states * 8 * 8 <= MAX_BYTES


def log_likelihoods(rates: Rates, letters: Letters, band: Band = None) -> Float[Tensor, " pairs"]:
    """Nats of each read given its candidate, summed over all alignments; -inf if impossible.

    Args:
        rates: of the candidates.
        letters: of candidates and reads.
        band: leaves cells with |i - j| above it out, of each pair, or of all; eight pairs go
            together, by the widest band of theirs. None sums over all.

    Raises:
        ValueError: on letters that are none, or sizes that do not fit each other.
    """
    found = _given(rates, letters, band, None)
    _call(found, letters)
    return found.tensors["log_likelihood"]


def log_likelihoods_by_place(
    table: Table, letters: Letters, band: Band = None
) -> Float[Tensor, " pairs"]:
    """The same by rates of kinds of places.

    Raises:
        ValueError: as above, or on a kind that is not in the table.
    """
    if available(table.values[:0].double()).binary is None:
        return recursion(table.rates(letters.num_bases), letters)
    found = _given_by_place(table, letters, band)
    _call(found, letters)
    return found.tensors["log_likelihood"]


def derivatives(
    rates: Rates,
    letters: Letters,
    band: Band = None,
    after_last: Float[Tensor, "pairs letters"] | None = None,
) -> tuple[Float[Tensor, " pairs"], Derivatives]:
    """Log-likelihoods as above, and their derivatives by all rates.

    Args:
        rates: of the candidates.
        letters: of candidates and reads.
        band: as above.
        after_last: replaces the last gap's insertions on the way *to* it: what they would be if
            another base followed. For one state.

    Raises:
        ValueError: as above.
    """
    found = _given(rates, letters, band, after_last)
    like = {
        "passed": rates.emission,
        "inserted": rates.insertion,
        "skipped": rates.deletion,
        "ended": rates.end,
        "stayed": rates.deletion[:, 0],
        "through": rates.insertion[:, 0, :, 0],
    }
    for name, rate in like.items():
        found.tensors[name] = torch.zeros(rate.shape, dtype=torch.float64)
    _call(found, letters)
    values = Derivatives(*(found.tensors[name] for name in Derivatives._fields))
    return found.tensors["log_likelihood"], values


@dataclass(frozen=True)
class _Given:
    """Arguments of the library. They are addresses, so the tensors must stay alive."""

    numbers: dict[str, int]
    tensors: dict[str, Tensor]


def _given(rates: Rates, letters: Letters, band: Band, after_last: Tensor | None) -> _Given:
    pairs, bases = letters.base.shape
    length, states = letters.read.shape[1], rates.emission.shape[1]
    stay = torch.ones(pairs, bases, dtype=torch.float64) if rates.stay is None else rates.stay
    expected = {
        "emission": (rates.emission, (pairs, states, bases, LETTERS)),
        "insertion": (rates.insertion, (pairs, states, bases + 1, LETTERS)),
        "deletion": (rates.deletion, (pairs, states, bases)),
        "end": (rates.end, (pairs, states)),
        "stay": (stay, (pairs, bases)),
        "base": (letters.base, (pairs, bases)),
        "num_bases": (letters.num_bases, (pairs,)),
        "read": (letters.read, (pairs, length)),
        "num_letters": (letters.num_letters, (pairs,)),
        "band": (_bands(letters, band), (pairs,)),
    }
    if after_last is not None:
        expected["after_last"] = (after_last, (pairs, LETTERS))
    for name, (tensor, shape) in expected.items():
        wanted = torch.int64 if name in WHOLE else torch.float64
        if tensor.shape != shape or tensor.dtype != wanted or not tensor.is_cpu:
            raise ValueError(_misfit(name, tensor, wanted, shape))
    if not 1 <= states <= MAX_STATES or (after_last is not None and states > 1):
        raise ValueError(f"there are {states} states; there may be 1 to {MAX_STATES}")
    if states > 1 and rates.stay is None:
        raise ValueError("stay is None, which is for one state")
    numbers = {
        "pairs": pairs,
        "bases": bases,
        "length": length,
        "states": states,
        "threads": torch.get_num_threads(),
    }
    tensors = {name: tensor.detach().contiguous() for name, (tensor, _) in expected.items()}
    tensors["log_likelihood"] = torch.empty(pairs, dtype=torch.float64)
    return _Given(numbers, tensors)


def _given_by_place(table: Table, letters: Letters, band: Band) -> _Given:
    pairs, bases = letters.base.shape
    states, columns = table.states, table.values.shape[1]
    expected = {
        "table": (table.values, (len(table.values), states * (2 * LETTERS + 2) + 1)),
        "place": (table.place, (pairs, bases + 1)),
        "base": (letters.base, (pairs, bases)),
        "num_bases": (letters.num_bases, (pairs,)),
        "read": (letters.read, (pairs, letters.read.shape[1])),
        "num_letters": (letters.num_letters, (pairs,)),
        "band": (_bands(letters, band), (pairs,)),
    }
    for name, (tensor, shape) in expected.items():
        wanted = torch.float32 if name == "table" else torch.int64
        if tensor.shape != shape or tensor.dtype != wanted or not tensor.is_cpu:
            raise ValueError(_misfit(name, tensor, wanted, shape))
    if not 1 <= states <= MAX_STATES:
        raise ValueError(f"there are {columns} columns; there may be 11, 21, 31 or 41")
    numbers = {
        "pairs": pairs,
        "bases": bases,
        "length": letters.read.shape[1],
        "states": states,
        "threads": torch.get_num_threads(),
        "kinds": len(table.values),
    }
    tensors = {name: tensor.detach().contiguous() for name, (tensor, _) in expected.items()}
    tensors["log_likelihood"] = torch.empty(pairs, dtype=torch.float64)
    return _Given(numbers, tensors)


def _misfit(name: str, tensor: Tensor, wanted: torch.dtype, shape: tuple[int, ...]) -> str:
    return (
        f"{name} is {tensor.dtype} of {tuple(tensor.shape)} on {tensor.device}; it is {wanted} of"
        f" {shape} on the CPU"
    )


def _bands(letters: Letters, band: Band) -> Int[Tensor, " pairs"]:
    if isinstance(band, Tensor):
        return band
    widest = max(letters.base.shape[1], letters.read.shape[1])
    return torch.full_like(letters.num_bases, widest if band is None else band)


def _call(given: _Given, letters: Letters) -> None:
    if not given.numbers["pairs"]:
        return
    binary = available(given.tensors["log_likelihood"]).binary
    assert binary is not None
    pointers = {name: tensor.data_ptr() for name, tensor in given.tensors.items()}
    if binary.align(ctypes.byref(_Pairs(**given.numbers, **pointers))):
        raise ValueError(
            f"letters are 0 to {LETTERS - 1}, as many as num_bases and num_letters say, and kinds"
            " of places are those of the table; given are"
            f" bases {tuple(letters.base.shape)} and reads {tuple(letters.read.shape)}"
        )


class _LogLikelihood(torch.autograd.Function):
    """Log-likelihoods, differentiable by all rates."""

    @staticmethod
    def forward(ctx: Any, letters: Letters, band: Band, *rates: Tensor) -> Tensor:
        ctx.letters, ctx.band = letters, band
        ctx.save_for_backward(*rates)
        return log_likelihoods(Rates(*rates), letters, band)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rates: tuple[Tensor, ...] = ctx.saved_tensors
        size = gradient.abs()
        rows = torch.nonzero(size > LEAST_SHARE * size.amax())[:, 0] if len(size) else size.long()
        letters = Letters(*(values[rows] for values in vars(ctx.letters).values()))
        band = ctx.band[rows] if isinstance(ctx.band, Tensor) else ctx.band
        _, found = derivatives(Rates(*(rate[rows] for rate in rates)), letters, band)
        gradients = []
        for rate, derivative in zip(rates, found, strict=False):
            weight = gradient[rows].view(-1, *[1] * (rate.dim() - 1))
            gradients.append(torch.zeros_like(rate).index_copy_(0, rows, derivative * weight))
        return None, None, *gradients


LEAST_SHARE = 0.01
"""Of the largest weight of a pair in a loss, below which its derivatives are left out."""


def log_likelihood(rates: Rates, letters: Letters, band: Band = None) -> Float[Tensor, " pairs"]:
    """As `log_likelihoods`, differentiable by all rates; `stay` has to be given.

    Derivatives of pairs that hardly count in the loss are left out: where a read has one of several
    causes, those with less than a hundredth of it. Where nothing can be compiled, and on GPUs, the
    same is computed by `recursion`, over all cells.
    """
    if available(rates.emission).binary is None:
        return recursion(rates, letters)
    given = (getattr(rates, name) for name in Rates.__dataclass_fields__)
    found: Tensor = _LogLikelihood.apply(letters, band, *given)  # type: ignore[no-untyped-call]
    return found


def recursion(rates: Rates, letters: Letters) -> Float[Tensor, " pairs"]:
    """The same by PyTorch's operations, along anti-diagonals, adding logarithms.

    Cells with the same i + j depend on the two diagonals before only.
    """
    pairs, states, bases, _ = rates.emission.shape
    stay = rates.stay if rates.stay is not None else torch.ones_like(rates.deletion[:, 0])
    read = torch.nn.functional.pad(letters.read.clamp(min=0), (1, 1))  # j = 1 is the first letter
    lasts = letters.num_bases + letters.num_letters
    device = rates.emission.device
    rows, gaps = torch.arange(pairs, device=device), torch.arange(bases + 1, device=device)
    nothing = rates.emission.new_full((pairs, states, bases + 1), -torch.inf)
    last, before = nothing.clone(), nothing
    last[:, 0, 0] = 0.0
    ends = [last[rows, :, letters.num_bases]]
    for k in range(1, int(lasts.max()) + 1):
        j = k - gaps
        is_cell = (j >= 0) & (j < read.shape[1] - 1)
        letter = read[:, j.clamp(0, read.shape[1] - 1)]  # (pairs, gaps)
        index = letter[:, None, :, None].expand(-1, states, -1, 1)
        inserted = rates.insertion.gather(3, index)[..., 0].log() + last
        inserted = inserted.masked_fill(j < 1, -torch.inf)
        deleted = rates.deletion.log() + last[:, :, :-1]
        passed = rates.emission.gather(3, index[:, :, 1:])[..., 0].log() + before[:, :, :-1]
        passed = passed.masked_fill(j[1:] < 1, -torch.inf)
        is_copy = letter[:, 1:] == letters.base
        parts = _arrivals(inserted, deleted, passed, is_copy, stay)
        before, last = last, parts.masked_fill(~is_cell, -torch.inf)
        ends.append(last[rows, :, letters.num_bases])
    at_end = torch.stack(ends)[lasts, rows]  # (pairs, states)
    return torch.logsumexp(at_end + rates.end.log(), dim=1)


def _arrivals(
    inserted: Float[Tensor, "pairs states gaps"],
    deleted: Float[Tensor, "pairs states bases"],
    passed: Float[Tensor, "pairs states bases"],
    is_copy: Bool[Tensor, "pairs bases"],
    stay: Float[Tensor, "pairs bases"],
) -> Float[Tensor, "pairs states gaps"]:
    """Logarithms of what comes to each state, by where the events lead."""
    states, recent = inserted.shape[1], inserted.shape[1] - 1
    into: list[list[Tensor]] = [[] for _ in range(states)]

    def bring(state: int, values: Tensor) -> None:
        missing = inserted.shape[2] - values.shape[-1]  # no base was done with at the first gap
        into[state].append(torch.nn.functional.pad(values, (missing, 0), value=-torch.inf))

    for state in range(states):
        bring(min(1, recent), inserted[:, state])
        bring(2 if states == MAX_STATES else min(1, recent), deleted[:, state])
        if states == 1:
            bring(0, passed[:, 0])
            continue
        if state == 0:
            bring(0, passed[:, 0].where(is_copy, -torch.inf))
            bring(recent, passed[:, 0].where(~is_copy, -torch.inf))
        elif state == recent:
            bring(0, (passed[:, state] + torch.log1p(-stay)).where(is_copy, -torch.inf))
            bring(recent, passed[:, state] + torch.where(is_copy, stay.log(), 0.0))
        else:
            bring(recent, passed[:, state])
    nothing = torch.full_like(inserted[:, 0], -torch.inf)
    return torch.stack([_added([nothing, *values]) for values in into], dim=1)


def _added(values: list[Tensor]) -> Tensor:
    """The logarithm of a sum, whose gradient is 0 rather than NaN where all is nothing."""
    stacked = torch.stack(values)
    is_nothing = torch.isneginf(stacked).all(dim=0)
    safe = stacked.masked_fill(is_nothing, 0.0)
    return torch.logsumexp(safe, dim=0).masked_fill(is_nothing, -torch.inf)
