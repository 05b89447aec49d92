"""Sums over all alignments of a read with a candidate, along anti-diagonals.

A cell (i, j) stands for "the first i bases of the candidate have written the first j letters of the
read". `F(i, j)` sums all ways from (0, 0) to it, `B(i, j)` all ways from it to the end:

    F(i, j) = I(i, y_j) F(i, j-1) + d(i) F(i-1, j) + E(i, y_j) F(i-1, j-1)

Cells with the same k = i + j depend on the two diagonals before only, so that each diagonal is a
few operations on whole batches. Probabilities are multiplied and rescaled on the way, which is
several times faster than adding logarithms; where that might lose something, logarithms are added
after all. On the CPU `kernels/pair_hmm.py` does the same, more than a hundred times as fast.

Source: Durbin, Eddy, Krogh & Mitchison (1998), sec. 4.2, with states merged into one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import one_hot, pad

from seqexp.kernels import pair_hmm

_RESCALE_EVERY = 8
"""Diagonals."""

_SAFE_LOG_LIKELIHOOD = -600.0
"""Above it, nothing that counts can have been lost by underflow.

A cell is lost where it is below 1e-308 of its diagonal's largest. Each leads to the end with
probability 1 at most, so that 1e8 of them hold at most e^-690 in all.
"""

_MAX_CELLS = 2**24
"""Cells kept at a time: 128 MiB."""


@dataclass(frozen=True)
class Alignments:
    """Pairs of a candidate and a read, padded: what each base may do, and what was read.

    `emission` is the probability that a base is passed on as each letter, `deletion` that it is
    skipped, `insertion` that a letter is written in the gap before a base (the last gap: after all
    bases). Rates of padding count for nothing; letters of padding are -1.
    """

    emission: Float[Tensor, "pairs bases letters"]
    insertion: Float[Tensor, "pairs gaps letters"]
    deletion: Float[Tensor, "pairs bases"]
    num_bases: Int[Tensor, " pairs"]
    read: Int[Tensor, "pairs read_length"]
    num_letters: Int[Tensor, " pairs"]

    def rows(self, rows: slice | Tensor) -> "Alignments":
        """Some of the pairs."""
        return Alignments(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def chunks(self, kept: int = 0) -> Iterator["Alignments"]:
        """All pairs, so many at a time that `kept` cells of each diagonal fit into memory."""
        pairs, bases = self.deletion.shape
        cells = kept * (bases + self.read.shape[1] + 1)
        size = max(1, _MAX_CELLS // max(cells, 64 * (bases + 2)))
        for start in range(0, pairs, size):
            yield self.rows(slice(start, start + size))


def wide_band(alignments: Alignments) -> int:
    """A band outside of which nothing counts, for reads that are copies of their candidates.

    Insertions and deletions at 5 % each lead sqrt(bases / 10) letters away, as a random walk: 5 in
    220 bases, 14 in 2,000. Each letter more costs several nats; the band has 41 and 130.
    """
    differences = (alignments.num_bases - alignments.num_letters).abs()
    return int(differences.amax()) + 30 + alignments.deletion.shape[1] // 20


class Sums(NamedTuple):
    """Sums over all alignments, each divided by the likelihood.

    The first three are derivatives of the log-likelihood. `passed[i, b]` joins all ways to just
    before base i and one letter b with all ways from just behind both; `skipped[i]` leaves the
    letter out; `inserted[g, b]` leaves the base out; `through[g]` leaves both out.
    """

    log_likelihood: Float[Tensor, " pairs"]
    passed: Float[Tensor, "pairs bases letters"]
    skipped: Float[Tensor, "pairs bases"]
    inserted: Float[Tensor, "pairs gaps letters"]
    through: Float[Tensor, "pairs gaps"]


def log_likelihoods(alignments: Alignments) -> Float[Tensor, " pairs"]:
    """Natural logarithm of the probability of each read, without that of the end."""
    if _is_compiled(alignments, None):
        found = pair_hmm.log_likelihoods(*_for_kernel(alignments))
        unsafe = ~_is_safe(found)
        if unsafe.any():
            found[unsafe] = _log_likelihoods(alignments.rows(unsafe))
        return found
    return _log_likelihoods(alignments)


def _log_likelihoods(alignments: Alignments) -> Float[Tensor, " pairs"]:
    """The same by PyTorch's operations."""
    parts = []
    for chunk in alignments.chunks():
        found = _Recursion(chunk, in_logs=False).forward()
        if not _is_safe(found).all():
            unsafe = ~_is_safe(found)
            found[unsafe] = _Recursion(chunk.rows(unsafe), in_logs=True).forward()
        parts.append(found)
    return torch.cat(parts) if parts else alignments.deletion.new_zeros(0)


