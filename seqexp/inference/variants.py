"""What a variant does to a prediction: the same window with either allele, on both strands.

Source: Zhou & Troyanskaya (2015) for the difference of log-odds between alleles.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.variants import Variant
from seqexp.inference.dna import log_odds, scores, tokens_of, values
from seqexp.inference.prediction import columns
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import Output, TaskSpec

REF_DIFFERS = "REF differs"

ANOTHER_ASSEMBLY = 0.05
"""Share of differing REF from which a genome is said to be of another assembly."""


@dataclass(frozen=True)
class Located:
    """A variant between the letters of the genome around it.

    Args:
        variant: as the file has it.
        left: letters before those that differ.
        ref: letters that differ, without what both alleles begin and end with.
        alt: letters that stand there instead.
        right: letters after them.
    """

    variant: Variant
    left: str
    ref: str
    alt: str
    right: str

    def windows(self, width: int) -> tuple[str, str]:
        """Windows of either allele, which is in the middle of its own."""
        found = []
        for allele in (self.ref, self.alt):
            before = (width - len(allele)) // 2
            after = width - len(allele) - before
            found.append(self.left[len(self.left) - before :] + allele + self.right[:after])
        return found[0], found[1]


@dataclass
class Places:
    """Finds variants in a genome, and counts those that are left out.

    Args:
        genome: where the variants are.
        width: letters of the widest window.
    """

    genome: Genome
    width: int
    skipped: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    _names: dict[str, str | None] = field(default_factory=dict)

    def find(self, variant: Variant) -> Located | str:
        """The variant with the letters around it, or the reason why it is left out."""
        found = variant.reason or self._find(variant)
        if isinstance(found, str):
            self.skipped[found.partition(":")[0]] += 1
        return found

    def _find(self, variant: Variant) -> Located | str:
        if variant.contig not in self._names:
            try:
                self._names[variant.contig] = self.genome.name_of(variant.contig)
            except InputError:
                self._names[variant.contig] = None
        contig = self._names[variant.contig]
        if contig is None:
            return f"missing contig: the genome has no {variant.contig:.60}"
        size = self.genome.contigs[contig]
        start = variant.position - 1
        if start + len(variant.ref) > size:
            return f"off the end: {contig} has {size:,} letters"
        begin, ref, alt = differing(start, variant.ref, variant.alt)
        if max(len(ref), len(alt)) > self.width:
            return f"too long: an allele has more letters than the window of {self.width:,}"
        shorter = min(len(ref), len(alt))
        first = begin - (self.width - shorter) // 2
        last = begin + len(ref) + (self.width - shorter + 1) // 2
        low, high = max(0, min(first, start)), min(size, max(last, start + len(variant.ref)))
        letters = self.genome.letters(contig, low, high)
        there = letters[start - low : start - low + len(variant.ref)]
        self.compared += 1
        if there != variant.ref:
            return f"{REF_DIFFERS}: it is {variant.ref:.40}, and the genome has {there:.40}"
        if first < 0 or last > size:
            return (
                f"off the end: a window of {self.width:,} letters around it reaches over the end of"
                f" {contig} ({size:,} letters)"
            )
        before, after = begin - low, begin + len(ref) - low
        return Located(variant, letters[first - low : before], ref, alt, letters[after:])

    @property
    def share_that_differs(self) -> float:
        """Of the variants whose REF was compared with the genome."""
        return self.skipped[REF_DIFFERS] / self.compared if self.compared else 0.0


def differing(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Where two alleles begin to differ, and what differs; common ends are taken off first."""
    shorter = min(len(ref), len(alt))
    end = 0
    while end < shorter and ref[-1 - end] == alt[-1 - end]:
        end += 1
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    begin = 0
    while begin < shorter - end and ref[begin] == alt[begin]:
        begin += 1
    return start + begin, ref[begin:], alt[begin:]


MEASURES = ("ref", "alt", "difference", "log_odds_difference")
"""Of each output; of numbers there are no log-odds."""


def measures(spec: TaskSpec) -> tuple[str, ...]:
    """Names of what is told of each output."""
    return MEASURES[:-1] if spec.output is Output.REGRESSION else MEASURES


def effects(
    saved: SavedModel, located: Sequence[Located], width: int
) -> Float[np.ndarray, "variants outputs measures"]:
    """What a model says of variants, by `measures`: probabilities, or numbers in their unit."""
    pairs = [one.windows(width) for one in located]
    windows = [ref for ref, _ in pairs] + [alt for _, alt in pairs]
    spec = saved.spec
    found = scores(saved, tokens_of(windows, spec.vocabulary))
    ref, alt = values(spec, found).chunk(2)  # (variants, outputs)
    told = [ref, alt, alt - ref]
    if spec.output is not Output.REGRESSION:
        odds_of_ref, odds_of_alt = log_odds(spec, found).chunk(2)
        told.append(odds_of_alt - odds_of_ref)
    together: np.ndarray = torch.stack(told, dim=2).numpy()
    return together


def column_names(spec: TaskSpec, num_runs: int) -> list[str]:
    """Columns of the table after those of the variant: the mean, and of several runs the spread."""
    names = []
    for output in columns(spec):
        for measure in measures(spec):
            names.append(f"{output}_{measure}")
            names += [f"{output}_{measure}_sd"] if num_runs > 1 else []
    return names


def rows(
    models: Sequence[SavedModel], located: Sequence[Located], widths: Sequence[int]
) -> list[list[float]]:
    """A row a variant, a value a column of `column_names`; deviations are those of samples."""
    given = zip(models, widths, strict=True)
    found = np.stack([effects(model, located, width) for model, width in given])
    told = [found.mean(axis=0)]  # (variants, outputs, measures)
    if len(found) > 1:
        told.append(found.std(axis=0, ddof=1))
    together: list[list[float]] = np.stack(told, axis=3).reshape(len(located), -1).tolist()
    return together
