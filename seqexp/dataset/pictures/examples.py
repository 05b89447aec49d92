"""Pictures and the texts on them, as splits: what files and digits become before texts are encoded.

Whole pictures go to a split, with all their texts; equal pictures go together.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import psutil
import torch
from annotated_types import Interval, Len
from jaxtyping import Float32, Int
from torch import Tensor

from seqexp.dataset.folds import Fold
from seqexp.dataset.pictures.parts import WHOLE, Part
from seqexp.errors import InputError
from seqexp.formats.png import Picture, read_png
from seqexp.seeding import stream_seed
from seqexp.spec import Features
from seqexp.utils.pixels import pixel_names

NumPictures = Annotated[int, Interval(ge=1, le=10**5)]
"""Pictures that are made."""

Side = Annotated[int, Interval(ge=1, le=1024)]
Resize = Annotated[list[Side], Len(2, 2)] | None
"""Rows and columns to which pictures are scaled."""


class Entry(NamedTuple):
    """A text on a picture: a caption, or a question and its answer.

    `picture` is a place in `Examples.pictures`; `place` is where the entry stands, for messages.
    """

    picture: int
    text: str
    answer: str
    place: str


@dataclass(frozen=True)
class Examples:
    """Pictures of a split, and the texts on them in the order of their file."""

    pictures: Float32[np.ndarray, "pictures rows columns channels"]
    entries: tuple[Entry, ...]

    def chosen(self, pictures: Int[np.ndarray, " chosen"]) -> "Examples":
        """These pictures, and the texts on them."""
        new = {int(old): index for index, old in enumerate(pictures)}
        kept = (entry for entry in self.entries if entry.picture in new)
        entries = tuple(entry._replace(picture=new[entry.picture]) for entry in kept)
        return Examples(self.pictures[pictures], entries)

    def context(self) -> Float32[Tensor, "pictures rows features"]:
        """A row of the picture at each position, all channels of a column side by side."""
        count, rows, columns, channels = self.pictures.shape
        flat = self.pictures.reshape(count, rows, columns * channels)
        return torch.from_numpy(np.ascontiguousarray(flat))

    def context_rows(self) -> Int[Tensor, " entries"]:
        """Of each text, its picture."""
        return torch.tensor([entry.picture for entry in self.entries], dtype=torch.int64)

    def features(self) -> Features:
        """What a row of a picture holds; names tell columns and channels."""
        _, _, columns, channels = self.pictures.shape
        return Features(columns * channels, pixel_names(columns, channels))


@dataclass(frozen=True)
class Named:
    """A text on a picture that is still a file: `picture` is the key of the file in its part."""

    picture: str
    text: str
    answer: str
    place: str


# --- from files -------------------------------------------------------------------------------


def examples_of_parts(
    parts: Mapping[str, Part],
    named: Mapping[str, Sequence[Named]],
    resize: Sequence[int] | None,
) -> tuple[dict[str, Examples], list[str]]:
    """Decoded pictures that a text is on, of one size; by split, with notes.

    Raises:
        InputError: naming a picture that is missing, damaged, or of another size.
    """
    decoded: dict[str, list[Picture]] = {}
    used: dict[str, dict[str, int]] = {}  # in the order of their first text
    size = None if resize is None else (resize[0], resize[1])
    sizes = _OneSize()
    notes = []
    for split, part in parts.items():
        used[split] = _places(part, named[split])
        decoded[split] = [
            sizes.checked(read_png(part.pictures[key], part.picture_place(key), size), place)
            for key, place in ((key, part.picture_place(key)) for key in used[split])
        ]
        idle = len(part.pictures) - len(used[split])
        if idle:
            notes.append(
                f"{idle:,} of {len(part.pictures):,} pictures in {part.place} have no text"
            )
    channels = max(sizes.counts)
    if len(sizes.counts) > 1:
        notes.append(
            f"{sizes.counts[1]:,} grey pictures are among {sizes.counts[3]:,} in colours: their"
            " grey is taken for red, green and blue"
        )
    examples = {}
    for split, pictures in decoded.items():
        entries = (Entry(used[split][n.picture], n.text, n.answer, n.place) for n in named[split])
        whole = [np.broadcast_to(p, (*p.shape[:2], channels)) for p in pictures]
        examples[split] = Examples(np.stack(whole), tuple(entries))
    return examples, notes


def _places(part: Part, named: Sequence[Named]) -> dict[str, int]:
    """Of each picture that a text is on, its number.

    Raises:
        InputError: naming the first text on a picture that is missing.
    """
    places: dict[str, int] = {}
    for entry in named:
        if entry.picture not in part.pictures:
            raise InputError(
                f"{entry.place}: is on picture {entry.picture}, but there is no"
                f" {part.picture_place(entry.picture)}"
            )
        places.setdefault(entry.picture, len(places))
    return places


class _OneSize:
    """Looks that pictures are of one size, and fit into memory."""

    def __init__(self) -> None:
        self.first: tuple[tuple[int, int], str] | None = None
        self.counts: dict[int, int] = defaultdict(int)  # of pictures, by channels
        self.free = psutil.virtual_memory().total // 4

    def checked(self, picture: Picture, place: str) -> Picture:
        """The picture.

        Raises:
            InputError: if its size is another one, or there are too many pictures.
        """
        rows, columns, channels = picture.shape
        if self.first is None:
            self.first = (rows, columns), place
        expected, where = self.first
        if (rows, columns) != expected:
            raise InputError(
                f"{place}: has {rows} rows and {columns} columns of pixels, but {where} has"
                f" {expected[0]} and {expected[1]}; give pictures of one size, or"
                " dataset.resize=[ROWS,COLUMNS]"
            )
        self.counts[channels] += 1
        self.free -= rows * columns * 3 * 4
        if self.free < 0:
            raise InputError(
                f"{place}: the pictures take more than a quarter of this machine's memory; give"
                " smaller ones, as dataset.resize=[ROWS,COLUMNS]"
            )
        return picture


# --- splits -----------------------------------------------------------------------------------


def divided(
    found: Mapping[str, Examples],
    valid_share: float,
    test_share: float,
    seed: int,
    fold: Fold | None = None,
) -> tuple[dict[str, Examples], list[str]]:
    """Splits `train`, `valid` and `test`: those that are there, others by share of pictures.

    Training pictures that a held-out split has too are removed, with their texts; notes say so.

    Raises:
        InputError: if nothing is left to train on or to test on.
    """
    splits = {("train" if name == WHOLE else name): part for name, part in found.items()}
    notes = []
    if fold is not None:
        splits["train"], splits["test"] = _of_fold(found, fold)
        sizes = [len(part.pictures) for part in splits.values()]
        notes = [fold.note(sizes[1], sum(sizes), "pictures")]
    for name, share in (("test", test_share), ("valid", valid_share)):
        if name not in splits and share:
            splits["train"], splits[name] = _cut(splits["train"], share, seed, name)
    if "test" not in splits:
        raise InputError("dataset.test_share is 0 and there is no folder test; give one of them")
    for name in ("valid", "test"):
        if name in splits:
            splits["train"], note = _without(splits["train"], splits[name], name)
            notes += note
    splits.setdefault("valid", splits["train"].chosen(np.arange(0)))
    return splits, notes


def _cut(examples: Examples, share: float, seed: int, name: str) -> tuple[Examples, Examples]:
    """The rest, and this share of the pictures; equal ones are not parted."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, picture in enumerate(examples.pictures):
        groups[picture.tobytes()].append(index)
    if len(groups) < 2:
        raise InputError(
            f"dataset.{name}_share is {share}, but there is {len(groups)} picture left to take it"
            f" from (equal ones count once); give more pictures, or a folder {name}"
        )
    count = min(max(1, round(share * len(groups))), len(groups) - 1)
    bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, name)))
    drawn = np.argsort(bits.random_raw(len(groups)), kind="stable")
    members = list(groups.values())
    held = sorted(index for group in drawn[:count] for index in members[group])
    left = np.setdiff1d(np.arange(len(examples.pictures)), held)
    return examples.chosen(left), examples.chosen(np.array(held))


def _of_fold(found: Mapping[str, Examples], fold: Fold) -> tuple[Examples, Examples]:
    """The rest, and the pictures of a fold; equal ones are not parted."""
    named = next((name for name in found if name != WHOLE), None)
    if named is not None:
        fold.refuse_given(named, "dataset.path has a folder a split")
    whole = found[WHOLE]
    groups = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in whole.pictures]
    chosen = np.array(fold.tested(groups, "different pictures"))
    return whole.chosen(np.flatnonzero(~chosen)), whole.chosen(np.flatnonzero(chosen))


def _without(train: Examples, held: Examples, name: str) -> tuple[Examples, list[str]]:
    """The training examples without pictures that are held out too."""
    seen = {picture.tobytes() for picture in held.pictures}
    kept = [i for i, picture in enumerate(train.pictures) if picture.tobytes() not in seen]
    removed = len(train.pictures) - len(kept)
    if not removed:
        return train, []
    if not kept:
        raise InputError(f"all training pictures are in {name} too; give others")
    note = (
        f"{removed:,} training pictures are in {name} too; they and the texts on them are removed"
        " from training"
    )
    return train.chosen(np.array(kept)), [note]
