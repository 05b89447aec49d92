"""Tomtom: how likely the best overlap of two motifs is by chance (`cpp/tomtom.cpp`, by ctypes).

Two ways to the same scores, and to p-values that differ by rounding: C++, and NumPy where there is
no compiler. Other Python threads run meanwhile.

Source: Gupta, Stamatoyannopoulos, Bailey & Noble (2007), with complete scores: what an overlap does
not cover counts as much as the median. Target columns that are nearly the same are taken together,
and medians are those of 1000 bins, as in memelite (Schreiber 2025), so that all numbers are its.
"""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from seqexp.kernels.build import Built, built

SOURCE = Path(__file__).parent / "cpp" / "tomtom.cpp"

SCORE_BINS, MEDIAN_BINS, TARGET_BINS = 100, 1000, 100
"""Whole numbers that scores become, bins of a median, and of a letter in a target column."""

Matrix = Float[np.ndarray, "letters _"]
"""A motif: a row a letter, A C G T, of which the reverse order is the complement."""


class Overlaps(NamedTuple):
    """The best overlap of each query with each target, over both strands.

    The query's first place lies on the target's place `offsets`, counted from 0, after the target
    was turned if `turned`. `p_values` are for the better of two strands.
    """

    p_values: Float[np.ndarray, "queries targets"]
    scores: Int[np.ndarray, "queries targets"]
    offsets: Int[np.ndarray, "queries targets"]
    lengths: Int[np.ndarray, "queries targets"]
    turned: Int[np.ndarray, "queries targets"]


@dataclass(frozen=True)
class _Columns:
    """Columns of some motifs, each distinct one once.

    `places` are the distinct column of each column; motif `i` has those from `starts[i]` on.
    """

    values: Float[np.ndarray, "letters distinct"]
    norms: Float[np.ndarray, " distinct"]
    counts: Int[np.ndarray, " distinct"]
    places: Int[np.ndarray, " columns"]
    starts: Int[np.ndarray, " motifs_and_end"]

    def of(self, motif: int) -> Int[np.ndarray, " width"]:
        """The distinct column of each place of a motif."""
        return self.places[self.starts[motif] : self.starts[motif + 1]]


