"""What sequences and their contexts must be: ids of a vocabulary, or features."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from seqexp.data import Sequences
from seqexp.dataset.values import (
    INTEGERS,
    first_outside,
    is_count,
    kind_of,
    name_faults,
)
from seqexp.spec import Features, Input, TaskSpec, Vocabulary, is_real


def input_spec_faults(spec: TaskSpec) -> Iterator[str]:
    """What a spec says wrongly of what sequences and contexts are made of."""
    if not isinstance(spec.vocabulary, Vocabulary):
        yield f"spec.vocabulary is {kind_of(spec.vocabulary)}; give a seqexp.spec.Vocabulary"
    elif spec.features is None:
        yield from name_faults("spec.vocabulary.symbols", spec.vocabulary.symbols, "symbol")
    elif spec.vocabulary.symbols:
        yield (
            f"spec.features is given, and spec.vocabulary has {len(spec.vocabulary.symbols):,}"
            " symbols; give one of them (vocabulary=seqexp.spec.NO_SYMBOLS, or features=None)"
        )
    if spec.features is not None:
        yield from _features_faults("spec.features", spec.features)
    if isinstance(spec.context, Vocabulary):
        yield from name_faults("spec.context.symbols", spec.context.symbols, "symbol")
    elif spec.context is not None:
        yield from _features_faults("spec.context", spec.context)


def _features_faults(where: str, features: Any) -> Iterator[str]:
    if not isinstance(features, Features):
        also = "a seqexp.spec.Vocabulary, " if where == "spec.context" else ""
        yield f"{where} is {kind_of(features)}; give {also}a seqexp.spec.Features, or None"
        return
    if not is_count(features.size):
        yield f"{where}.size is {features.size!r}; give the numbers of each position, from 1"
        return
    if features.names:
        yield from name_faults(f"{where}.names", features.names, "name")
        if len(features.names) != features.size:
            yield (
                f"{where}.names has {len(features.names):,} names, but {where}.size is"
                f" {features.size}; give a name each, or none"
            )


def input_faults(
    name: str, split: Sequences, spec: TaskSpec, looks_at_values: bool
) -> Iterator[str]:
    """What is wrong with the sequences of a split."""
    tokens, where = split.tokens, f"{name}.tokens"
    faults = [*_shape_faults(where, tokens, spec.input)]
    if not faults and not tokens.shape[1]:
        faults.append(
            f"{where} has shape {tuple(tokens.shape)}, rows without a token; give at least one each"
        )
    elif not faults and _has_other_length(split, spec):
        faults.append(
            f"{where} has shape {tuple(tokens.shape)}, but spec.length is {spec.length}: give"
            f" {spec.length} tokens a row, padding included, or spec.length=None"
        )
    if split.is_stream and spec.features is not None:
        faults.append(f"{name}.is_stream is true, but a stream is of tokens; give is_stream=False")
    if split.planted is not None and (
        not isinstance(split.planted, Tensor)
        or split.planted.dtype is not torch.bool
        or split.planted.shape != tokens.shape[:2]
    ):
        shape = tuple(tokens.shape[:2])
        faults.append(
            f"{name}.planted: give a torch.bool tensor of the tokens' shape {shape}, or None"
        )
    yield from faults
    if not faults and looks_at_values:
        yield from _value_faults(where, tokens, spec.input, "spec.vocabulary")


def _has_other_length(split: Sequences, spec: TaskSpec) -> bool:
    is_fixed = is_count(spec.length) and not split.is_stream
    return is_fixed and split.tokens.shape[1] != spec.length


def context_faults(
    name: str, split: Sequences, spec: TaskSpec, looks_at_values: bool
) -> Iterator[str]:
    """What is wrong with the contexts of a split."""
    where, context, rows = f"{name}.context", split.context, split.context_rows
    if spec.context is None:
        if context is not None or rows is not None:
            yield (
                f"{where} is given, but spec.context is None; give the Vocabulary or Features that"
                " it is made of, or no context"
            )
        return
    if context is None:
        yield (
            f"{where} is None, but spec.context is given; give a context a row, or"
            " spec.context=None"
        )
        return
    if split.is_stream:
        yield f"{name}.is_stream is true, but a stream has no context; give is_stream=False"
        return
    faults = [*_shape_faults(where, context, spec.context), *_row_faults(name, split)]
    if not faults and not context.shape[1]:
        faults.append(f"{where} has shape {tuple(context.shape)}; give at least one position each")
    yield from faults
    if not faults and looks_at_values:
        yield from _value_faults(where, context, spec.context, "spec.context")
        yield from _padding_faults(where, context)


def _row_faults(name: str, split: Sequences) -> Iterator[str]:
    """Contexts that are not one a row, or are asked for and not there."""
    context, rows, count = split.context, split.context_rows, len(split.tokens)
    assert context is not None
    if rows is None:
        if len(context) != count:
            yield (
                f"{name}.context has {len(context):,} rows, but {name}.tokens has {count:,}; give"
                " a context a row, or context_rows where several rows share one"
            )
        return
    if rows.dtype not in INTEGERS or tuple(rows.shape) != (count,):
        yield (
            f"{name}.context_rows is of {rows.dtype} with shape {tuple(rows.shape)}; give the"
            f" row of the context of each sequence: integers, ({count},)"
        )
        return
    found = first_outside(rows[:, None], 0, len(context) - 1)
    if found is not None:
        yield (
            f"{name}.context_rows: {found} is no row of {name}.context; give 0 to"
            f" {len(context) - 1:,}"
        )


def _shape_faults(where: str, values: Tensor, made_of: Input) -> Iterator[str]:
    """Another number of axes, another width, or another type."""
    shape = tuple(values.shape)
    if isinstance(made_of, Features):
        if values.dim() != 3:
            yield f"{where} has shape {shape}; features have three axes, (rows, time, size)"
        elif shape[2] != made_of.size:
            yield (
                f"{where} has shape {shape}, {shape[2]} numbers a position, but the spec says size"
                f" {made_of.size}; give as many"
            )
        if not values.is_floating_point():
            yield f"{where} is of {values.dtype}; features are real numbers: give torch.float32"
        return
    if values.dim() != 2:
        yield f"{where} has shape {shape}; give two axes, (rows, time)"
    if values.dtype not in INTEGERS:
        hint = "; of numbers, say so by seqexp.spec.Features" if values.is_floating_point() else ""
        yield (
            f"{where} is of {values.dtype}; token ids are integers: give torch.int64, or any"
            f" other integer type{hint}"
        )


def _value_faults(where: str, values: Tensor, made_of: Input, said: str) -> Iterator[str]:
    """Ids out of range; features that are inf, or a frame of which only some are NaN."""
    if not isinstance(made_of, Features):
        size = len(made_of)
        found = first_outside(values, 0, size - 1)
        if found is not None:
            yield (
                f"{where}: {found} is no token id; ids are 1 to {size - 1} for the {size - 1}"
                f" symbols of {said}, and 0 for padding"
            )
        return
    infinite = values.float().isinf().nonzero()
    if len(infinite):
        row, place, number = infinite[0].tolist()
        value = float(values[row, place, number])
        yield (
            f"{where}: row {row} has {value:g} in value {number} at position {place}, which is no"
            " number in float32; give finite ones"
        )
        return
    is_nan = values.isnan()
    partly = (is_nan.any(dim=2) & ~is_nan.all(dim=2)).nonzero()
    if len(partly):
        row, place = partly[0].tolist()
        number = int(is_nan[row, place].nonzero()[0, 0])
        yield (
            f"{where}: row {row} has nan in value {number} at position {place}, but not in all;"
            " padding is a position of nan only: fill what is missing, or leave the position out"
        )
        return
    if where.endswith("tokens"):
        yield from _padding_faults(where, values)


def _padding_faults(where: str, values: Tensor) -> Iterator[str]:
    """A row with nothing in it."""
    empty = (~is_real(values).any(dim=1)).nonzero()[:, 0]
    if len(empty):
        yield f"{where}: row {int(empty[0])} is padding only; leave out sequences of no tokens"
