"""Recordings from an .npz file: `x`, `y`, and perhaps `lengths`, `groups`, `split`, names."""

from pathlib import Path

import numpy as np

from seqexp.dataset.recordings.recording import LARGEST, Recording
from seqexp.errors import InputError
from seqexp.formats.arrays import read_arrays

MAX_BYTES = 2**36
"""Of all arrays, unpacked."""

OPTIONAL = ("lengths", "groups", "split", "feature_names")


def read_npz(
    path: Path, has_numbers: bool, needs_labels: bool = True
) -> tuple[list[Recording], tuple[str, ...]]:
    """All recordings, and the names of the features.

    Args:
        path: of the file. `x` is (sequences, time, size), or (sequences, time) of one feature;
            `y` is (sequences,), (sequences, time), or (sequences, values) of numbers; `lengths`,
            `groups` and `split` are (sequences,), `feature_names` (size,).
        has_numbers: whether two axes of `y` are values of a sequence, not labels of frames.
        needs_labels: whether there has to be a `y`; without it, recordings have no labels.

    Raises:
        InputError: naming the file and the array, and the value where there is one.
    """
    if needs_labels:
        arrays = read_arrays(path, ("x", "y"), OPTIONAL, MAX_BYTES)
    else:
        arrays = read_arrays(path, ("x",), ("y", *OPTIONAL), MAX_BYTES)
    x = _features(arrays["x"], path)
    y = arrays["y"] if needs_labels else np.zeros(len(x), dtype=np.int64)
    count, time, size = x.shape
    if y.ndim not in (1, 2) or len(y) != count or y.dtype.kind not in "biufUS":
        raise InputError(
            f"{path}: y has shape {y.shape} of {y.dtype}, and x has {count:,} sequences; give"
            f" ({count},) or ({count}, {time}), of integers, numbers or strings"
        )
    is_frames = y.ndim == 2 and not has_numbers and y.shape[1] == time
    if y.ndim == 2 and not is_frames and y.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: y has shape {y.shape}; give a label a sequence, ({count},), or a frame,"
            f" ({count}, {time})"
        )
    lengths = _lengths(arrays.get("lengths"), count, time, path)
    groups = _strings(arrays.get("groups"), "groups", count, path)
    splits = _strings(arrays.get("split"), "split", count, path)
    names = _strings(arrays.get("feature_names"), "feature_names", size, path)
    found = []
    for row in range(count):
        frames = x[row, : lengths[row]].astype(np.float64)
        _refuse_unsound(frames, row, path)
        if is_frames:
            labels: tuple[list[str], ...] = ([_text(value) for value in y[row, : lengths[row]]],)
        else:
            labels = tuple([_text(value)] for value in np.atleast_1d(y[row]))
        group = str(row) if groups is None else groups[row]
        split = None if splits is None else splits[row]
        found.append(Recording(group, frames, labels, (f"{path}, sequence {row}",), split))
    return found, () if names is None else tuple(names)


def _features(x: np.ndarray, path: Path) -> np.ndarray:
    if x.dtype.kind not in "biuf" or x.ndim not in (2, 3) or not x.size:
        raise InputError(
            f"{path}: x has shape {x.shape} of {x.dtype}; give numbers, (sequences, time, size)"
        )
    return x[..., None] if x.ndim == 2 else x


def _lengths(given: np.ndarray | None, count: int, time: int, path: Path) -> list[int]:
    if given is None:
        return [time] * count
    if given.shape != (count,) or given.dtype.kind not in "iu":
        raise InputError(
            f"{path}: lengths has shape {given.shape} of {given.dtype}; give ({count},) integers"
        )
    wrong = np.flatnonzero((given < 1) | (given > time))
    if len(wrong):
        row = int(wrong[0])
        raise InputError(f"{path}: lengths[{row}] is {given[row]}; give 1 to {time}")
    return [int(length) for length in given]


def _strings(given: np.ndarray | None, name: str, count: int, path: Path) -> list[str] | None:
    if given is None:
        return None
    if given.shape != (count,) or given.dtype.kind not in "iuUS":
        raise InputError(
            f"{path}: {name} has shape {given.shape} of {given.dtype}; give ({count},) strings"
        )
    return [_text(value) for value in given]


def _refuse_unsound(frames: np.ndarray, row: int, path: Path) -> None:
    """Refuse what is infinite; what is missing stays NaN."""
    wrong = np.argwhere(np.isinf(frames) | (np.abs(frames) > LARGEST))
    if len(wrong):
        time, feature = map(int, wrong[0])
        value = frames[time, feature]
        raise InputError(
            f"{path}: x[{row}, {time}, {feature}] is {value:g}; give finite numbers up to"
            f" {LARGEST:g}"
        )


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, np.floating):
        return repr(float(value))
    return str(value).strip()
