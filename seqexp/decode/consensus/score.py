"""How near decoded sequences are to the true ones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from seqexp.decode.consensus.baselines import edit_distance


@dataclass(frozen=True)
class Estimate:
    """A mean over clusters and its standard error; None where there is one cluster only."""

    mean: float
    standard_error: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Estimate":
        """Of independent values."""
        count = len(values)
        mean = sum(values) / count
        if count == 1:
            return cls(mean, None)
        variance = sum((value - mean) ** 2 for value in values) / (count - 1)
        return cls(mean, math.sqrt(variance / count))


@dataclass(frozen=True)
class ReadScore:
    """A method's results over clusters whose true sequence is known.

    `exact` is the share of clusters without any error; the normalised edit distance is divided by
    the length of the true sequence.
    """

    exact: Estimate
    edit_distance: Estimate
    normalized_edit_distance: Estimate
    num_clusters: int

    def metrics(self) -> dict[str, float]:
        """By the names that runs report."""
        found: dict[str, float] = {}
        for name in ("exact", "edit_distance", "normalized_edit_distance"):
            estimate: Estimate = getattr(self, name)
            found[f"reads/{name}"] = estimate.mean
            if estimate.standard_error is not None:
                found[f"reads/{name}_standard_error"] = estimate.standard_error
        return found

    def row(self, method: str, milliseconds: float | None = None) -> dict[str, str | float | None]:
        """One line of a table of methods; milliseconds are for each cluster."""
        values = {name.removeprefix("reads/"): value for name, value in self.metrics().items()}
        return {"method": method, **values, "milliseconds": milliseconds}


def score(decoded: Sequence[str], truths: Sequence[str]) -> ReadScore:
    """Compare sequence by sequence; there must be one at least."""
    distances = [edit_distance(*pair) for pair in zip(decoded, truths, strict=True)]
    return ReadScore(
        exact=Estimate.of([float(distance == 0) for distance in distances]),
        edit_distance=Estimate.of([float(distance) for distance in distances]),
        normalized_edit_distance=Estimate.of(
            [distance / len(truth) for distance, truth in zip(distances, truths, strict=True)]
        ),
        num_clusters=len(distances),
    )