def sums(
    alignments: Alignments,
    after_the_last: Float[Tensor, "pairs letters"] | None = None,
    band: int | None = None,
) -> Sums:
    """All sums, by one pass forward and one backward.

    Args:
        alignments: the pairs.
        after_the_last: replaces the last gap's insertions on the way *to* it: what they would be if
            another base followed.
        band: leave cells with |i - j| above it out; None sums over all.
    """
    if not _is_compiled(alignments, band):
        return _sums_of_all(alignments, after_the_last, band)
    given = _for_kernel(alignments)
    log_likelihood, found = pair_hmm.derivatives(*given, band, after_the_last)
    values = Sums(
        log_likelihood,
        passed=found.passed[:, 0],
        skipped=found.skipped[:, 0],
        inserted=found.inserted[:, 0],
        through=found.through,
    )
    unsafe = ~_is_safe(log_likelihood)
    if unsafe.any():
        ahead = None if after_the_last is None else after_the_last[unsafe]
        again = _sums_of_all(alignments.rows(unsafe), ahead, band)
        for all_values, better in zip(values, again, strict=True):
            all_values[unsafe] = better
    return values


def _is_compiled(alignments: Alignments, band: int | None) -> bool:
    """Whether the kernel can be had for these pairs."""
    letters = _letters(alignments)
    is_there = pair_hmm.available(alignments.emission).binary is not None
    return is_there and pair_hmm.fits(letters, 1, band)


def _letters(alignments: Alignments) -> pair_hmm.Letters:
    bases = torch.zeros(alignments.deletion.shape, dtype=torch.int64)  # any: rates know the base
    return pair_hmm.Letters(bases, alignments.num_bases, alignments.read, alignments.num_letters)


def _for_kernel(alignments: Alignments) -> tuple[pair_hmm.Rates, pair_hmm.Letters]:
    """The pairs as those of a model of one state, which ends with probability 1."""
    rates = pair_hmm.Rates(
        emission=alignments.emission[:, None],
        insertion=alignments.insertion[:, None],
        deletion=alignments.deletion[:, None],
        end=alignments.deletion.new_ones(len(alignments.deletion), 1),
    )
    return rates, _letters(alignments)


def _sums_of_all(
    alignments: Alignments, after_the_last: Float[Tensor, "pairs letters"] | None, band: int | None
) -> Sums:
    """All sums by PyTorch's operations."""
    if after_the_last is not None:
        rows = torch.arange(len(alignments.num_bases), device=alignments.num_bases.device)
        insertion = alignments.insertion.clone()
        insertion[rows, alignments.num_bases] = after_the_last
        ahead = replace(alignments, insertion=insertion)
    else:
        ahead = alignments
    parts = []
    bases = alignments.deletion.shape[1]
    width = bases + 2 if band is None else min(bases + 2, band + 4)
    for chunk, chunk_ahead in zip(alignments.chunks(width), ahead.chunks(width), strict=True):
        found = _sums(chunk, chunk_ahead, False, band)
        if not _is_safe(found.log_likelihood).all():
            unsafe = ~_is_safe(found.log_likelihood)
            again = _sums(chunk.rows(unsafe), chunk_ahead.rows(unsafe), True, band)
            for values, better in zip(found, again, strict=True):
                values[unsafe] = better
        parts.append(found)
    return Sums(*(torch.cat(values) for values in zip(*parts, strict=True)))


def _is_safe(log_likelihood: Float[Tensor, " pairs"]) -> Bool[Tensor, " pairs"]:
    return log_likelihood > _SAFE_LOG_LIKELIHOOD


