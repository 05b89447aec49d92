"""Where filters find what they read: every window that excites them, on either strand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from seqexp.interpret.filters.windows import HasFilters, of_windows_inside, reads_both_strands
from seqexp.spec import PAD, Vocabulary, other_strand

ROWS = 250
"""Sequences at a time: bounds the memory of activations."""

WINDOWS = 2**27
"""Windows, counted for each filter, whose sites are sought together: bounds the memory of sites."""

MANY = 2**16
"""New sites of a filter after which the weaker of two that overlap are left out."""


@dataclass(frozen=True, eq=False)
class Sites:
    """Sites of a motif, an entry a site in each array.

    Place c of the motif lies on the letter `anchors + directions * c` of the sequence: directions
    are 1, or -1 on the other strand. `scores` are activations as a share of the filter's largest.
    """

    rows: Int[np.ndarray, " sites"]
    anchors: Int[np.ndarray, " sites"]
    directions: Int[np.ndarray, " sites"]
    scores: Float[np.ndarray, " sites"]

    def __len__(self) -> int:
        """Number of sites."""
        return len(self.rows)

    def chosen(
        self, which: Bool[np.ndarray, " sites"] | Int[np.ndarray, " chosen"] | slice
    ) -> "Sites":
        """These of the sites."""
        return Sites(
            self.rows[which], self.anchors[which], self.directions[which], self.scores[which]
        )

    def placed(self, first: int, reverse: bool) -> "Sites":
        """The same in the places of another motif, whose place `first` is place 0 of this one.

        With `reverse`, this one runs backwards from there.
        """
        sign = -1 if reverse else 1
        anchors = self.anchors - sign * self.directions * first
        return Sites(self.rows, anchors, sign * self.directions, self.scores)

    def spans(
        self, start: int, stop: int
    ) -> tuple[Int[np.ndarray, " sites"], Int[np.ndarray, " sites"]]:
        """First letter of places `start` to before `stop`, and the letter after their last."""
        ends = self.anchors + self.directions * start, self.anchors + self.directions * (stop - 1)
        return np.minimum(*ends), np.maximum(*ends) + 1


def joined(parts: Sequence[Sites]) -> Sites:
    """The sites of several, one after the other."""
    return Sites(
        np.concatenate([one.rows for one in parts]),
        np.concatenate([one.anchors for one in parts]),
        np.concatenate([one.directions for one in parts]),
        np.concatenate([one.scores for one in parts]),
    )


def without_weaker(sites: Sites, start: int, stop: int) -> Sites:
    """Without sites that have a stronger one nearby: nearer than half of their places.

    Places are those from `start` to before `stop`. The rest is sorted by row and place.
    """
    radius = max(1, (stop - start + 1) // 2)
    begins, _ = sites.spans(start, stop)
    # of two that are as strong, the one of the strand that is read stays
    order = np.lexsort((-sites.directions, begins, sites.rows))
    sites, begins = sites.chosen(order), begins[order]
    stays = np.ones(len(sites), dtype=bool)
    for step in range(1, len(sites)):
        near = (sites.rows[step:] == sites.rows[:-step]) & (begins[step:] - begins[:-step] < radius)
        if not near.any():
            break
        later_wins = sites.scores[step:] > sites.scores[:-step]
        stays[:-step] &= ~(near & later_wins)
        stays[step:] &= ~(near & ~later_wins)
    return sites.chosen(stays)


def filter_sites(
    model: HasFilters,
    tokens: UInt8[Tensor, "sequences time"],
    symbols: Sequence[str],
    share: float,
) -> Iterator[Sites]:
    """Of each filter in turn, its windows without padding above a share of its largest activation.

    Of two that overlap the weaker one is left out, as `without_weaker` has it. Of very many
    sequences, activations are computed again for some filters at a time.

    Args:
        model: whose filters.
        tokens: the sequences.
        symbols: of the vocabulary.
        share: of the largest activation.
    """
    num_filters, width, _ = model.filter_weights().shape
    if tokens.shape[1] < width:
        yield from [_empty()] * num_filters
        return
    step = max(1, WINDOWS // max(1, tokens.numel()))
    for first in range(0, num_filters, step):
        some = slice(first, min(first + step, num_filters))
        found, largest = _sought(model, tokens, symbols, share, some)
        for most in largest:
            yield found.pop(0).done(most, share)


@torch.no_grad()
def _sought(
    model: HasFilters,
    tokens: UInt8[Tensor, "sequences time"],
    symbols: Sequence[str],
    share: float,
    some: slice,
) -> tuple[list["_Growing"], list[float]]:
    """Sites of some filters, and the largest activation of each."""
    num_filters, width = some.stop - some.start, model.filter_weights().shape[1]
    largest = torch.zeros(num_filters)
    found = [_Growing(width) for _ in range(num_filters)]
    for first in range(0, len(tokens), ROWS):
        part = tokens[first : first + ROWS]
        for direction, all_activations in _strands(model, part, width, symbols):
            activations = all_activations[:, :, some].contiguous()
            largest = torch.maximum(largest, activations.amax(dim=(0, 1)))
            values, above = activations.numpy().ravel(), activations > share * largest
            places = np.flatnonzero(above.numpy())
            windows, filters = np.divmod(places, num_filters)
            # by filter; of small integers, in time that grows as their number
            small = filters.astype(np.int16 if num_filters < 2**15 else np.int64)
            order = np.argsort(small, kind="stable")
            rows, starts = np.divmod(windows[order], activations.shape[1])
            anchors = starts if direction == 1 else starts + width - 1
            # millions of sites: as few bytes as hold them
            parts = Sites(
                (rows + first).astype(np.int32),
                anchors.astype(np.int32),
                np.full(len(rows), direction, dtype=np.int32),
                values[places[order]],
            )
            ends = np.searchsorted(filters[order], np.arange(num_filters + 1))
            for index in range(num_filters):
                if ends[index] < ends[index + 1]:
                    found[index].add(parts.chosen(np.arange(ends[index], ends[index + 1])))
        for own, most in zip(found, largest.tolist(), strict=True):
            if own.count > MANY:
                own.thin(share * most)
    return found, largest.tolist()


class _Growing:
    """Sites of a filter, whole sequences at a time.

    A stronger site that overlaps is above any share of the largest activation that the weaker one
    is above. So leaving out the weaker ones of the sequences so far is the same as in the end.
    """

    def __init__(self, width: int) -> None:
        self.width, self.count = width, 0
        self.thinned: list[Sites] = []
        self.new: list[Sites] = []

    def add(self, sites: Sites) -> None:
        """Take in some of the sites of sequences that come after all others, or are the last."""
        self.new.append(sites)
        self.count += len(sites)

    def thin(self, least: float) -> None:
        """Leave out the weaker of two that overlap, and all up to an activation."""
        if self.new:
            sites = joined(self.new)
            sites = sites.chosen(sites.scores > least)
            self.thinned.append(without_weaker(sites, 0, self.width))
        self.new, self.count = [], 0

    def done(self, largest: float, share: float) -> Sites:
        """Those above the share of what is the largest of all, by row and place."""
        self.thin(share * largest)
        sites = joined(self.thinned) if self.thinned else _empty()
        self.thinned = []
        sites = sites.chosen(sites.scores > share * largest)
        return Sites(sites.rows, sites.anchors, sites.directions, sites.scores / (largest or 1.0))


def _strands(
    model: HasFilters, tokens: UInt8[Tensor, "rows time"], width: int, symbols: Sequence[str]
) -> Iterator[tuple[int, Float[Tensor, "rows starts filters"]]]:
    """Activations by the first letter of the window; 0 of windows with padding."""
    device = model.filter_weights().device
    ids = tokens.long().to(device)
    outside = None
    if bool((tokens == PAD).any()):
        outside = (tokens == PAD).unfold(1, width, 1).any(dim=2)[:, :, None]  # (rows, starts, 1)
    directions = [1, -1] if reads_both_strands(model) else [1]
    for direction in directions:
        read = ids if direction == 1 else other_strand(ids, Vocabulary(tuple(symbols)))
        found = of_windows_inside(model, read, width).cpu().float()
        if direction == -1:
            found = found.flip(1)
        yield direction, found if outside is None else found.masked_fill(outside, 0)


def counts(
    sites: Sites,
    tokens: UInt8[np.ndarray, "sequences time"],
    start: int,
    stop: int,
    num_symbols: int,
    complements: Int[np.ndarray, " ids"] | None,
) -> Float[np.ndarray, "places symbols"]:
    """How often each symbol stands at places `start` to before `stop` of all sites.

    Places outside of a sequence, and unknown letters, count nowhere.

    Args:
        sites: of a motif.
        tokens: the sequences.
        start: the first place.
        stop: the place after the last.
        num_symbols: of the vocabulary.
        complements: the id that each id is on the other strand; None where there is one strand.
    """
    found = np.zeros((stop - start, num_symbols + 1))
    for index, place in enumerate(range(start, stop)):
        at = sites.anchors + sites.directions * place
        inside = (at >= 0) & (at < tokens.shape[1])
        ids = tokens[sites.rows[inside], at[inside]]
        if complements is not None:
            ids = np.where(sites.directions[inside] < 0, complements[ids], ids)
        found[index] = np.bincount(ids, minlength=num_symbols + 1)
    return found[:, 1:]


def _empty() -> Sites:
    nothing = np.zeros(0, dtype=np.int64)
    return Sites(nothing, nothing, nothing, np.zeros(0))
