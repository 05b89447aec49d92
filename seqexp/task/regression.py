"""One or several numbers a sequence."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from seqexp.metrics import HEADLINE, OF_KIND, of_names
from seqexp.spec import TaskSpec
from seqexp.task.base import Cell, Whole

if TYPE_CHECKING:
    from seqexp.utils.beside import Make

GAUSSIAN = 0.5 * math.log(2 * math.pi)
"""Nats of the density of a Gaussian of variance 1 at its mean."""

HUBER = math.log(math.sqrt(2 * math.pi) * math.erf(math.sqrt(0.5)) + 2 * math.exp(-0.5))
"""Nats of the density exp(-huber(x)) / Z at 0."""

CONSTANT = 1e-14
"""A variance below this share of the squared mean is rounding."""


class Regression:
    """Numbers, each with an output: the mean of a Gaussian, of Huber's density, or of a Poisson.

    Targets are `(batch, values)` in their own unit, NaN where not known. Outputs are in standard
    deviations of the training targets; of a Poisson, they are the logarithm of its mean.

    Source: Huber (1964), eq. 1.6, with k = 1 standard deviation.

    Args:
        spec: of the dataset.
    """

    name: ClassVar[str] = "regression"
    target_type: ClassVar[torch.dtype] = torch.float32
    metrics: ClassVar[tuple[str, ...]] = OF_KIND[name]
    headline: ClassVar[tuple[str, ...]] = HEADLINE[name]
    losses: ClassVar[tuple[str, ...]] = ("gaussian", "huber", "poisson")
    weighs_classes: ClassVar[bool] = False

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.loss = spec.scoring.loss
        size, scale = len(spec.output_names), spec.scoring.scale
        given = ([0.0] * size, [1.0] * size) if scale is None else (scale.mean, scale.deviation)
        self._scale = torch.tensor(given, dtype=torch.float64)  # (2, values)

    def _scale_on(self, device: torch.device) -> Float[Tensor, "2 values"]:
        if self._scale.device != device:
            self._scale = self._scale.to(device)  # once
        return self._scale

    def standardised(self, targets: Float[Tensor, "batch values"]) -> Float[Tensor, "batch values"]:
        """In standard deviations of the training targets from their mean."""
        mean, deviation = self._scale_on(targets.device)
        found: Tensor = ((targets - mean) / deviation).to(targets.dtype)
        return found

    def nats(
        self, logits: Float[Tensor, "batch 1 values"], targets: Float[Tensor, "batch values"]
    ) -> Float[Tensor, ""]:
        """Minus the logarithm of the density of each target that is known."""
        outputs = logits[:, 0].to(torch.promote_types(logits.dtype, torch.float32))
        known = ~targets.isnan()
        # before the loss: a gradient of NaN would stay one under a mask
        wanted = torch.where(known, self.standardised(targets), 0.0).to(outputs.dtype)
        if self.loss == "poisson":
            each = outputs.exp() - wanted * outputs + torch.lgamma(wanted + 1)
        elif self.loss == "huber":
            each = functional.huber_loss(outputs, wanted, reduction="none") + HUBER
        else:
            each = 0.5 * (outputs - wanted).square() + GAUSSIAN
        return torch.where(known, each, 0.0).sum()

    def extras(
        self, logits: Float[Tensor, "batch 1 values"], targets: Float[Tensor, "batch values"]
    ) -> Float[Tensor, " sums"]:
        """Of each value: how many are known, squared and absolute error, targets and squares.

        Targets are counted in standard deviations from their mean, so that no sum cancels.
        """
        known = ~targets.isnan()
        mean, deviation = self._scale_on(targets.device)
        wanted = torch.where(known, (targets.double() - mean) / deviation, 0.0)
        error = torch.where(known, self._outputs(logits) - wanted, 0.0)
        columns = [known.double(), error.square(), error.abs(), wanted, wanted.square()]
        return torch.stack([column.sum(dim=0) for column in columns]).flatten()

    def _outputs(self, logits: Float[Tensor, "batch 1 values"]) -> Float[Tensor, "batch values"]:
        """In standard deviations, float64."""
        outputs = logits[:, 0].detach().double()
        return outputs.exp() if self.loss == "poisson" else outputs

    def means(self, nats: float, count: int, extras: Sequence[float]) -> dict[str, float]:
        """Errors in the targets' unit, and the share of the variance that is explained.

        Of several values, the mean over them.
        """
        sums = np.array(extras).reshape(5, -1)
        deviations = self._scale[1].tolist()
        parts = [
            of_sums(column, deviation)
            for column, deviation in zip(sums.T, deviations, strict=True)
            if column[0]
        ]
        return {"loss_nats": nats / count, **mean_of(parts)}

    def whole(self) -> Whole | None:
        """All predictions and targets, in the targets' unit."""
        return ValuesOfSplit(self)

    def ignorance(self, targets: Iterable[Tensor]) -> float:
        """Of the best constant: the mean, or of Huber's loss the better of mean and median."""
        all_targets = torch.cat([part.cpu() for part in targets])
        count = int((~all_targets.isnan()).sum())
        mean = all_targets.nanmean(dim=0)
        if self.loss == "poisson":
            mean = mean.clamp(min=1e-12)
        constants = [mean]
        if self.loss == "huber":
            constants.append(all_targets.nanmedian(dim=0).values)
        losses = []
        for constant in constants:
            logits = constant.log() if self.loss == "poisson" else self.standardised(constant[None])
            wide = logits.reshape(1, 1, -1).expand(len(all_targets), 1, -1)
            losses.append(float(self.nats(wide.double(), all_targets.double())) / max(1, count))
        return min(losses)

    def columns(self) -> tuple[str, ...]:
        """The numbers."""
        return self.spec.output_names

    def predictions(
        self,
        logits: Float[Tensor, "batch 1 values"],
        is_real: Bool[Tensor, "batch time"] | None = None,
    ) -> list[list[Cell]]:
        """The numbers, in the targets' unit."""
        rows: list[list[Cell]] = self.in_units(logits).tolist()
        return rows

    def in_units(self, logits: Float[Tensor, "batch 1 values"]) -> Float[Tensor, "batch values"]:
        """What is predicted, in the targets' unit, float64."""
        mean, deviation = self._scale_on(logits.device)
        found: Tensor = self._outputs(logits) * deviation + mean
        return found


