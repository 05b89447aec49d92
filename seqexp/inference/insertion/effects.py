"""What a motif adds to a model's outputs, alone and in pairs.

Source: Koo & Eddy (2019)'s global importance: the mean over random backgrounds of the output with
a motif, less the output without it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from seqexp.errors import InputError
from seqexp.inference.insertion.backgrounds import Background
from seqexp.inference.insertion.motifs import Motif
from seqexp.inference.prediction import Given, logits_by_shape
from seqexp.inference.saved_model import SavedModel
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec
from seqexp.task import kinds
from seqexp.task.regression import Regression

ROWS = 500
"""Sequences that go through a model together."""

ORIENTATIONS = ("A> B>", "A> <B", "<A B>", "<A <B")
"""Strands of two motifs, the first one (A) before the other (B)."""

CERTAIN = 0.95
"""Of an interval."""


@dataclass(frozen=True)
class Mean:
    """A mean over backgrounds and its 95% interval, by Student's t."""

    value: float
    low: float
    high: float


def mean_of(values: Float[np.ndarray, " backgrounds"]) -> Mean:
    """The mean; of one background, the interval is not known (NaN)."""
    from scipy.stats import t  # half a second

    value = float(values.mean())
    if len(values) < 2:
        return Mean(value, float("nan"), float("nan"))
    half = t.ppf((1 + CERTAIN) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Mean(value, value - float(half), value + float(half))


def refuse_other_models(spec: TaskSpec) -> None:
    """Refuse models that do not predict one thing of a sequence of DNA.

    Raises:
        InputError: saying what the model reads or predicts.
    """
    if not spec.vocabulary.is_dna or spec.context is not None or spec.features is not None:
        raise InputError("motifs are put into DNA, which the model of this run does not read alone")
    if spec.per_position or spec.output in (Output.NEXT_TOKEN, Output.READ_ERRORS):
        raise InputError(
            "the model of this run has no one prediction a sequence"
            f" ({spec.output.value}), which a motif could change"
        )


def shown_outputs(spec: TaskSpec) -> list[int]:
    """Numbers of the outputs that are told: of two classes the second, else all."""
    is_pair = spec.output is Output.SEQUENCE_CLASS and len(spec.output_names) == 2
    return [1] if is_pair else list(range(len(spec.output_names)))


def unit_of(spec: TaskSpec) -> str:
    """Of what a motif adds."""
    return "its unit" if spec.output is Output.REGRESSION else "nats of log-odds"


def scores(
    saved: SavedModel, rows: Sequence[Int[np.ndarray, " time"]]
) -> Float[np.ndarray, "rows outputs"]:
    """Log-odds of each class or label, nats; of a regression the numbers in their unit."""
    found = np.zeros((len(rows), len(saved.spec.output_names)))
    for first in range(0, len(rows), ROWS):
        given = [Given("", row.tolist()) for row in rows[first : first + ROWS]]
        for places, logits in logits_by_shape(saved, given):
            found[[first + place for place in places]] = _told(saved.spec, logits[:, -1:])
    return found


def _told(spec: TaskSpec, logits: Float[Tensor, "batch 1 outputs"]) -> np.ndarray:
    task = kinds.of(spec)
    if isinstance(task, Regression):
        numbers: np.ndarray = task.in_units(logits).double().numpy()
        return numbers
    values = logits[:, 0].double()
    if spec.output is Output.MULTI_LABEL:
        labels: np.ndarray = values.numpy()
        return labels
    if values.shape[1] == 1:
        values = functional.pad(values, (1, 0))  # one logit is against one of zero
    columns = []
    for output in range(values.shape[1]):
        others = torch.cat([values[:, :output], values[:, output + 1 :]], dim=1)
        columns.append(values[:, output] - others.logsumexp(dim=1))
    odds: np.ndarray = torch.stack(columns, dim=1).numpy()
    return odds


class Inserting:
    """Puts motifs into backgrounds; a motif has the same letters in one of them wherever it lies.

    Args:
        saved: the model that is asked.
        found: backgrounds.
        seed: selects the bases of open places.
    """

    def __init__(self, saved: SavedModel, found: Sequence[Background], seed: int) -> None:
        self.saved, self.found, self.seed = saved, found, seed
        self.without = scores(saved, [one.tokens for one in found])

    def scored(self, *placed: tuple[Motif, int]) -> Float[np.ndarray, "backgrounds outputs"]:
        """Scores with motifs at these distances from where a background's middle is."""
        rows = []
        for number, one in enumerate(self.found):
            tokens = one.tokens.copy()
            middle = (one.start + one.stop) // 2
            for motif, away in placed:
                seed = stream_seed(self.seed, f"letters of {motif.letters} in {number}")
                ids = motif.drawn(np.random.default_rng(seed), self.saved.spec.vocabulary)
                part = tokens[middle + away : middle + away + len(motif)]
                part[ids != 0] = ids[ids != 0]
            rows.append(tokens)
        return scores(self.saved, rows)

    def adds(self, *placed: tuple[Motif, int]) -> Float[np.ndarray, "backgrounds outputs"]:
        """What motifs add to the scores of each background."""
        changes: np.ndarray = self.scored(*placed) - self.without
        return changes


def marginal(inserting: Inserting, motif: Motif) -> Float[np.ndarray, "backgrounds outputs"]:
    """What a motif adds in the middle, the mean of both strands."""
    away = -(len(motif) // 2)
    both = [inserting.adds((strand, away)) for strand in (motif, motif.turned())]
    mean: np.ndarray = (both[0] + both[1]) / 2
    return mean


@dataclass(frozen=True, eq=False)
class Spaced:
    """What two motifs add at one distance, in each background.

    `single` is what the first one adds there alone and what the other one does, summed.
    """

    distance: int
    orientation: str
    together: Float[np.ndarray, "backgrounds outputs"]
    single: Float[np.ndarray, "backgrounds outputs"]


def spaced(
    inserting: Inserting, first: Motif, second: Motif, distances: Sequence[int]
) -> list[Spaced]:
    """A pair at each distance and on each strand; the first one lies where it always lies."""
    away = -((len(first) + max(distances) + len(second)) // 2)
    strands = ((first, first.turned()), (second, second.turned()))
    alone = [inserting.adds((motif, away)) for motif in strands[0]]
    found = []
    for distance in distances:
        at = away + len(first) + distance
        other = [inserting.adds((motif, at)) for motif in strands[1]]
        for number, orientation in enumerate(ORIENTATIONS):
            one, two = divmod(number, 2)
            together = inserting.adds((strands[0][one], away), (strands[1][two], at))
            found.append(Spaced(distance, orientation, together, alone[one] + other[two]))
    return found