class _Motifs(ctypes.Structure):
    """`struct Motifs` of `cpp/tomtom.cpp`."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("queries", "targets", "columns")),
        *((f"query_{name}", ctypes.c_void_p) for name in ("columns", "norms", "ids", "starts")),
        *(
            (f"target_{name}", ctypes.c_void_p)
            for name in ("columns", "norms", "counts", "ids", "starts")
        ),
        *((name, ctypes.c_void_p) for name in ("p_values", "scores", "offsets", "overlaps")),
    ]


def available() -> Built:
    """The library, or the reason why there is none."""
    return built(SOURCE)


def compare(
    queries: Sequence[Matrix], targets: Sequence[Matrix], compiled: bool = True
) -> Overlaps:
    """The best overlap of each query with each target.

    p-values depend on the targets, whose columns are what chance is made of.

    Args:
        queries: probabilities, a matrix each.
        targets: the same.
        compiled: by C++, where there is a compiler.

    Raises:
        ValueError: if a matrix has no four rows or no column, or is nowhere other than 0.
    """
    if not queries or not targets:
        shape = (len(queries), len(targets))
        numbers = (np.empty(shape, dtype=np.int64) for _ in range(4))
        return Overlaps(np.empty(shape), *numbers)
    both = [*targets, *(target[::-1, ::-1] for target in targets)]
    asked, given = _columns(queries), _columns(both, TARGET_BINS)
    if max(float(asked.norms.max()), float(given.norms.max())) == 0:
        raise ValueError("all columns are 0; give probabilities")
    binary = available().binary if compiled else None
    found = _by_numpy(asked, given) if binary is None else _by_library(binary, asked, given)
    return _of_both_strands(*found)


def _of_both_strands(
    p_values: Float[np.ndarray, "queries strands"], *numbers: Int[np.ndarray, "queries strands"]
) -> Overlaps:
    """The better of two strands; of equal ones the second, as memelite has it."""
    half = p_values.shape[1] // 2
    least = np.minimum(p_values[:, :half], p_values[:, half:])
    is_turned = numbers[0][:, :half] <= numbers[0][:, half:]
    scores, offsets, lengths = (
        np.where(is_turned, values[:, half:], values[:, :half]) for values in numbers
    )
    # 1 - (1 - p)^2, which does not become 0 for a small p
    both = least * (2 - least)
    return Overlaps(both, scores, offsets, lengths, is_turned.astype(np.int64))


def _columns(motifs: Sequence[Matrix], bins: int | None = None) -> _Columns:
    """Distinct columns; with `bins`, those that fall into the same bins of each letter are one."""
    for motif in motifs:
        if motif.ndim != 2 or motif.shape[0] != 4 or not motif.shape[1]:
            raise ValueError(f"a motif is of shape {motif.shape}; give 4 rows, A C G T")
    values = np.concatenate([np.asarray(motif, dtype=np.float64) for motif in motifs], axis=1)
    norms = (values**2).sum(axis=0)
    if bins is None:
        keys = np.ascontiguousarray(values.T).view(np.dtype((np.void, 32))).ravel()
    else:
        low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
        high[high == low] = low[high == low] + 1
        places = np.around((values - low) / (high - low) * (bins - 1))
        keys = places.T.dot(bins ** np.arange(4)[:, None]).ravel()
    _, first, place, counts = np.unique(
        keys, return_index=True, return_inverse=True, return_counts=True
    )
    starts = np.cumsum([0, *(motif.shape[1] for motif in motifs)])
    return _Columns(
        np.ascontiguousarray(values[:, first]),
        np.ascontiguousarray(norms[first]),
        counts.astype(np.int64),
        place.ravel().astype(np.int64),
        starts.astype(np.int64),
    )


def _by_library(
    binary: ctypes.CDLL, asked: _Columns, given: _Columns
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    shape = (len(asked.starts) - 1, len(given.starts) - 1)
    p_values = np.empty(shape)
    scores, offsets, overlaps = (np.empty(shape, dtype=np.int64) for _ in range(3))
    by_column = np.ascontiguousarray(asked.values.T)
    arrays = (
        *(by_column, asked.norms, asked.places, asked.starts),
        *(given.values, given.norms, given.counts, given.places, given.starts),
        *(p_values, scores, offsets, overlaps),
    )
    numbers = (*shape, given.values.shape[1])
    told = _Motifs(*numbers, *(array.ctypes.data for array in arrays))
    if binary.compare(ctypes.byref(told)):
        raise ValueError("a score is not among those that a query may have; give probabilities")
    return p_values, scores, offsets, overlaps


# --- the same with NumPy ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Scored:
    """A query's scores: of each place with each distinct target column, from 0 to `SCORE_BINS`.

    `rest` is what a place without a target column scores, the median.
    """

    bins: Int[np.ndarray, "width distinct"]
    shares: Float[np.ndarray, "width scores"]  # how often random target columns have each
    rest: int


def _by_numpy(
    asked: _Columns, given: _Columns
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    lengths = np.diff(given.starts)
    rows = [
        _best_overlaps(scored, given, lengths, _tails(scored, set(lengths.tolist())))
        for scored in (_scored(asked, given, query) for query in range(len(asked.starts) - 1))
    ]
    p_values, scores, offsets, overlaps = (np.stack(part) for part in zip(*rows, strict=True))
    return p_values, scores, offsets, overlaps


def _scored(asked: _Columns, given: _Columns, query: int) -> _Scored:
    places = asked.of(query)
    squares = asked.norms[places][:, None] + given.norms
    for letter in range(4):
        squares = squares - (2 * asked.values[letter][places])[:, None] * given.values[letter]
    distances = np.where(squares > 0, -np.sqrt(np.maximum(squares, 0)), 0.0)
    medians = np.array([_median(row, given.counts) for row in distances])[:, None]
    shift = int(np.floor((distances.min(axis=1, keepdims=True) - medians).min()))
    highest = float((distances.max(axis=1, keepdims=True) - medians).max())
    scale = int(np.floor(SCORE_BINS / max(highest - shift, 1.0)))
    bins = np.floor((distances - (medians + shift)) * scale + 0.5).astype(np.int64)
    weights = given.counts / given.counts.sum()
    shares = [np.bincount(row, weights, minlength=SCORE_BINS + 1) for row in bins]
    return _Scored(bins, np.stack(shares), -shift * scale)


def _median(values: Float[np.ndarray, " some"], counts: Int[np.ndarray, " some"]) -> float:
    """The mean of the bin that holds the median."""
    low, span = float(values.min()), float(values.max() - values.min())
    if span == 0:
        return low
    places = ((values - low) / span * (MEDIAN_BINS - 1)).astype(np.int64)
    held = np.bincount(places, counts, minlength=MEDIAN_BINS)
    bin_ = int(np.argmax(np.cumsum(held) >= counts.sum() / 2))
    inside = places == bin_
    products = values[inside] * counts[inside]
    # one after the other, as compiled: another last bit may be another score
    return float(np.cumsum(products)[-1] / held[bin_])


def _spans(shares: Float[np.ndarray, "width scores"]) -> Iterator[list[np.ndarray]]:
    """Probabilities of the sums of each run of places, by the number of places."""
    runs = list(shares)
    yield runs
    for size in range(2, len(shares) + 1):
        runs = [np.convolve(runs[i], shares[i + size - 1]) for i in range(len(shares) - size + 1)]
        yield runs


def _tails(scored: _Scored, lengths: set[int]) -> dict[int, Float[np.ndarray, " scores"]]:
    """By length of a target, the probability that random columns' best overlap has each score."""
    width, rest = len(scored.bins), scored.rest
    count = width * (SCORE_BINS + rest) + 1
    ends, tails = np.zeros(count), {}
    for size, runs in enumerate(_spans(scored.shares), start=1):
        beyond = [_beyond(run, rest * (width - size), count) for run in runs]
        if size < width:
            if size in lengths:
                tails[size] = ends.copy()
                for one in beyond:
                    tails[size] += one * (1 - tails[size])
            for one in (beyond[0], beyond[-1]):
                ends += one * (1 - ends)
    for length in range(width, max(lengths, default=0) + 1):
        ends += beyond[0] * (1 - ends)
        if length in lengths:
            tails[length] = ends.copy()
    return tails


