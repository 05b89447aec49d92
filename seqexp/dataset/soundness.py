"""What a loaded dataset must hold, checked once before anything is trained.

A fault that PyTorch would meet late, or would not notice at all, is said here in words: which part
of the data, the first value that is wrong and its place, and what is allowed.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqexp.data import Cluster, Data, Pattern, Sequences, WordVectors
from seqexp.dataset.values import (
    first_fractional,
    first_outside,
    first_row_of_padding,
    is_all,
    looks_counted_from_zero,
    share_of_padding,
)
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary

INTEGERS = frozenset(
    getattr(torch, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
)
"""Types of token ids and targets."""

OURS = "seqexp."
"""How the names of the datasets begin whose token ids are right by construction."""


def checked(loaded: object, name: str) -> Data:
    """The data of a dataset, sound; float targets that are all whole numbers become integers.

    Values of a stream that may be larger than memory are looked at for datasets of others only.

    Args:
        loaded: what `load()` has returned.
        name: dotted name of the dataset's class.

    Raises:
        InputError: with all faults.
    """
    is_own = not name.startswith(OURS)
    if not isinstance(loaded, Data):
        raise InputError(
            f"dataset {name}: load() returned {_kind(loaded)}; return a seqexp.data.Data"
        )
    faults = [*_part_faults(loaded)]
    if not faults:
        faults = [*_spec_faults(loaded.spec)]
        # ranges follow from the spec
        is_known = not faults
        for split_name, split in loaded.splits().items():
            faults += _split_faults(split_name, split, loaded.spec, is_known, is_own)
        faults += _extra_faults(loaded)
    if not faults and is_own:
        faults = [*_faults_of_all(loaded)]
    if len(faults) == 1:
        raise InputError(f"dataset {name}: {faults[0]}")
    if faults:
        raise InputError("\n  ".join([f"dataset {name} is not sound:", *faults]))
    return _noted(_whole(loaded)) if is_own else loaded


def _kind(value: object) -> str:
    """A value's type in words."""
    if value is None:
        return "nothing (None)"
    module, kind = type(value).__module__, type(value).__qualname__
    return f"a {kind}" if module == "builtins" else f"a {module}.{kind}"


# --- types ------------------------------------------------------------------------------------


def _part_faults(data: Data) -> Iterator[str]:
    """Parts of another type than all that follows needs."""
    if not isinstance(data.spec, TaskSpec):
        yield f"spec is {_kind(data.spec)}; give a seqexp.spec.TaskSpec"
    for name, split in data.splits().items():
        if not isinstance(split, Sequences):
            hint = ", of no rows where there is nothing to validate on" if name == "valid" else ""
            yield f"{name} is {_kind(split)}; give a seqexp.data.Sequences{hint}"
            continue
        for part in ("tokens", "targets"):
            values = getattr(split, part)
            if not isinstance(values, Tensor):
                is_array = isinstance(values, np.ndarray)
                way = f"torch.from_numpy({part})" if is_array else "torch.tensor([[1, 2], [3, 4]])"
                yield f"{name}.{part} is {_kind(values)}; give a torch.Tensor, as {way}"
            elif values.layout is not torch.strided or values.is_meta:
                yield f"{name}.{part} is a sparse tensor or has no values; give a dense one"


def _spec_faults(spec: TaskSpec) -> Iterator[str]:
    """A spec that contradicts itself."""
    if not isinstance(spec.vocabulary, Vocabulary):
        yield f"spec.vocabulary is {_kind(spec.vocabulary)}; give a seqexp.spec.Vocabulary"
        return
    yield from _name_faults("spec.vocabulary.symbols", spec.vocabulary.symbols, "symbol")
    yield from _name_faults("spec.output_names", spec.output_names, "class")
    if not isinstance(spec.output, Output):
        yield f"spec.output is {spec.output!r}; give Output.SEQUENCE_CLASS or Output.NEXT_TOKEN"
        return
    if not _is_count(spec.num_outputs):
        yield f"spec.num_outputs is {spec.num_outputs!r}; give an integer from 1"
        return
    if spec.length is not None and not _is_count(spec.length):
        yield f"spec.length is {spec.length!r}; give the tokens of every sequence, or None"
    yield from _output_faults(spec)


