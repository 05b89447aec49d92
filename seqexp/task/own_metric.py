"""Metrics of a user's own, of all predictions of a split."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output
from seqexp.task.base import Task
from seqexp.task.classes import probabilities
from seqexp.utils.own_code import blamed


@dataclass(frozen=True)
class OwnMetric:
    """A metric of a user's own.

    Args:
        name: without the split.
        target: dotted name of its class or function.
        function: of `predictions` and `targets`, as it calls them.
        wants_rows: whether it also takes `rows`.
    """

    name: str
    target: str
    function: Callable[..., Any]
    wants_rows: bool = False

    def of(self, split: "Split", when: str) -> float | None:
        """The value for a split; None where it is not defined for these targets.

        Args:
            split: what is predicted, and what is true.
            when: in words, for a message.

        Raises:
            InputError: if the user's code fails, or its value is no finite number.
        """
        called = f"metrics.{self.name} ({self.target}) of {when}"
        more = {"rows": split.rows} if self.wants_rows else {}
        with blamed(called):
            # by name: many libraries have them in another order
            found = self.function(predictions=split.predictions, targets=split.targets, **more)
            if found is None:
                return None
            is_number = not isinstance(found, str | bytes) and np.ndim(found) == 0
            value = float(found) if is_number else None
        if value is None:
            raise InputError(f"{called} is {_shown(found)}; give one number, or None")
        if not math.isfinite(value):
            raise InputError(
                f"{called} is {value}; give a finite number, or None where there is none"
            )
        return value


@dataclass(frozen=True)
class Split:
    """What is predicted for the scored targets of a split, and what is true.

    Args:
        predictions: of classes the probability of each, of labels that of each label, of numbers
            the numbers in the targets' unit: `(n, outputs)`, float64. Of positions, all that are
            scored, row by row.
        targets: of classes their numbers `(n,)`, int64; else `(n, outputs)`, float64, NaN where
            not known: of labels 0 or 1, of numbers the numbers.
        rows: the sequence that each is of, `(n,)`.
    """

    predictions: Float[np.ndarray, "n outputs"]
    targets: Num[np.ndarray, "n ..."]
    rows: Int[np.ndarray, " n"]


def split_of(task: Task, parts: Sequence[dict[str, Tensor]]) -> Split | None:
    """What was kept of a split, perhaps by several processes, in the order of its rows.

    None where nothing is scored.

    Args:
        task: the kind.
        parts: `Predicted.tensors()` of each.
    """
    parts = [part for part in parts if part]
    if not parts:
        return None
    numbers = torch.cat([part["numbers"] for part in parts])
    order = numbers.argsort(stable=True)
    logits, targets = (torch.cat([p[key] for p in parts])[order] for key in ("logits", "targets"))
    kind = task.spec.output
    if kind is Output.REGRESSION:
        values: Any = task
        predictions = values.in_units(logits[:, None])
    else:
        predictions = logits.double()
        predictions = predictions.sigmoid() if kind is Output.MULTI_LABEL else probabilities(logits)
    if kind is Output.MULTI_LABEL:
        targets = torch.where(targets == IGNORE, torch.nan, targets.double())
    elif kind is Output.REGRESSION:
        targets = targets.double()
    else:
        targets = targets[:, 0].long()
    return Split(predictions.numpy(), targets.numpy(), numbers[order].numpy())


def measured(metrics: Sequence[OwnMetric], split: Split | None, when: str) -> dict[str, float]:
    """Values by name without the split; those that are not defined are left out.

    Raises:
        InputError: as `OwnMetric.of`.
    """
    if split is None:
        return {}
    found = {metric.name: metric.of(split, when) for metric in metrics}
    return {name: value for name, value in found.items() if value is not None}


def _shown(found: object) -> str:
    shape = f" of shape {np.shape(found)}" if isinstance(found, np.ndarray | Tensor) else ""
    return f"a {type(found).__name__}{shape}"