def of_sums(sums: Float[np.ndarray, "5"], deviation: float) -> dict[str, float]:
    """Errors of one value, from sums in standard deviations; R2 unless the targets are constant."""
    count, squared, absolute, total, squares = sums.tolist()
    found = {"mse": squared / count * deviation**2, "mae": absolute / count * deviation}
    variance = squares / count - (total / count) ** 2
    if variance > CONSTANT * max(squares / count, CONSTANT):
        found["r2"] = 1 - squared / count / variance
    return found


def mean_of(parts: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean over values of each metric that all of them have."""
    names = [name for name in (parts[0] if parts else ()) if all(name in part for part in parts)]
    return {name: sum(part[name] for part in parts) / len(parts) for name in names}


@dataclass
class ValuesOfSplit:
    """What a model predicts for a whole split, in the targets' unit.

    Args:
        task: the kind.
    """

    task: Regression
    predicted: list[np.ndarray] = field(default_factory=list)  # (batch, values)
    truth: list[np.ndarray] = field(default_factory=list)

    def add(
        self, logits: Float[Tensor, "batch 1 values"], targets: Float[Tensor, "batch values"]
    ) -> None:
        """Take in a batch."""
        scored = (~targets.isnan()).any(dim=1)
        self.predicted.append(self.task.in_units(logits[scored]).cpu().numpy())
        self.truth.append(targets[scored].double().cpu().numpy())

    def merge(self, other: Any) -> None:
        """Take in what another has."""
        self.predicted += other.predicted
        self.truth += other.truth

    def known(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Of each value, predictions and targets where the target is known."""
        if not self.truth:
            return {}
        predicted, truth = np.concatenate(self.predicted), np.concatenate(self.truth)
        is_known = ~np.isnan(truth)
        return {
            name: (predicted[is_known[:, i], i], truth[is_known[:, i], i])
            for i, name in enumerate(self.task.spec.output_names)
            if is_known[:, i].any()
        }

    def metrics(self) -> dict[str, float]:
        """Correlations, where neither side is constant; of several values, all metrics of each."""
        by_name = {name: measures(*both) for name, both in self.known().items()}
        if not by_name:
            return {}
        mean = mean_of(list(by_name.values()))
        found = {name: value for name, value in mean.items() if name in ("pearson", "spearman")}
        if len(self.task.spec.output_names) > 1:
            for measure in ("mse", "mae", "r2", "pearson", "spearman"):
                there = {name: v[measure] for name, v in by_name.items() if measure in v}
                found |= of_names(measure, there)
        return found

    def figures(self) -> dict[str, "Make"]:
        """Predictions against targets, a panel each."""
        from seqexp.task import figures

        known = self.known()
        if not known:
            return {}
        found: dict[str, Make] = {"scatter": partial(figures.scatter, known)}
        if len(known) > 1:
            by_name = {name: measures(*both) for name, both in known.items()}
            pearson = {name: m["pearson"] for name, m in by_name.items() if "pearson" in m}
            if pearson:
                found["per_value"] = partial(figures.bars, pearson, "Pearson's r", chance=0.0)
        return found


def measures(
    predicted: Float[np.ndarray, " items"], truth: Float[np.ndarray, " items"]
) -> dict[str, float]:
    """Errors and correlations of one value; nothing that is not defined."""
    from scipy import stats

    error = predicted - truth
    found = {"mse": float(np.square(error).mean()), "mae": float(np.abs(error).mean())}
    variance = float(truth.var())
    if variance <= CONSTANT * max(float(np.square(truth).mean()), CONSTANT):
        return found
    found["r2"] = 1 - found["mse"] / variance
    if len(truth) > 1 and np.ptp(predicted) > 0 and np.isfinite(predicted).all():
        found["pearson"] = float(stats.pearsonr(predicted, truth).statistic)
        found["spearman"] = float(stats.spearmanr(predicted, truth).statistic)
    return found
