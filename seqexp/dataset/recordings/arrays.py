"""Recordings from an .npz file: `x`, `y`, and perhaps `lengths`, `groups`, `split`, names."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from seqexp.dataset.recordings.recording import LARGEST, Recording
from seqexp.errors import InputError
from seqexp.formats.arrays import read_arrays, stream_rows

MAX_BYTES = 2**36
"""Of all arrays, unpacked."""

OPTIONAL = ("lengths", "groups", "split", "feature_names")


def read_npz(path: Path, has_numbers: bool) -> tuple[list[Recording], tuple[str, ...]]:
    """All recordings, and the names of the features.

    Args:
        path: of the file. `x` is (sequences, time, size), or (sequences, time) of one feature;
            `y` is (sequences,), (sequences, time), or (sequences, values) of numbers; `lengths`,
            `groups` and `split` are (sequences,), `feature_names` (size,).
        has_numbers: whether two axes of `y` are values of a sequence, not labels of frames.

    Raises:
        InputError: naming the file and the array, and the value where there is one.
    """
    arrays = read_arrays(path, ("x", "y"), OPTIONAL, MAX_BYTES)
    x, y = arrays["x"], arrays["y"]
    _refuse_shape(x.shape, x.dtype, path)
    x = x[..., None] if x.ndim == 2 else x
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
    splits = _strings(arrays.get("split"), "split", count, path)
    names = _strings(arrays.get("feature_names"), "feature_names", size, path)
    found = []
    for row, (group, frames) in enumerate(_sequences(x, lengths, arrays, path)):
        if is_frames:
            labels: tuple[list[str], ...] = ([_text(value) for value in y[row, : lengths[row]]],)
        else:
            labels = tuple([_text(value)] for value in np.atleast_1d(y[row]))
        split = None if splits is None else splits[row]
        found.append(Recording(group, frames, labels, (f"{path}, sequence {row}",), split))
    return found, () if names is None else tuple(names)


def stream_npz(path: Path) -> tuple[Iterator[Recording], tuple[str, ...]]:
    """As `read_npz` without labels, one recording at a time; the names of the features.

    Raises:
        As `read_npz`; of what `x` holds, when the recording is asked for.
    """
    arrays = read_arrays(path, ("x",), ("y", *OPTIONAL), MAX_BYTES, unread=("x", "y"))
    shape, dtype, rows = stream_rows(path, "x")
    _refuse_shape(shape, dtype, path)
    count, time, *sizes = shape
    lengths = _lengths(arrays.get("lengths"), count, time, path)
    names = _strings(arrays.get("feature_names"), "feature_names", sizes[0] if sizes else 1, path)
    frames = (row if sizes else row[:, None] for row in rows)
    recordings = (
        Recording(group, values, (), (f"{path}, sequence {row}",))
        for row, (group, values) in enumerate(_sequences(frames, lengths, arrays, path))
    )
    return recordings, () if names is None else tuple(names)


def _sequences(
    rows: Iterable[np.ndarray], lengths: Sequence[int], arrays: Mapping[str, np.ndarray], path: Path
) -> Iterator[tuple[str, np.ndarray]]:
    """Group and frames of each row, without what pads it."""
    groups = _strings(arrays.get("groups"), "groups", len(lengths), path)
    for row, (values, length) in enumerate(zip(rows, lengths, strict=True)):
        frames = values[:length].astype(np.float64)
        _refuse_unsound(frames, row, path)
        yield str(row) if groups is None else groups[row], frames


def _refuse_shape(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    if dtype.kind not in "biuf" or len(shape) not in (2, 3) or 0 in shape:
        raise InputError(
            f"{path}: x has shape {shape} of {dtype}; give numbers, (sequences, time, size)"
        )


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