def _is_count(value: Any) -> bool:
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_integer and int(value) >= 1


def _name_faults(where: str, names: Any, what: str) -> Iterator[str]:
    if isinstance(names, str) or not isinstance(names, tuple | list):
        yield f"{where} is {_kind(names)}; give a tuple of strings"
        return
    if not names:
        yield f"{where} is empty; give at least one {what}"
    seen: dict[Any, int] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str):
            yield f"{where}[{place}] is {name!r}, {_kind(name)}; give strings"
            return
        if name in seen:
            yield f"{where} has {name!r} twice, at {seen[name]} and {place}; give each {what} once"
            return
        seen[name] = place


def _output_faults(spec: TaskSpec) -> Iterator[str]:
    """A number of outputs that does not fit the names, or what is predicted."""
    number, names, symbols = spec.num_outputs, len(spec.output_names), len(spec.vocabulary.symbols)
    if spec.output is Output.NEXT_TOKEN and number != symbols + 1:
        yield (
            f"spec.num_outputs is {number}, but the next token is one of {symbols} symbols or"
            f" padding (id 0): give {symbols + 1}, which is len(vocabulary)"
        )
    is_binary = spec.output is Output.SEQUENCE_CLASS and number == 1
    expected = 2 if is_binary else number
    if names != expected:
        why = " for one output, the logit of the second against the first" if is_binary else ""
        yield (
            f"spec.output_names has {names:,} {'name' if names == 1 else 'names'}, but"
            f" spec.num_outputs is {number}: give {expected:,}{why}"
        )


# --- values -----------------------------------------------------------------------------------


def _split_faults(
    name: str, split: Sequences, spec: TaskSpec, is_known: bool, is_own: bool
) -> Iterator[str]:
    """What is wrong with one split; ranges only where the spec is sound."""
    if not split.tokens.shape[:1].numel() or not split.tokens.dim():
        if split.targets.dim() and len(split.targets):
            yield f"{name} has no rows of tokens, but {len(split.targets):,} of targets"
        elif name != "valid":
            what = "learn from" if name == "train" else "test on"
            yield f"{name} has no rows; give at least one sequence to {what}"
        return
    shape_faults = [
        *_token_shape_faults(name, split, spec),
        *_target_shape_faults(name, split, spec),
    ]
    yield from shape_faults
    if shape_faults or not is_known or (split.is_stream and not is_own):
        return
    size = len(spec.vocabulary)
    found = first_outside(split.tokens, 0, size - 1)
    if found is not None:
        yield (
            f"{name}.tokens: {found} is no token id; ids are 1 to {size - 1} for the {size - 1}"
            " symbols of spec.vocabulary, and 0 for padding"
        )
    yield from _target_faults(name, split, spec)


def _token_shape_faults(name: str, split: Sequences, spec: TaskSpec) -> Iterator[str]:
    tokens, shape = split.tokens, tuple(split.tokens.shape)
    if tokens.dim() != 2:
        yield f"{name}.tokens has shape {shape}; give two axes, (rows, time)"
        return
    if tokens.dtype not in INTEGERS:
        yield (
            f"{name}.tokens is of {tokens.dtype}; token ids are integers: give torch.int64, or any"
            " other integer type"
        )
    if not shape[1]:
        yield f"{name}.tokens has shape {shape}, rows without a token; give at least one each"
    elif _is_count(spec.length) and shape[1] != spec.length and not split.is_stream:
        yield (
            f"{name}.tokens has shape {shape}, but spec.length is {spec.length}: give"
            f" {spec.length} tokens a row, padding included, or spec.length=None"
        )
    if split.planted is not None and (
        not isinstance(split.planted, Tensor)
        or split.planted.dtype is not torch.bool
        or split.planted.shape != tokens.shape
    ):
        yield f"{name}.planted: give a torch.bool tensor of the tokens' shape {shape}, or None"


