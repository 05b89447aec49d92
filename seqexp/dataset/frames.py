"""Sequences of frames of real numbers: curves of sensors, coordinates in a video."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import psutil
import torch
from annotated_types import Interval, Len
from torch import Tensor

from seqexp.data import Data, Sequences
from seqexp.dataset.folds import Fold, Folds
from seqexp.dataset.own_files import found
from seqexp.dataset.recordings.arrays import read_npz
from seqexp.dataset.recordings.labels import (
    Kind,
    classes_of,
    frame_labels,
    kind_of,
    numbers_of,
    one_label,
    refuse_measurements,
    refuse_no_numbers,
    renamed,
)
from seqexp.dataset.recordings.made import CHANNELS, made_recordings
from seqexp.dataset.recordings.recording import Recording, by_its_own
from seqexp.dataset.recordings.splitting import Splits, split
from seqexp.dataset.recordings.tables import columns_of, read_tables
from seqexp.dataset.recordings.windows import Window, windows
from seqexp.errors import InputError
from seqexp.ranges import Count, CountOrZero, HeldOutShare, Seed
from seqexp.spec import IGNORE, NO_SYMBOLS, Features, Output, Scale, TaskSpec

Name = Annotated[str, Len(1)]
Names = Annotated[list[str], Len(1)]


@dataclass(frozen=True)
class Frames:
    """Sequences of frames, labelled. Without a path, noisy waves of three shapes are made.

    A table has a frame a row, in the order of time. A folder, or an archive, has a table a
    sequence. An .npz file has the arrays `x` (sequences, time, size), `y`, and perhaps `lengths`,
    `groups`, `split` and `feature_names`.

    Args:
        path: a .csv or .tsv table (also .gz), a folder or .tar.gz of tables, or an .npz file;
            None makes waves.
        valid_path: sequences for validation, in a file of their own.
        test_path: sequences for the test, likewise.
        task: `token_class` (a label a frame), `sequence_class` (a label a sequence) or
            `regression` (numbers a sequence); None: what the labels tell, which is said.
        label_column: of a table, that holds the label or the number; several for numbers.
        label_names: what labels are called instead, as {rest: Rest}, or ["rest=Rest"], which a
            command line takes with any letters.
        feature_columns: of a table; None: all that are nothing else.
        ignore_columns: of a table, that are no features.
        group_column: of a table, whose value says which rows are one sequence; None: those of a
            file are.
        test_groups: names of sequences for the test: what `group_column` or `groups` says, else
            the name of the file without its ending.
        valid_groups: the same for validation.
        test_share: part of the groups, for the test, where nothing names them.
        valid_share: part of the groups that are left, for validation, where nothing names them.
        folds: parts of all groups, each of which is the test of one run; None: the test is drawn,
            or named.
        fold: which of the folds is the test, from 0; `valid_share` of the others validates.
        window: frames of a row; longer sequences are cut into windows. None: whole sequences.
        stride: frames from the start of a window to the next; None: `window`. Where windows
            overlap, each frame is scored in one of them.
        standardise: features by their mean and deviation in `training`, or in their own `sequence`,
            where these differ between people or devices; or `none`.
        missing: what an empty cell or nan is: `refuse`, or the `mean` of its column in training.
        num_made: waves that are made without a path.
        seed: selects what is held out, or made.

    Raises:
        InputError: from `load`, if a file is not sound or its labels cannot be learned.
    """

    path: str | None = None
    valid_path: str | None = None
    test_path: str | None = None
    task: Literal["token_class", "sequence_class", "regression"] | None = None
    label_column: Name | Names = "label"
    label_names: dict[str, str] | list[str] | None = None
    feature_columns: Names | None = None
    ignore_columns: list[str] | None = None
    group_column: Name | None = None
    test_groups: list[str | int] | None = None
    valid_groups: list[str | int] | None = None
    test_share: Annotated[float, Interval(gt=0, le=0.9)] = 0.2
    valid_share: HeldOutShare = 0.1
    folds: Folds | None = None
    fold: CountOrZero = 0
    window: Annotated[int, Interval(ge=2, le=10**6)] | None = None
    stride: Count | None = None
    standardise: Literal["training", "sequence", "none"] = "training"
    missing: Literal["refuse", "mean"] = "refuse"
    num_made: Annotated[int, Interval(ge=20, le=10**5)] = 300
    seed: Seed = 0

    def load(self) -> Data:
        """Read the recordings, and turn them into features and targets."""
        recordings, names = self._recordings()
        labels = self._labels(len(recordings[0].labels))
        kind, notes = self._kind(recordings, labels)
        if kind != "regression":
            recordings, told = renamed(recordings, _label_names(self.label_names))
            refuse_measurements(recordings)
            notes += told
        named = {"test": _texts(self.test_groups), "valid": _texts(self.valid_groups)}
        shares = {"test": self.test_share, "valid": self.valid_share}
        fold = Fold.of(self)
        parts = split(recordings, named, shares, self.seed, fold)
        if fold is not None:
            notes = [*notes, fold.note(len(parts["test"]), len(recordings), "sequences")]
        targets, outputs, told = _targets(parts, kind, labels)
        scale, filled = self._scale(parts["train"])
        notes += [*told, *filled, *self._cut_note(parts, kind)]
        spec = TaskSpec(
            vocabulary=NO_SYMBOLS,
            num_outputs=len(outputs),
            output=Output(kind),
            output_names=outputs,
            features=Features(recordings[0].values.shape[1], names, scale, self._by_itself),
        )
        train, valid, test = (
            self._sequences(parts[name], targets[name], spec, filled_with=_means(parts["train"]))
            for name in ("train", "valid", "test")
        )
        return Data(spec, train, valid, test, notes=tuple(notes))

    def _recordings(self) -> tuple[list[Recording], tuple[str, ...]]:
        if self.path is None:
            return made_recordings(self.num_made, self.task or "token_class", self.seed), CHANNELS
        keys = {"path": "train", "valid_path": "valid", "test_path": "test"}
        paths = {key: getattr(self, key) for key in keys if getattr(self, key) is not None}
        everything: list[Recording] = []
        names: tuple[str, ...] | None = None
        for key, path in paths.items():
            recordings, here = self._read(found(f"dataset.{key}", path))
            names = here if names is None else names
            size = recordings[0].values.shape[1]
            if set(here) != set(names) or (everything and everything[0].values.shape[1] != size):
                raise InputError(
                    f"{path}: has the features {', '.join(here) or size:}, but {self.path} has"
                    f" {', '.join(names) or everything[0].values.shape[1]}; give the same"
                )
            if here != names:  # the same columns in another order
                order = [here.index(name) for name in names]
                recordings = [replace(one, values=one.values[:, order]) for one in recordings]
            if len(paths) > 1:
                recordings = [replace(one, split=keys[key]) for one in recordings]
            everything += recordings
        assert names is not None
        if len(paths) > 1:  # what no file holds is drawn from the first one
            lacking = [name for name in ("valid", "test") if f"{name}_path" not in paths]
            everything = [
                replace(one, split=None) if one.split == "train" and lacking else one
                for one in everything
            ]
        _refuse_missing(everything, names, self.missing)
        return everything, names

    def _read(self, path: Path) -> tuple[list[Recording], tuple[str, ...]]:
        if path.suffix.lower() == ".npz":
            return read_npz(path, self.task == "regression")
        return read_tables(path, columns_of(asdict(self)))

    def _labels(self, count: int) -> tuple[str, ...]:
        """Names of the columns of labels."""
        given = self.label_column
        if self.path is not None and Path(self.path).suffix.lower() == ".npz":
            given = "y"
        names = (given,) if isinstance(given, str) else tuple(given)
        if len(names) == count:
            return names
        return tuple(f"{names[0]}{index}" for index in range(count))

    def _kind(
        self, recordings: Sequence[Recording], names: Sequence[str]
    ) -> tuple[Kind, list[str]]:
        if self.task is not None:
            if self.task != "regression" and len(names) > 1:
                raise InputError(
                    f"dataset.task is {self.task}, but there are {len(names)} columns of labels"
                    f" ({', '.join(names)}); give one, or dataset.task=regression"
                )
            return self.task, []
        if self.path is None:
            return "token_class", []
        kind, why = kind_of(recordings, names)
        return kind, [f"the task is {kind}, since {why} (dataset.task)"]

    def _scale(self, train: Sequence[Recording]) -> tuple[Scale | None, list[str]]:
        """Mean and deviation of each feature in training, and notes."""
        notes = []
        values = np.concatenate([one.values for one in train])
        if np.isnan(values).any():
            share = np.isnan(values).mean()
            notes.append(f"{share:.2%} of the values of training are missing: they are the mean")
        if self.standardise != "training":
            what = "by their mean and deviation in their own sequence"
            return None, [*notes, *([f"features are standardised {what}"] * self._by_itself)]
        mean, deviation = _means(train), np.nanstd(values, axis=0)
        constant = int((deviation < 1e-12 * np.maximum(1, np.abs(mean))).sum())
        if constant:
            notes.append(f"{constant} features have one value in all frames of training")
        deviation = np.where(deviation < 1e-12 * np.maximum(1, np.abs(mean)), 1.0, deviation)
        notes.append("features are standardised by their mean and deviation in training")
        return Scale(tuple(mean.tolist()), tuple(deviation.tolist())), notes

    @property
    def _by_itself(self) -> bool:
        """Whether each sequence is standardised by its own mean and deviation."""
        return self.standardise == "sequence"

    def _windows(self, one: Recording) -> list[Window]:
        return windows(len(one), self.window, self.stride)

    def _cut_note(self, parts: Splits, kind: Kind) -> list[str]:
        counts = {
            name: sum(len(self._windows(one)) for one in part) for name, part in parts.items()
        }
        if all(counts[name] == len(part) for name, part in parts.items()):
            return []
        cut = ", ".join(
            f"{counts[name]:,} of {len(part):,} of {name}" for name, part in parts.items()
        )
        how = "each frame is scored once" if kind == "token_class" else "each counts for itself"
        return [f"sequences are cut into windows of {self.window} frames ({cut}); {how}"]

    def _sequences(
        self,
        part: Sequence[Recording],
        targets: Sequence[Tensor],
        spec: TaskSpec,
        filled_with: np.ndarray,
    ) -> Sequences:
        """A row a window, padded with NaN."""
        cut = [(row, window) for row, one in enumerate(part) for window in self._windows(one)]
        time = max((window.stop - window.start for _, window in cut), default=1)
        assert spec.features is not None
        _refuse_too_much(len(cut), time, spec.features.size)
        tokens = torch.full((len(cut), time, spec.features.size), torch.nan)
        is_frames = spec.output is Output.TOKEN_CLASS
        width = (
            time if is_frames else (1 if spec.output is Output.SEQUENCE_CLASS else spec.num_outputs)
        )
        numbers = spec.output.has_numbers
        found = torch.full((len(cut), width), torch.nan if numbers else IGNORE)
        if not numbers:
            found = found.long()
        scale = spec.features.scale
        whole = [by_its_own(one.values) if self._by_itself else one.values for one in part]
        for place, (row, window) in enumerate(cut):
            values = whole[row][window.start : window.stop]
            values = np.where(np.isnan(values), filled_with, values)
            if scale is not None:
                values = (values - np.array(scale.mean)) / np.array(scale.deviation)
            tokens[place, : len(values)] = torch.from_numpy(values.astype(np.float32))
            if is_frames:
                scored = slice(window.scored_from, window.scored_to)
                first = window.scored_from - window.start
                labels = targets[row][scored]
                found[place, first : first + len(labels)] = labels
            else:
                found[place] = targets[row]
        return Sequences(tokens, found)


def _label_names(given: dict[str, str] | list[str] | None) -> dict[str, str]:
    if not isinstance(given, list):
        return given or {}
    for pair in given:
        if "=" not in pair.strip("="):
            raise InputError(
                f"dataset.label_names has {pair!r:.60}; give a label, = and its name, as"
                ' ["rest=Rest"]'
            )
    return {old.strip(): new.strip() for old, _, new in (pair.partition("=") for pair in given)}


def _texts(names: Sequence[str | int] | None) -> list[str] | None:
    return None if names is None else [str(name) for name in names]


def _means(train: Sequence[Recording]) -> np.ndarray:
    """Of each feature in training; 0 where none is known."""
    values = np.concatenate([one.values for one in train])
    known = ~np.isnan(values)
    means: np.ndarray = np.where(known, values, 0).sum(axis=0) / np.maximum(1, known.sum(axis=0))
    return means


def _targets(
    parts: Splits, kind: Kind, names: Sequence[str]
) -> tuple[dict[str, list[Tensor]], tuple[str, ...], list[str]]:
    """Targets of each recording, by split; names of the outputs; notes."""
    if kind == "regression":
        values = {name: [numbers_of(one, names) for one in part] for name, part in parts.items()}
        refuse_no_numbers(values["train"], names, parts["train"][0].place(0))
        numbers = {name: [torch.tensor(row) for row in rows] for name, rows in values.items()}
        unknown = sum(int(row.isnan().sum()) for rows in numbers.values() for row in rows)
        said = [f"{unknown:,} numbers are missing, and are not scored"] if unknown else []
        return numbers, tuple(names), said
    if kind == "sequence_class":
        parts = {
            name: [replace(one, labels=([one_label(one, 0, names[0], kind)],)) for one in part]
            for name, part in parts.items()
        }
    else:
        for part in parts.values():
            for one in part:
                frame_labels(one)
    classes, notes = classes_of(parts, "frames" if kind == "token_class" else "sequences")
    ids = {label: index for index, label in enumerate(classes)}
    targets = {
        name: [torch.tensor([ids[label] for label in one.labels[0]]) for one in part]
        for name, part in parts.items()
    }
    return targets, classes, notes


def _refuse_missing(recordings: Sequence[Recording], names: Sequence[str], missing: str) -> None:
    """Refuse the first value that is missing, unless it is to be the mean."""
    if missing == "mean":
        return
    for one in recordings:
        wrong = np.argwhere(np.isnan(one.values))
        if len(wrong):
            frame, feature = map(int, wrong[0])
            name = repr(names[feature]) if names else str(feature)
            at = "" if len(one.places) > 1 else f", frame {frame}"
            raise InputError(
                f"{one.place(frame)}{at}, column {name}: has no number (empty or nan); mend it,"
                " remove the frame, or give dataset.missing=mean"
            )


def _refuse_too_much(count: int, time: int, size: int) -> None:
    needed, there = 4 * count * time * size, psutil.virtual_memory().total
    if needed > there // 2:
        raise InputError(
            f"{count:,} sequences padded to the longest, {time:,} frames of {size:,} numbers, need"
            f" {needed / 2**30:,.1f} GiB, but half of this machine's memory is"
            f" {there / 2**31:,.1f} GiB; give dataset.window"
        )