def _sums(alignments: Alignments, ahead: Alignments, in_logs: bool, band: int | None) -> Sums:
    forward = _Recursion(ahead, in_logs, band)
    forward.forward(keep=True)
    return _Recursion(alignments, in_logs, band).backward(forward)


class _Recursion:
    """The passes over one chunk, multiplying probabilities or adding logarithms.

    The state of a diagonal is (pairs, bases + 2), for i from -1, which stays empty.
    """

    def __init__(self, alignments: Alignments, in_logs: bool, band: int | None = None) -> None:
        self.in_logs, self.zero = in_logs, -torch.inf if in_logs else 0.0
        self.num_bases = alignments.num_bases
        self.bases, self.length = alignments.deletion.shape[1], alignments.read.shape[1]
        at = torch.arange(self.bases, device=self.num_bases.device)
        is_base = at < self.num_bases[:, None]  # (pairs, bases)
        # both from gap to gap: there is no base before the first
        passed = pad(alignments.emission * is_base[:, :, None], (0, 0, 1, 0))
        skipped = pad(alignments.deletion * is_base, (1, 0))
        self.skipped = skipped.log() if in_logs else skipped
        weights = torch.stack([passed, alignments.insertion])
        self.weights = weights.permute(3, 0, 1, 2).contiguous()  # (letters, 2, pairs, gaps)
        is_letter = one_hot(alignments.read + 1, len(self.weights) + 1)[..., 1:].to(skipped)
        # along a diagonal a read runs backwards; the last place is j = 0, before its first letter
        self.is_letter = pad(is_letter.permute(2, 0, 1).flip(2), (0, 1))  # (letters, pairs, places)
        ends = (self.num_bases + alignments.num_letters).tolist()
        self.ends: dict[int, list[int]] = {}  # diagonal -> pairs that end on it
        for pair, diagonal in enumerate(ends):
            self.ends.setdefault(diagonal, []).append(pair)
        self.diagonals = max(ends, default=-1) + 1
        self.band = self.bases + self.length if band is None else band
        self.scale = skipped.new_zeros(len(ends))  # log of what the state was divided by
        self.kept: list[tuple[int, Tensor]] = []  # of each diagonal: first column, and the state
        self.kept_scale = self.scale.new_zeros(self.diagonals, len(ends))

    def forward(self, keep: bool = False) -> Float[Tensor, " pairs"]:
        """Log-likelihoods; `keep` keeps of each diagonal what a pass back will ask for."""
        before, last = self._empty(2)
        self.found = torch.empty_like(self.scale)
        for k in range(self.diagonals):
            before, last = self._rescaled(k, before, last)
            state = self._empty(1)[0]
            low, high = self._range(k)
            if k == 0:
                state[:, 1] = 0.0 if self.in_logs else 1.0
            else:
                passed, inserted = self._weights(self._is_letter(k), low, high)
                target = state[:, low + 1 : high + 1]
                self._add(target, inserted, last[:, low + 1 : high + 1])
                self._add(target, self.skipped[:, low:high], last[:, low:high])
                self._add(target, passed, before[:, low:high])
            if k in self.ends:
                self.found[self.ends[k]] = self._value(state, self.ends[k])
            self.kept_scale[k] = self.scale
            if keep:
                # the next two diagonals reach beyond this one's range by up to two places
                first = max(0, low - 1)
                self.kept.append((first, state[:, first : high + 3].clone()))
            before, last = last, state
        return self.found

    def backward(self, ahead: "_Recursion") -> Sums:
        """All sums, by going back over the diagonals that `ahead` has kept."""
        pairs, gaps = self.skipped.shape
        by_letter = torch.zeros_like(self.weights)
        skipped, through = self.skipped.new_zeros(2, pairs, gaps)
        state, before, first = self._empty(3)
        for k in range(self.diagonals - 1, -1, -1):
            if k in self.ends:
                rows = self.ends[k]
                state[rows, self.num_bases[rows] + 1] = 0.0 if self.in_logs else 1.0
            state, before = self._rescaled(k, state, before)
            low, high = self._range(k)
            here = state[:, low + 1 : high + 1]
            # of this diagonal with that one, the one before it, the one before that
            scales = self.scale + ahead.kept_scale[[k, k - 1, k - 2]] - ahead.found
            through[:, low:high] += self._join(ahead.cells(k, low + 1, high + 1), here, scales[0])
            if k == 0:
                break
            joined = here.new_zeros(2, *here.shape)
            skipped[:, low:high] += self._join(ahead.cells(k - 1, low, high), here, scales[1])
            joined[1] = self._join(ahead.cells(k - 1, low + 1, high + 1), here, scales[1])
            if k > 1:
                joined[0] = self._join(ahead.cells(k - 2, low, high), here, scales[2])
            is_letter = self._is_letter(k)
            for target, letter in zip(by_letter, is_letter, strict=True):
                target[:, :, low:high].addcmul_(joined, letter)
            passed, inserted = self._weights(is_letter, low, high)
            self._add(before[:, low + 1 : high + 1], inserted, here)
            self._add(before[:, low:high], self.skipped[:, low:high], here)
            self._add(first[:, low:high], passed, here)
            state, before, first = before, first, self._empty(1)[0]
        total = self._value(state, range(pairs), column=1)
        share = (ahead.found - total).exp()[:, None]
        passed, inserted = (
            by_letter.permute(1, 2, 3, 0) * share[:, :, None]
        )  # (pairs, gaps, letters)
        return Sums(total, passed[:, 1:], skipped[:, 1:] * share, inserted, through * share)

    def cells(self, k: int, start: int, stop: int) -> Float[Tensor, "pairs width"]:
        """Columns of a diagonal that was kept."""
        first, state = self.kept[k]
        return state[:, start - first : stop - first]

    def _range(self, k: int) -> tuple[int, int]:
        """The first i of a diagonal, and the one after its last."""
        low = max(0, k - self.length, -((self.band - k) // 2))  # i - j = 2 i - k >= -band
        return low, min(self.bases, k, (k + self.band) // 2) + 1

    def _is_letter(self, k: int) -> Float[Tensor, "letters pairs width"]:
        low, high = self._range(k)
        return self.is_letter[:, :, self.length - k + low : self.length - k + high]

    def _weights(
        self, is_letter: Float[Tensor, "letters pairs width"], low: int, high: int
    ) -> Float[Tensor, "2 pairs width"]:
        """Probabilities that base i is passed on as letter j, and that gap i has it inserted."""
        weights = self.weights[0, :, :, low:high] * is_letter[0]
        for weight, letter in zip(self.weights[1:], is_letter[1:], strict=True):
            weights.addcmul_(weight[:, :, low:high], letter)
        return weights.log() if self.in_logs else weights

    def _empty(self, count: int) -> Float[Tensor, "count pairs states"]:
        return self.skipped.new_full((count, len(self.skipped), self.bases + 2), self.zero)

    def _add(self, target: Tensor, weight: Tensor, values: Tensor) -> None:
        if self.in_logs:
            torch.logaddexp(target, weight + values, out=target)
        else:
            target.addcmul_(weight, values)

    def _rescaled(self, k: int, *states: Tensor) -> tuple[Tensor, ...]:
        """The states, divided by their largest entry now and then."""
        if self.in_logs or k % _RESCALE_EVERY:
            return states
        largest = torch.stack([state.amax(dim=1) for state in states]).amax(dim=0)
        largest = largest.where(largest > 0, 1.0)
        self.scale = self.scale + largest.log()
        return tuple(state / largest[:, None] for state in states)

    def _value(self, state: Tensor, pairs: Sequence[int], column: int | None = None) -> Tensor:
        rows = list(pairs)
        at = self.num_bases[rows] + 1 if column is None else column
        value = state[rows, at]
        return (value if self.in_logs else value.log()) + self.scale[rows]

    def _join(self, ahead: Tensor, here: Tensor, scale: Float[Tensor, " pairs"]) -> Tensor:
        """Share of the likelihood that passes from the cells of `ahead` to those of `here`."""
        if self.in_logs:
            return (ahead + here + scale[:, None]).exp()
        return ahead * (here * scale.exp()[:, None])