def _target_shape_faults(name: str, split: Sequences, spec: TaskSpec) -> Iterator[str]:
    tokens, targets = split.tokens, split.targets
    rows, shape = len(tokens), tuple(targets.shape)
    if targets.dtype not in INTEGERS and not targets.dtype.is_floating_point:
        yield (
            f"{name}.targets is of {targets.dtype}; targets are whole numbers: give torch.int64, as"
            " targets.long()"
        )
    is_label = spec.output is Output.SEQUENCE_CLASS
    if is_label and split.is_stream:
        yield f"{name}.is_stream is true, but a stream has no labels; predict Output.NEXT_TOKEN"
    what = "one label a row" if is_label else "a target a token"
    expected = (rows, 1) if is_label else tuple(tokens.shape[:2])
    if shape == expected or not isinstance(spec.output, Output):
        return
    way = ", as targets[:, None]" if is_label and shape == (rows,) else ""
    if targets.dim() == len(expected) and len(targets) != rows:
        yield (
            f"{name}.targets has {len(targets):,} rows, but {name}.tokens has {rows:,}; give"
            f" {what}, {expected}"
        )
    else:
        yield f"{name}.targets has shape {shape}; give {what}, {expected}{way}"


def _target_faults(name: str, split: Sequences, spec: TaskSpec) -> Iterator[str]:
    """Targets that name no output, are no whole numbers, or are not there."""
    targets = split.targets
    if targets.dtype.is_floating_point:
        found = first_fractional(targets)
        if found is not None:
            yield (
                f"{name}.targets: {found} is no whole number; a target is the number of an output,"
                f" from 0"
            )
            return
    number = max(2, spec.num_outputs)
    found = first_outside(targets, 0, number - 1, also=IGNORE)
    if found is not None:
        yield (
            f"{name}.targets: {found} is the number of no output; give 0 to {number - 1}, or"
            f" IGNORE ({IGNORE}) where nothing is to be scored"
        )
    elif name != "valid" and is_all(targets, IGNORE):
        yield f"{name}.targets are all IGNORE ({IGNORE}), so that nothing is scored"


def _faults_of_all(data: Data) -> Iterator[str]:
    """What only a dataset of others can get wrong: padding where there should be symbols."""
    splits = {name: split for name, split in data.splits().items() if len(split)}
    symbols = data.spec.vocabulary.symbols
    if looks_counted_from_zero([split.tokens for split in splits.values()], len(symbols)):
        yield (
            f"tokens: ids seem to be counted from 0: there is no id {len(symbols)}, the last"
            " symbol's, and 0 stands between other ids; 0 is padding, and"
            f" {symbols[0]!r} has id 1: add 1"
        )
        return
    for name, split in splits.items():
        if split.is_stream:
            found = first_outside(split.tokens, 1, len(symbols))
            if found is not None:
                yield (
                    f"{name}.tokens: {found} is padding, and a stream has none; ids of symbols are"
                    f" 1 to {len(symbols)}"
                )
            continue
        row = first_row_of_padding(split.tokens)
        if row is not None:
            yield f"{name}.tokens: row {row} is padding (0) only; leave out sequences of no tokens"


# --- what else there may be -------------------------------------------------------------------


def _extra_faults(data: Data) -> Iterator[str]:
    for field, kind in (("patterns", Pattern), ("clusters", Cluster), ("notes", str)):
        values = getattr(data, field)
        if isinstance(values, str) or not isinstance(values, tuple | list):
            yield f"{field} is {_kind(values)}; give a tuple"
            continue
        wrong = [value for value in values if not isinstance(value, kind)]
        if wrong:
            yield f"{field} has {_kind(wrong[0])}; give {kind.__module__}.{kind.__qualname__}"
        elif kind is Pattern:
            yield from _pattern_faults(values, data.spec)
        elif kind is Cluster:
            yield from _cluster_faults(values)
    if data.vectors is not None:
        yield from _vector_faults(data.vectors, data.spec)


