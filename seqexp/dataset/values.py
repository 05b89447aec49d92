"""Looks through the values of a split a few at a time, since a split may be larger than memory."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seqexp.spec import IGNORE, PAD

MANY = 2**20
"""Values that are looked at together."""

INTEGERS = frozenset(
    getattr(torch, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
)
"""Types of token ids and of targets that are classes."""


def kind_of(value: object) -> str:
    """A value's type in words."""
    if value is None:
        return "nothing (None)"
    module, kind = type(value).__module__, type(value).__qualname__
    return f"a {kind}" if module == "builtins" else f"a {module}.{kind}"


def is_count(value: Any) -> bool:
    """Whether a value is an integer from 1."""
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    return is_integer and int(value) >= 1


def name_faults(where: str, names: Any, what: str) -> Iterator[str]:
    """What keeps values from being names: they are other things, none, or some of them twice."""
    if isinstance(names, str) or not isinstance(names, tuple | list):
        yield f"{where} is {kind_of(names)}; give a tuple of strings"
        return
    if not names:
        yield f"{where} is empty; give at least one {what}"
    seen: dict[Any, int] = {}
    for place, name in enumerate(names):
        if not isinstance(name, str):
            yield f"{where}[{place}] is {name!r}, {kind_of(name)}; give strings"
            return
        if name in seen:
            yield f"{where} has {name!r} twice, at {seen[name]} and {place}; give each {what} once"
            return
        seen[name] = place


def blocks(values: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """All of two axes in order, with the row and the column at which each block begins."""
    width = max(1, values.shape[1])
    columns = min(width, MANY)
    rows = max(1, MANY // columns)
    for row in range(0, len(values), rows):
        for column in range(0, values.shape[1], columns):
            block = values[row : row + rows, column : column + columns]
            yield row, column, block.detach().cpu()


def first_outside(values: Tensor, low: int, high: int, also: int | None = None) -> str | None:
    """The first value that is not from `low` to `high`, in words with its place; `also` is allowed
    besides.
    """
    for row, column, block in blocks(values):
        array = _array(block)
        if array.min() >= low and array.max() <= high:
            continue
        is_wrong = (array < low) | (array > high)
        if also is not None:
            is_wrong &= array != also
        if is_wrong.any():
            return _words(array, is_wrong, row, column)
    return None


def first_fractional(values: Tensor) -> str | None:
    """The first value that is no whole number, nan and inf among them, in words with its place."""
    for row, column, block in blocks(values):
        array = block.double().numpy()
        is_wrong = ~np.isfinite(array) | (array != np.round(array))
        if is_wrong.any():
            return _words(array, is_wrong, row, column)
    return None


def first_infinite(values: Tensor) -> str | None:
    """The first value that is inf, or would be one in float32, in words with its place."""
    for row, column, block in blocks(values):
        array = block.double().numpy()
        with np.errstate(over="ignore"):
            is_wrong = np.isinf(array.astype(np.float32))
        if is_wrong.any():
            return _words(array, is_wrong, row, column)
    return None


def _array(block: Tensor) -> np.ndarray:
    found: np.ndarray = (block.double() if block.dtype.is_floating_point else block).numpy()
    return found


def _words(array: np.ndarray, is_wrong: np.ndarray, row: int, column: int) -> str:
    place = np.unravel_index(int(is_wrong.argmax()), array.shape)
    value = array[place]
    shown = f"{value:.6g}" if array.dtype.kind == "f" else str(value)
    return f"{shown} (row {row + int(place[0])}, column {column + int(place[1])})"


def is_all(values: Tensor, value: int) -> bool:
    """Whether there is no other value."""
    return all(bool((_array(block) == value).all()) for _, _, block in blocks(values))


def first_row_of_padding(tokens: Tensor) -> int | None:
    """The first row that has nothing but padding."""
    is_used = torch.zeros(len(tokens), dtype=torch.bool)
    for row, _, block in blocks(tokens):
        is_used[row : row + len(block)] |= torch.from_numpy((_array(block) != PAD).any(axis=1))
    empty = torch.nonzero(~is_used)[:, 0]
    return int(empty[0]) if len(empty) else None


def looks_counted_from_zero(splits: Sequence[Tensor], num_symbols: int) -> bool:
    """Whether ids run from 0 to one less than they should.

    The last symbol's id is nowhere, and 0 stands between other ids at least half as often as ids
    do on average: more than letters that are unknown here and there.
    """
    inside = total = 0
    for tokens in splits:
        for _, _, block in blocks(tokens):
            array = _array(block)
            if array.max() >= num_symbols:
                return False
            total += array.size
            is_used = array != PAD
            before = np.logical_or.accumulate(is_used, axis=1)
            after = np.logical_or.accumulate(is_used[:, ::-1], axis=1)[:, ::-1]
            inside += int((~is_used & before & after).sum())
    return inside > 0 and inside >= total / (2 * max(1, num_symbols))


def share_of_padding(targets: Tensor) -> float:
    """Of the targets that are scored, how many are padding."""
    scored = padding = 0
    for _, _, block in blocks(targets):
        array = _array(block)
        scored += int((array != IGNORE).sum())
        padding += int((array == PAD).sum())
    return padding / max(1, scored)
