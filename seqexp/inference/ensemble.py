"""The mean of what several models predict for the same sequences, and how good it is.

Predictions are brought to a form whose mean makes sense: log-probabilities of classes, log-odds of
labels, numbers in the unit of their targets. Weights are equal, or those that are best on
validation.

Source: Dietterich (2000) for the mean; Wolpert (1992) for weights from held-out data.
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from seqexp.errors import InputError
from seqexp.inference import claims
from seqexp.spec import NO_SYMBOLS, Output, Scale, Scoring, TaskSpec, is_scored
from seqexp.task import kinds
from seqexp.task.base import Task
from seqexp.trainer.predicted import Predicted
from seqexp.utils.files import write_whole

FILE = "predictions.safetensors"
"""In the folder of a run."""

MAX_BYTES = 2**28
"""Of a file of predictions."""


@dataclass(frozen=True, eq=False)
class Split:
    """What one run predicts for a split.

    Args:
        digest: of the split: the same for the same rows in the same order.
        logits: of each scored prediction.
        targets: of the same; several labels or numbers a row where the kind has them.
        numbers: of the rows of the split.
    """

    digest: str
    logits: Float[Tensor, "predictions outputs"]
    targets: Num[Tensor, "predictions labels"]
    numbers: Int[Tensor, " predictions"]

    def fits(self, other: "Split") -> bool:
        """Whether both are of the same rows."""
        return self.digest == other.digest and torch.equal(self.numbers, other.numbers)


@dataclass(frozen=True, eq=False)
class Scores:
    """What one run predicts for the test, and for validation where there is some.

    Args:
        spec: kind, outputs and their names.
        test: of the test.
        valid: of validation.
    """

    spec: TaskSpec
    test: Split
    valid: Split | None = None


def split_of(digest: str, predicted: Predicted) -> Split | None:
    """A split's predictions; None where none were kept."""
    found = predicted.tensors()
    return Split(digest, **found) if found else None


def write(file: Path, scores: Scores) -> None:
    """Keep the predictions of a run."""
    tensors, digests = {}, {}
    for name, split in (("test", scores.test), ("valid", scores.valid)):
        if split is not None:
            digests[name] = split.digest
            for key in ("logits", "targets", "numbers"):
                tensors[f"{name}.{key}"] = getattr(split, key).contiguous().clone()
    spec = replace(
        scores.spec, vocabulary=NO_SYMBOLS, words=None, features=None, context=None, length=None
    )
    about = json.dumps({"spec": spec.to_dict(), "digests": digests})
    write_whole(file, save(tensors, {"about": about}))  # of several keys the order is by chance


def read(file: Path) -> Scores:
    """The predictions of a run.

    Raises:
        InputError: if the file is damaged.
    """
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        with safe_open(file, "pt") as opened:
            about = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        if "about" in about:
            about = json.loads(about["about"])
        else:  # of before
            about = {name: json.loads(about[name]) for name in ("spec", "digests")}
        values = about["spec"]
        spec = claims.task({**values, "vocabulary": _stand_ins(values)}, str(file))
        digests: Mapping[str, str] = about["digests"]
        valid = _split("valid", digests, tensors, spec) if "valid" in digests else None
        return Scores(
            replace(spec, vocabulary=NO_SYMBOLS), _split("test", digests, tensors, spec), valid
        )
    except InputError:
        raise
    except Exception as error:  # safetensors has its own error type for each kind of damage
        raise InputError(f"{file}: is damaged ({error})") from error


def _stand_ins(values: Mapping[str, Any]) -> list[str]:
    """Symbols in the place of a vocabulary, which is not kept."""
    count = values["num_outputs"] if values["output"] == Output.NEXT_TOKEN else 2
    return [str(index) for index in range(1, max(2, int(count)))]


def _split(
    name: str, digests: Mapping[str, str], tensors: Mapping[str, Tensor], spec: TaskSpec
) -> Split:
    logits, targets, numbers = (tensors[f"{name}.{k}"] for k in ("logits", "targets", "numbers"))
    count = len(numbers)
    labels = len(spec.output_names) if spec.output.has_numbers else targets.shape[1]
    if (
        logits.shape != (count, spec.num_outputs)
        or targets.shape != (count, labels)
        or numbers.dim() != 1
        or not logits.is_floating_point()
        or targets.is_floating_point() != (spec.output is Output.REGRESSION)
    ):
        raise ValueError(f"the shapes of {name} do not fit each other")
    return Split(str(digests[name]), logits, targets, numbers)


# --- the mean -----------------------------------------------------------------------------------


def refuse_unlike(runs: Mapping[str, Scores]) -> None:
    """Refuse runs whose predictions have no common mean.

    Raises:
        InputError: if they are of another kind, of other outputs, or of other test sequences.
    """
    (first, scores), *others = runs.items()
    for name, other in others:
        ours, theirs = scores.spec, other.spec
        if (ours.output, ours.output_names) != (theirs.output, theirs.output_names):
            raise InputError(
                f"{first} predicts {_outputs(ours)}, and {name} {_outputs(theirs)}:"
                " there is no mean of both"
            )
        if not scores.test.fits(other.test):
            raise InputError(f"{first} and {name} were tested on different sequences")


def _outputs(spec: TaskSpec) -> str:
    names = ", ".join(spec.output_names[:5]) + (", ..." if len(spec.output_names) > 5 else "")
    return f"{spec.output.value.replace('_', ' ')} of {names}"