def _beyond(
    shares: Float[np.ndarray, " some"], first: int, count: int
) -> Float[np.ndarray, " scores"]:
    """Of each score, the probability of at least that."""
    found = np.zeros(count)
    found[first : first + len(shares)] = np.cumsum(shares[::-1])[::-1]
    found[: first + 1] = 1.0
    return np.where(found > 1 - 1e-12, 1.0, found)


def _best_overlaps(
    scored: _Scored,
    given: _Columns,
    lengths: Int[np.ndarray, " targets"],
    tails: dict[int, Float[np.ndarray, " scores"]],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    width = len(scored.bins)
    gains = scored.bins - scored.rest
    rows = []
    for target, length in enumerate(lengths.tolist()):
        mine = gains[:, given.of(target)]  # (width, length)
        sums = np.full(length + width - 1, width * scored.rest)
        for place in range(width):
            begin = width - 1 - place
            sums[begin : begin + length] += mine[place]
        rows.append(_best(sums, width, length, tails[length]))
    return tuple(np.array(part) for part in zip(*rows, strict=True))  # type: ignore[return-value]


def _best(
    sums: Int[np.ndarray, " places"], width: int, length: int, tail: Float[np.ndarray, " scores"]
) -> tuple[float, int, int, int]:
    """p-value, score, offset and length of the best overlap; of equal ones as memelite has it."""
    most = int(sums.max())
    if most <= 0:
        return 1.0, 0, 0, 0
    found: tuple[int, int] | None = None
    for k in np.flatnonzero(sums == most).tolist():
        shared = min(k + 1, width) - max(0, k - length + 1)
        if found is None or found[0] < shared:
            found = k - width + 1, shared
    assert found is not None
    return min(float(tail[most]), 1.0), most, *found
