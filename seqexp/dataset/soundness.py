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
from seqexp.dataset.sound_inputs import context_faults, input_faults, input_spec_faults
from seqexp.dataset.sound_targets import target_faults
from seqexp.dataset.values import (
    INTEGERS,
    first_outside,
    first_row_of_padding,
    is_count,
    kind_of,
    looks_counted_from_zero,
    name_faults,
    share_of_padding,
)
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary

OURS = "seqexp."
"""How the names of the datasets begin whose token ids are right by construction."""


def checked(loaded: object, name: str) -> Data:
    """The data of a dataset, sound.

    Float targets of classes that are all whole numbers become integers, and numbers float32.

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
            f"dataset {name}: load() returned {kind_of(loaded)}; return a seqexp.data.Data"
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
    data = _of_the_kinds_type(loaded)
    return _noted(data) if is_own else data


# --- types ------------------------------------------------------------------------------------


def _part_faults(data: Data) -> Iterator[str]:
    """Parts of another type than all that follows needs."""
    if not isinstance(data.spec, TaskSpec):
        yield f"spec is {kind_of(data.spec)}; give a seqexp.spec.TaskSpec"
    for name, split in data.splits().items():
        if not isinstance(split, Sequences):
            hint = ", of no rows where there is nothing to validate on" if name == "valid" else ""
            yield f"{name} is {kind_of(split)}; give a seqexp.data.Sequences{hint}"
            continue
        for part in ("tokens", "targets", "context", "context_rows"):
            values = getattr(split, part)
            if values is None and part.startswith("context"):
                continue
            if not isinstance(values, Tensor):
                is_array = isinstance(values, np.ndarray)
                way = f"torch.from_numpy({part})" if is_array else "torch.tensor([[1, 2], [3, 4]])"
                yield f"{name}.{part} is {kind_of(values)}; give a torch.Tensor, as {way}"
            elif values.layout is not torch.strided or values.is_meta:
                yield f"{name}.{part} is a sparse tensor or has no values; give a dense one"


def _spec_faults(spec: TaskSpec) -> Iterator[str]:
    """A spec that contradicts itself."""
    yield from input_spec_faults(spec)
    yield from name_faults("spec.output_names", spec.output_names, "class")
    if not isinstance(spec.output, Output):
        kinds = ", ".join(kind.value for kind in Output)
        yield f"spec.output is {spec.output!r}; give the name of a kind of task: {kinds}"
        return
    if not is_count(spec.num_outputs):
        yield f"spec.num_outputs is {spec.num_outputs!r}; give an integer from 1"
        return
    if spec.length is not None and not is_count(spec.length):
        yield f"spec.length is {spec.length!r}; give the tokens of every sequence, or None"
    if isinstance(spec.vocabulary, Vocabulary) and isinstance(spec.output_names, tuple | list):
        yield from _output_faults(spec)


def _output_faults(spec: TaskSpec) -> Iterator[str]:
    """A number of outputs that does not fit the names, or what is predicted."""
    number, names, symbols = spec.num_outputs, len(spec.output_names), len(spec.vocabulary.symbols)
    if spec.output is Output.NEXT_TOKEN and spec.features is not None:
        yield (
            "spec.output is next_token, but spec.features is given, and numbers have no next"
            " token; give another kind, or the numbers as spec.context"
        )
        return
    if spec.output is Output.NEXT_TOKEN and number != symbols + 1:
        yield (
            f"spec.num_outputs is {number}, but the next token is one of {symbols} symbols or"
            f" padding (id 0): give {symbols + 1}, which is len(vocabulary)"
        )
    is_binary = spec.output is Output.SEQUENCE_CLASS and number == 1
    if spec.output is Output.TOKEN_CLASS and number == 1:
        yield "spec.num_outputs is 1, but a label is one of several: give an output a class"
        return
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
    looks_at_values = is_known and (is_own or not split.is_stream)
    if not [*input_spec_faults(spec)]:
        yield from input_faults(name, split, spec, looks_at_values)
        yield from context_faults(name, split, spec, looks_at_values)
    yield from target_faults(name, split, spec, looks_at_values)


def _faults_of_all(data: Data) -> Iterator[str]:
    """What only a dataset of others can get wrong: padding where there should be symbols."""
    if data.spec.features is not None:
        return
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
            yield f"{field} is {kind_of(values)}; give a tuple"
            continue
        wrong = [value for value in values if not isinstance(value, kind)]
        if wrong:
            yield f"{field} has {kind_of(wrong[0])}; give {kind.__module__}.{kind.__qualname__}"
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
    yield from name_faults("patterns' names", [p.name for p in patterns] or ["none"], "pattern")
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
            yield f"clusters[{place}].truth is {kind_of(cluster.truth)}; give a string, or None"
            return


def _vector_faults(vectors: Any, spec: TaskSpec) -> Iterator[str]:
    if not isinstance(vectors, WordVectors):
        yield f"vectors is {kind_of(vectors)}; give a seqexp.data.WordVectors, or None"
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


def _of_the_kinds_type(data: Data) -> Data:
    """With targets of whole numbers as integers, where they are classes, and numbers as float32."""
    has_numbers = data.spec.output.has_numbers
    splits = data.splits().values()
    if all(_is_of_type(split.targets, has_numbers) for split in splits):
        return data
    train, valid, test = (
        replace(split, targets=split.targets.float() if has_numbers else split.targets.long())
        for split in splits
    )
    return replace(data, train=train, valid=valid, test=test)


def _is_of_type(targets: Tensor, has_numbers: bool) -> bool:
    return targets.dtype is torch.float32 if has_numbers else not targets.is_floating_point()


def _noted(data: Data) -> Data:
    """With a note where padding is to be predicted, which is seldom meant."""
    if not data.spec.causal or data.train.is_stream:
        return data
    share = share_of_padding(data.train.targets)
    if not share:
        return data
    note = (
        f"{share:.1%} of the targets in train are padding (0), and count in loss and accuracy;"
        f" where that is not meant, give IGNORE ({IGNORE}) there"
    )
    return replace(data, notes=(*data.notes, note))