def _pattern_faults(patterns: Any, spec: TaskSpec) -> Iterator[str]:
    if not isinstance(spec.vocabulary, Vocabulary):
        return
    columns = len(spec.vocabulary.symbols)
    yield from _name_faults("patterns' names", [p.name for p in patterns] or ["none"], "pattern")
    for pattern in patterns:
        where = f"patterns: the ppm of {pattern.name!r}"
        ppm = pattern.ppm
        if not isinstance(ppm, np.ndarray) or ppm.ndim != 2 or ppm.dtype.kind not in "fiu":
            yield f"{where} is no numpy array of numbers with two axes, (width, symbols)"
        elif ppm.shape[1] != columns or not len(ppm):
            yield f"{where} has shape {ppm.shape}; give (width, {columns}), a column a symbol"
        elif not np.isfinite(ppm).all() or (ppm < 0).any():
            yield f"{where} has values that are no probabilities; give 0 to 1"
        elif (off := np.abs(ppm.sum(axis=1) - 1)).max() > 0.01:
            row = int(off.argmax())
            yield f"{where} has {ppm[row].sum():.4g} as the sum of row {row}; give rows of sum 1"


def _cluster_faults(clusters: Any) -> Iterator[str]:
    for place, cluster in enumerate(clusters):
        reads = cluster.reads
        if isinstance(reads, str) or not all(isinstance(read, str) for read in reads) or not reads:
            yield f"clusters[{place}].reads: give a tuple of strings, at least one"
            return
        if cluster.truth is not None and not isinstance(cluster.truth, str):
            yield f"clusters[{place}].truth is {_kind(cluster.truth)}; give a string, or None"
            return


def _vector_faults(vectors: Any, spec: TaskSpec) -> Iterator[str]:
    if not isinstance(vectors, WordVectors):
        yield f"vectors is {_kind(vectors)}; give a seqexp.data.WordVectors, or None"
        return
    ids, values = vectors.ids, vectors.values
    tensors = [getattr(vectors, field.name) for field in fields(WordVectors)]
    if not all(isinstance(tensor, Tensor) for tensor in tensors):
        yield "vectors: give ids and values as torch.Tensor"
        return
    if ids.dim() != 1 or values.dim() != 2 or len(ids) != len(values):
        shapes = f"ids of shape {tuple(ids.shape)} and values of {tuple(values.shape)}"
        yield f"vectors has {shapes}; give (words,) and (words, size)"
        return
    if ids.dtype not in INTEGERS or not values.dtype.is_floating_point:
        yield f"vectors has ids of {ids.dtype} and values of {values.dtype}; give integers, floats"
        return
    size = len(spec.vocabulary) if isinstance(spec.vocabulary, Vocabulary) else None
    found = None if size is None else first_outside(ids[:, None], 1, size - 1)
    if found is not None and size is not None:
        yield f"vectors.ids: {found} is no token id; ids of symbols are 1 to {size - 1}"
    if not torch.isfinite(values).all():
        yield "vectors.values has nan or inf"


def _whole(data: Data) -> Data:
    """Float targets, which are whole numbers, as integers."""
    if not any(split.targets.dtype.is_floating_point for split in data.splits().values()):
        return data
    train, valid, test = (
        replace(split, targets=split.targets.long()) for split in data.splits().values()
    )
    return replace(data, train=train, valid=valid, test=test)


def _noted(data: Data) -> Data:
    """With a note where padding is to be predicted, which is seldom meant."""
    if data.spec.output is not Output.NEXT_TOKEN or data.train.is_stream:
        return data
    share = share_of_padding(data.train.targets)
    if not share:
        return data
    note = (
        f"{share:.1%} of the targets in train are padding (0), and count in loss and accuracy;"
        f" where that is not meant, give IGNORE ({IGNORE}) there"
    )
    return replace(data, notes=(*data.notes, note))
