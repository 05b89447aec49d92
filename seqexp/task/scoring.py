"""The choices of the config's section `task`, with what they take from the training targets."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, Scale, Scoring, TaskSpec
from seqexp.task.kinds import KINDS

ClassWeights = str | Sequence[float]
"""`none`, `balanced`, or a weight a class."""


def scoring(
    spec: TaskSpec,
    targets: Iterable[Tensor],
    class_weights: ClassWeights,
    loss: str,
    is_own: bool = False,
) -> Scoring:
    """How predictions of a dataset are scored.

    Args:
        spec: of the dataset.
        targets: those of the training, a few rows at a time; read once.
        class_weights: as in the config.
        loss: of a regression; or the dotted name of a user's own.
        is_own: whether it is a user's own, which all kinds take.

    Raises:
        InputError: on a choice that the kind does not have, or that its targets do not allow.
    """
    kind = KINDS[spec.output]
    if loss != "gaussian" and not kind.losses and not is_own:
        raise InputError(
            f"task.loss is {loss}, but the dataset's kind of task is {kind.name}, which has one"
            " loss only; leave task.loss out"
        )
    if class_weights != "none" and not kind.weighs_classes:
        raise InputError(
            f"task.class_weights is {class_weights}, but the dataset's kind of task is"
            f" {kind.name}, which has no classes to weigh; give none"
        )
    if kind.losses:
        return Scoring(loss, _scale(spec, targets, loss))
    weights = _weights(spec, targets, class_weights)
    return Scoring(loss, class_weights=weights) if is_own else Scoring(class_weights=weights)


def _scale(spec: TaskSpec, targets: Iterable[Tensor], loss: str) -> Scale | None:
    """Mean and standard deviation of each value; of constant ones, deviation 1."""
    values = torch.cat([part.double().cpu() for part in targets])  # (rows, values)
    if loss == "poisson":
        low = values.nan_to_num(0.0).amin(dim=0)
        for name, lowest in zip(spec.output_names, low.tolist(), strict=True):
            if lowest < 0:
                raise InputError(
                    f"task.loss is poisson, but a training target of {name} is {lowest:g};"
                    " counts are 0 or more: give task.loss=gaussian or huber"
                )
        return None
    mean = values.nanmean(dim=0)
    deviation = (values - mean).square().nanmean(dim=0).sqrt()
    is_constant = deviation <= 1e-7 * mean.abs()
    deviation = torch.where(is_constant | (deviation == 0), 1.0, deviation)
    return Scale(tuple(mean.tolist()), tuple(deviation.tolist()))


def _weights(
    spec: TaskSpec, targets: Iterable[Tensor], given: ClassWeights
) -> tuple[float, ...] | None:
    if given == "none":
        return None
    names = spec.output_names
    what = "label" if spec.output is Output.MULTI_LABEL else "class"
    if not isinstance(given, str):
        if len(given) != len(names):
            shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
            raise InputError(
                f"task.class_weights has {len(given)} numbers, but the dataset has {len(names)}"
                f" {what}{'es' if what == 'class' else 's'}; give one each, in this order: {shown}"
            )
        return tuple(float(weight) for weight in given)
    if spec.output is Output.MULTI_LABEL:
        return _balanced_labels(names, targets)
    counts = torch.zeros(len(names), dtype=torch.long)
    for part in targets:
        scored = part[part != IGNORE].long().cpu()
        counts += torch.bincount(scored, minlength=len(names))
    total, there = int(counts.sum()), int((counts > 0).sum())
    # a class that is nowhere has no target to weigh
    return tuple(total / (there * count) if count else 1.0 for count in counts.tolist())


def _balanced_labels(names: Sequence[str], targets: Iterable[Tensor]) -> tuple[float, ...]:
    """What each label counts where it is there: the number of rows without it, for each with it."""
    there = torch.zeros(len(names), dtype=torch.long)
    missing = torch.zeros(len(names), dtype=torch.long)
    for part in targets:
        there += (part == 1).sum(dim=0).cpu()
        missing += (part == 0).sum(dim=0).cpu()
    counts = zip(there.tolist(), missing.tolist(), strict=True)
    return tuple(without / count if count and without else 1.0 for count, without in counts)
