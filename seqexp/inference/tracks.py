"""Predictions along a genome: a window every few letters, and a value for those in its middle."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.regions import Region
from seqexp.inference.dna import MAX_POSITIONS, scores, tokens_of, values
from seqexp.inference.ensemble import mean
from seqexp.inference.prediction import columns
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import PAD, Output, TaskSpec, Vocabulary
from seqexp.utils.nearest import did_you_mean


class Value(NamedTuple):
    """What is predicted for letters `start` (from 0) to before `end` of a contig."""

    contig: str
    start: int
    end: int
    value: float


@dataclass
class Tiles:
    """Cuts regions into tiles of `step` letters, each in the middle of a window.

    Args:
        genome: where the regions are.
        regions: without overlaps.
        step: letters of a tile; the last one of a region may be shorter.
        width: letters of a window.
        together: windows that are read together.
        left_out: tiles so far whose window reaches over the end of the contig, or holds no letter
            but N.
    """

    genome: Genome
    regions: Sequence[Region]
    step: int
    width: int
    together: int
    left_out: int = 0

    def read(
        self, vocabulary: Vocabulary
    ) -> Iterator[tuple[list[Region], Int[Tensor, "windows time"]]]:
        """Tiles and the token ids of their windows, at most `together` at once."""
        together = min(self.together, max(1, MAX_POSITIONS // self.width))
        tiles: list[Region] = []
        parts: list[Tensor] = []
        for region in self.regions:
            places = self._places(region)
            while places:
                chosen = places[: together - len(tiles)]
                places = places[len(chosen) :]
                windows = self._windows(region.contig, chosen, vocabulary)
                there = (windows != PAD).any(dim=1)
                self.left_out += len(chosen) - int(there.sum())
                tiles += [
                    Region(region.contig, start, min(start + self.step, region.end))
                    for start, is_there in zip(chosen, there.tolist(), strict=True)
                    if is_there
                ]
                parts.append(windows[there])
                if len(tiles) == together:
                    yield tiles, torch.cat(parts)
                    tiles, parts = [], []
        if tiles:
            yield tiles, torch.cat(parts)

    def _places(self, region: Region) -> range:
        """First letters of a region's tiles whose window is inside of the contig."""
        before = (self.width - self.step) // 2  # of the window, before its tile; may be negative
        last = self.genome.contigs[region.contig] - self.width + before
        every = range(region.start, region.end, self.step)
        first = max(0, -((region.start - before) // self.step))
        places = every[first:]
        count = len(range(places.start, min(region.end, last + 1), self.step)) if places else 0
        self.left_out += len(every) - count
        return places[:count]

    def _windows(
        self, contig: str, places: range, vocabulary: Vocabulary
    ) -> Int[Tensor, "windows time"]:
        begin = places.start - (self.width - self.step) // 2
        if self.step > self.width:  # letters between windows are not read
            starts = range(begin, begin + len(places) * self.step, self.step)
            read = [self.genome.letters(contig, at, at + self.width) for at in starts]
            return tokens_of(read, vocabulary)
        end = begin + (len(places) - 1) * self.step + self.width
        (letters,) = tokens_of([self.genome.letters(contig, begin, end)], vocabulary)
        windows: Tensor = letters.unfold(0, self.width, self.step)  # (windows, time)
        return windows


def values_along(
    models: Sequence[SavedModel], weights: Sequence[float], tiles: Tiles, output: int
) -> Iterator[Value]:
    """The value of each tile: the probability of an output, or a number in its unit.

    Args:
        models: whose predictions are averaged, all of DNA and of the same outputs.
        weights: of each.
        tiles: where values are wanted.
        output: index of the output.

    Raises:
        InputError: if their token ids mean different letters.
    """
    first, *others = (model.spec.vocabulary for model in models)
    if any(other != first for other in others):
        raise InputError("the runs number the letters of DNA in different orders; give one run")
    for places, tokens in tiles.read(first):
        for place, value in zip(places, _values(models, weights, tokens, output), strict=True):
            yield Value(*place, float(value))


def _values(
    models: Sequence[SavedModel],
    weights: Sequence[float],
    tokens: Int[Tensor, "windows time"],
    output: int,
) -> Float[Tensor, " windows"]:
    found = mean([scores(model, tokens) for model in models], weights)
    track: Tensor = values(models[0].spec, found)[:, output]
    return track


def output_of(spec: TaskSpec, label: str | None) -> int:
    """Index of the class, label or number that a track is of.

    Raises:
        InputError: if there is none of this name, or several and none is named.
    """
    names = columns(spec)
    if label is None:
        if len(names) == 1:
            return 0
        if len(names) == 2 and spec.output is Output.SEQUENCE_CLASS:
            return 1
        raise InputError(f"a track is of one output: give label=NAME, one of {', '.join(names)}")
    if label not in names:
        hint = did_you_mean(label, names) or f"; give one of {', '.join(names[:20])}"
        raise InputError(f"label is {label!r}, which the model does not predict{hint}")
    return names.index(label)