def comparable(
    spec: TaskSpec, logits: Float[Tensor, "predictions outputs"]
) -> Float[Tensor, "predictions columns"]:
    """Predictions in the form whose mean is taken, float64.

    One column for two classes: the log-odds of the second.
    """
    wide = logits.double()
    if spec.output is Output.REGRESSION:
        task: Any = kinds.of(spec)
        found: Tensor = task.in_units(wide[:, None])
        return found.reshape(len(wide), -1)
    if spec.output is Output.MULTI_LABEL or wide.shape[1] == 1:
        return wide
    if len(spec.output_names) == 2 and not spec.per_position:
        return wide[:, 1:] - wide[:, :1]
    return torch.log_softmax(wide, dim=1)


def mean(
    predictions: Sequence[Float[Tensor, "predictions columns"]], weights: Sequence[float]
) -> Float[Tensor, "predictions columns"]:
    """The weighted sum, in an order that is always the same."""
    total = torch.zeros_like(predictions[0])
    for weight, one in zip(weights, predictions, strict=True):
        total += weight * one
    return total


def common_task(spec: TaskSpec, columns: int) -> Task:
    """The kind of task that scores means: no weights of classes, numbers in their own unit."""
    if spec.output is Output.REGRESSION:
        size = len(spec.output_names)
        scoring = Scoring(scale=Scale((0.0,) * size, (1.0,) * size))
    else:
        scoring = Scoring()
    return kinds.of(replace(spec, num_outputs=columns, scoring=scoring))


def metrics_of(
    spec: TaskSpec,
    predictions: Float[Tensor, "predictions columns"],
    targets: Num[Tensor, "predictions labels"],
) -> dict[str, float]:
    """Measures of the mean, by name without the split."""
    return pooled_metrics([Part(spec, predictions, targets)])


class Part(NamedTuple):
    """Predictions of a part of the data, in the form whose mean is taken, and the targets."""

    spec: TaskSpec
    predictions: Float[Tensor, "predictions columns"]
    targets: Num[Tensor, "predictions labels"]


def pooled_metrics(parts: Sequence[Part]) -> dict[str, float]:
    """Measures of all parts together, each predicted by another model; without the split.

    Sums are added and divided once; what does not add up, as AUROC, is of all predictions. Next
    symbols may be of another vocabulary in each part.
    """
    tasks = [common_task(part.spec, part.predictions.shape[1]) for part in parts]
    task, spec = tasks[0], parts[0].spec
    whole = task.whole()
    nats, count, extras = 0.0, 0, torch.zeros(())
    for own, (_, predictions, targets) in zip(tasks, parts, strict=True):
        logits = predictions[:, None]
        nats += float(own.nats(logits, targets))
        count += int(is_scored(targets).sum())
        extras = extras + own.extras(logits, targets).double()
        if whole is not None:
            whole.add(logits, targets)
    found = task.means(nats, count, extras.tolist())
    if whole is not None:
        found |= whole.metrics()
    if spec.output is Output.REGRESSION:
        found.pop("loss_nats", None)  # of no density that a run was trained by
    return found


def fitted_weights(runs: Sequence[Scores], groups: Sequence[Hashable]) -> list[float] | None:
    """Weights of the runs that make the validation loss of the sum smallest, none below zero.

    Runs of a group, as those that differ by their seed alone, share theirs. Of numbers, weights sum
    to 1. None where validation is not there, not of the same sequences, or no run helps there.
    """
    splits = [run.valid for run in runs]
    first = splits[0]
    if first is None or any(split is None or not first.fits(split) for split in splits):
        return None
    spec = runs[0].spec
    sums: dict[Hashable, Tensor] = {}
    sizes: dict[Hashable, int] = {}
    for run, split, group in zip(runs, splits, groups, strict=True):
        assert split is not None
        found = comparable(run.spec, split.logits)
        sums[group] = sums[group] + found if group in sums else found
        sizes[group] = sizes.get(group, 0) + 1
    order = list(sums)
    means = torch.stack([sums[group] / sizes[group] for group in order])  # (groups, n, columns)
    share = _minimised(spec, means, first.targets)
    if not sum(share):  # all are worse there than knowing nothing
        return None
    by_group = dict(zip(order, share, strict=True))
    return [by_group[group] / sizes[group] for group in groups]


def _minimised(
    spec: TaskSpec,
    means: Float[Tensor, "groups predictions columns"],
    targets: Num[Tensor, "predictions labels"],
) -> list[float]:
    from scipy.optimize import minimize  # a fifth of a second

    task, count = common_task(spec, means.shape[2]), len(means)
    sums_to_one = spec.output is Output.REGRESSION

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        given = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
        logits = torch.einsum("g,gnc->nc", given, means)[:, None]
        nats = task.nats(logits, targets) / len(targets)
        (gradient,) = torch.autograd.grad(nats, given)
        return float(nats.detach()), gradient.numpy()

    start = np.full(count, 1.0 / count)
    rules = {"type": "eq", "fun": lambda w: w.sum() - 1} if sums_to_one else None
    found = minimize(
        loss,
        start,
        jac=True,
        bounds=[(0.0, None)] * count,
        method="SLSQP" if sums_to_one else "L-BFGS-B",
        **({"constraints": [rules]} if rules else {}),
    )
    return [float(weight) for weight in np.clip(found.x, 0.0, None)]
