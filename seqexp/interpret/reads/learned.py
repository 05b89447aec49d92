"""What a model of read errors has learned: errors of reads that it writes, beside those of reads.

Both are aligned with their sequences and counted by the same code, so that what an alignment cannot
see (a letter lost from AAA may stand at any of the three) falls on both alike.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from seqexp.decode.consensus.reliability import runs
from seqexp.formats.dna import LETTERS
from seqexp.interpret.reads.errors import GAP, columns

LONGEST = 6
"""Bases of a homopolymer; longer ones count as such."""

LAGS = 8
"""Bases behind an error at which others are counted."""

KINDS = ("insertions", "deletions", "substitutions")


class Told(NamedTuple):
    """A read with its sequence, on the strand that it was read from, and its latent quality."""

    sequence: str
    read: str
    strand: int = 0
    quality: int = 0


class Row(NamedTuple):
    """Errors of a hundred bases of one group, in the reads and in reads that the model writes."""

    by: str
    group: str
    bases: int
    reads: tuple[float, float, float]
    model: tuple[float, float, float]

    def cells(self) -> dict[str, str | int | float]:
        """A line of a table."""
        found: dict[str, str | int | float] = {"by": self.by, "group": self.group}
        found["bases"] = self.bases
        for name, values in (("reads", self.reads), ("model", self.model)):
            found |= {f"{name}_{kind}": value for kind, value in zip(KINDS, values, strict=True)}
        return found


@dataclass(frozen=True, eq=False)
class Learned:
    """Rows by group; and how much likelier an error is so many bases behind another."""

    rows: tuple[Row, ...]
    burst_of_reads: Float[np.ndarray, " lags"]
    burst_of_model: Float[np.ndarray, " lags"]

    def by(self, name: str) -> list[Row]:
        """The rows of one kind of group."""
        return [row for row in self.rows if row.by == name]

    def table(self) -> list[dict[str, str | int | float | None]]:
        """All as lines of one table; of a burst, how many times as likely an error is."""
        columns = [f"{name}_{kind}" for kind in KINDS for name in ("reads", "model")]
        empty = dict.fromkeys(["by", "group", "bases", *columns, "reads_times", "model_times"])
        found = [empty | row.cells() for row in self.rows]
        bursts = zip(self.burst_of_reads.tolist(), self.burst_of_model.tolist(), strict=True)
        for lag, (of_reads, of_model) in enumerate(bursts, start=1):
            times = {"reads_times": of_reads, "model_times": of_model}
            found.append(empty | {"by": "burst", "group": f"{lag} behind", **times})
        return found


def learned(reads: Sequence[Told], written: Sequence[Told]) -> Learned:
    """Compare reads with those that the model writes of the same sequences."""
    both = [_errors(reads), _errors(written)]
    rows: list[Row] = []
    names = list(dict.fromkeys(key for counts, _ in both for key in counts))
    for by, group in sorted(names):
        counts = [found.get((by, group), np.zeros(4)) for found, _ in both]
        if not counts[0][3] or not counts[1][3]:
            continue
        shares = [tuple((100 * one[:3] / one[3]).tolist()) for one in counts]
        rows.append(Row(by, group, int(counts[0][3]), shares[0], shares[1]))
    return Learned(tuple(rows), both[0][1], both[1][1])


Counts = dict[tuple[str, str], Float[np.ndarray, " four"]]
"""Insertions, deletions, substitutions and bases of each group."""


def _errors(pairs: Sequence[Told]) -> tuple[Counts, Float[np.ndarray, " lags"]]:
    """Counts by group, and the burst."""
    counts: Counts = {}
    after, behind, errors, bases = np.zeros(LAGS), np.zeros(LAGS), 0.0, 0
    for told in pairs:
        found = _by_place(told)
        for place, groups in enumerate(_groups(told)):
            for group in groups:
                counts.setdefault(group, np.zeros(4))[:3] += found[place]
                counts[group][3] += 1
        is_wrong = found.sum(axis=1) > 0
        errors, bases = errors + is_wrong.sum(), bases + len(is_wrong)
        for lag in range(1, LAGS + 1):
            after[lag - 1] += (is_wrong[:-lag] & is_wrong[lag:]).sum()
            behind[lag - 1] += is_wrong[:-lag].sum()
    usual = errors / max(1, bases)
    return counts, after / np.maximum(1, behind) / max(usual, 1e-12)


def _by_place(told: Told) -> Float[np.ndarray, "bases kinds"]:
    """Letters inserted before each base, and whether it is lost, or another."""
    found = np.zeros((len(told.sequence), len(KINDS)))
    for place, letter, base in columns(told.read, told.sequence):
        if base == GAP:
            found[min(place, len(found) - 1), 0] += 1
        elif letter == GAP:
            found[place, 1] = 1
        elif letter != base:
            found[place, 2] = 1
    return found


def _groups(told: Told) -> Iterator[list[tuple[str, str]]]:
    """What each base counts for."""
    text, size = told.sequence, len(told.sequence)
    equal = runs(text)
    for place, base in enumerate(text):
        found = [
            ("all", "all"),
            ("homopolymer", f"{min(LONGEST, equal[place])}" + "+" * (equal[place] >= LONGEST)),
            ("base and strand", f"{base}, strand {told.strand + 1}"),
            ("quality", f"{told.quality + 1}"),
        ]
        if 0 < place < size - 1:
            found.append(("context", text[place - 1 : place + 2]))
        yield found


@dataclass(frozen=True, eq=False)
class Chances:
    """What may happen at each place, as `kernels.pair_hmm.Rates` has it, a row a read."""

    emission: Float[np.ndarray, "reads states bases letters"]
    insertion: Float[np.ndarray, "reads states gaps letters"]
    deletion: Float[np.ndarray, "reads states bases"]
    stay: Float[np.ndarray, "reads bases"]
    base: Int[np.ndarray, "reads bases"]
    num_bases: Int[np.ndarray, " reads"]


def written(chances: Chances, draw: Callable[[int], Float[np.ndarray, " draws"]]) -> list[str]:
    """A read of each row, by chance; `draw` gives so many numbers from 0 to 1.

    States are those of `kernels/cpp/pair_hmm.cpp`, of which there are four.
    """
    count, states, bases, _ = chances.emission.shape
    texts = [""] * count
    rows = np.arange(count)
    place, state = np.zeros(count, dtype=int), np.zeros(count, dtype=int)
    most = 3 * (bases + 1)
    for _ in range(most):
        rows = rows[place[rows] <= chances.num_bases[rows]]
        if not len(rows):
            break
        at, of = place[rows], state[rows]
        is_last = at == chances.num_bases[rows]
        safe = np.minimum(at, bases - 1)
        events = np.concatenate(
            [
                chances.insertion[rows, of, at],
                np.where(is_last[:, None], 0, chances.emission[rows, of, safe]),
                np.where(is_last, 0, chances.deletion[rows, of, safe])[:, None],
            ],
            axis=1,
        )  # (reads, 9); the rest is the end
        drawn = draw(2 * len(rows)).reshape(2, -1)
        event = (events.cumsum(axis=1) <= drawn[0][:, None]).sum(axis=1)
        is_copy = (event >= 4) & (event < 8) & (event - 4 == chances.base[rows, safe])
        stays = drawn[1] < chances.stay[rows, safe]
        for row, one in zip(rows.tolist(), event.tolist(), strict=True):
            texts[row] += LETTERS[one % 4] if one < 8 else ""
        place[rows] += np.where(event < 4, 0, 1)
        place[rows[is_last & (event >= 4)]] = bases + 1
        state[rows] = _next(of, event, is_copy, stays)
    return texts


def _next(
    state: Int[np.ndarray, " reads"],
    event: Int[np.ndarray, " reads"],
    is_copy: Bool[np.ndarray, " reads"],
    stays: Bool[np.ndarray, " reads"],
) -> Int[np.ndarray, " reads"]:
    recent = 3
    copied = np.where(state == 0, 0, np.where((state == recent) & ~stays, 0, recent))
    passed = np.where(is_copy, copied, recent)
    found: np.ndarray = np.where(event < 4, 1, np.where(event == 8, 2, passed))
    return found
