"""What targets must be, by the kind of task."""

from collections.abc import Iterator

import torch
from torch import Tensor

from seqexp.data import Sequences
from seqexp.dataset.values import (
    INTEGERS,
    blocks,
    first_fractional,
    first_infinite,
    first_outside,
    is_all,
)
from seqexp.spec import IGNORE, PAD, Output, TaskSpec, is_real, is_scored


def target_faults(
    name: str, split: Sequences, spec: TaskSpec, looks_at_values: bool
) -> Iterator[str]:
    """What is wrong with the targets of a split."""
    faults = [*_shape_faults(name, split, spec)]
    yield from faults
    if faults or not looks_at_values or not isinstance(spec.output, Output):
        return
    if spec.output.has_numbers:
        yield from _number_faults(name, split.targets, spec)
        return
    faults = [*_class_faults(name, split.targets, spec)]
    yield from faults
    if faults or split.is_stream:
        return
    if spec.output is Output.TOKEN_CLASS:
        yield from _padding_faults(name, split)
    if name == "train" and spec.output in (Output.SEQUENCE_CLASS, Output.TOKEN_CLASS):
        yield from _one_class_faults(split.targets, spec)


def _shape_faults(name: str, split: Sequences, spec: TaskSpec) -> Iterator[str]:
    tokens, targets = split.tokens, split.targets
    rows, shape = len(tokens), tuple(targets.shape)
    if targets.dtype not in INTEGERS and not targets.dtype.is_floating_point:
        yield (
            f"{name}.targets is of {targets.dtype}; targets are whole numbers: give torch.int64, as"
            " targets.long()"
        )
    if not isinstance(spec.output, Output) or tokens.dim() < 2:
        return
    if not spec.per_position and split.is_stream:
        yield f"{name}.is_stream is true, but a stream has no labels; predict Output.NEXT_TOKEN"
    what, expected = _expected(spec, rows, tokens.shape[1])
    if shape == expected:
        return
    is_flat = expected == (rows, 1) and shape == (rows,)
    way = ", as targets[:, None]" if is_flat else ""
    if targets.dim() == len(expected) and len(targets) != rows:
        yield (
            f"{name}.targets has {len(targets):,} rows, but {name}.tokens has {rows:,}; give"
            f" {what}, {expected}"
        )
        return
    if spec.output is Output.SEQUENCE_CLASS and len(shape) == 2:
        several = "multi_label or regression, for several a row"
        if shape == tuple(tokens.shape[:2]):
            several += ", or token_class, for one a position"
        way = f"; or the kind {several}"
    yield f"{name}.targets has shape {shape}; give {what}, {expected}{way}"


def _expected(spec: TaskSpec, rows: int, time: int) -> tuple[str, tuple[int, int]]:
    """The targets of a row in words, and the shape of all."""
    if spec.per_position:
        return "a target a token", (rows, time)
    if spec.output is Output.SEQUENCE_CLASS:
        return "one label a row", (rows, 1)
    what = "a number" if spec.output.has_numbers else "0 or 1"
    return f"{what} for each of {spec.num_outputs} names a row", (rows, spec.num_outputs)


def _number_faults(name: str, targets: Tensor, spec: TaskSpec) -> Iterator[str]:
    """Numbers that are none, or of which nothing is known."""
    found = first_infinite(targets)
    if found is not None:
        yield (
            f"{name}.targets: {found} is no number in float32; give finite ones, and nan where"
            " nothing is known"
        )
        return
    if name == "valid":
        return
    is_known = is_scored(targets).any(dim=0)
    for index in (~is_known).nonzero()[:1, 0].tolist():
        which = f" of {spec.output_names[index]!r}" if targets.shape[1] > 1 else ""
        yield f"{name}.targets{which} are all nan, so that nothing is scored"


def _class_faults(name: str, targets: Tensor, spec: TaskSpec) -> Iterator[str]:
    """Targets that name no output, are no whole numbers, or are not there."""
    if targets.dtype.is_floating_point:
        found = first_fractional(targets)
        if found is not None:
            kind = spec.output.value
            meant = (
                f"; where nothing is known give IGNORE ({IGNORE})"
                if found.startswith("nan")
                else "; where numbers are to be predicted, give the kind regression"
            )
            yield (
                f"{name}.targets: {found} is no whole number; a target of the kind {kind} is the"
                f" number of an output, from 0{meant}"
            )
            return
    is_labels = spec.output is Output.MULTI_LABEL
    number = 2 if is_labels else max(2, spec.num_outputs)
    found = first_outside(targets, 0, number - 1, also=IGNORE)
    if found is not None and is_labels:
        yield (
            f"{name}.targets: {found} is neither 1, for a label that is there, nor 0; give IGNORE"
            f" ({IGNORE}) where that is not known"
        )
    elif found is not None:
        yield (
            f"{name}.targets: {found} is the number of no output; give 0 to {number - 1}, or"
            f" IGNORE ({IGNORE}) where nothing is to be scored"
        )
    elif name != "valid" and is_all(targets, IGNORE):
        yield f"{name}.targets are all IGNORE ({IGNORE}), so that nothing is scored"


def _padding_faults(name: str, split: Sequences) -> Iterator[str]:
    """A label of a position that is padding."""
    wrong = (is_scored(split.targets) & ~is_real(split.tokens)).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        value = int(split.targets[row, column])
        yield (
            f"{name}.targets: {value} (row {row}, column {column}) is the label of padding"
            f" ({PAD}, or nan of features); give IGNORE ({IGNORE}) there"
        )


def _one_class_faults(targets: Tensor, spec: TaskSpec) -> Iterator[str]:
    """Nothing to tell apart."""
    found: set[int] = set()
    for _, _, block in blocks(targets):
        found |= set(torch.unique(block.long()).tolist())
        if len(found - {IGNORE}) > 1:
            return
    (only,) = found - {IGNORE}
    yield (
        f"train.targets are all {only} ({spec.output_names[only]}), so that there is nothing to"
        " tell apart; give sequences of at least two classes"
    )
