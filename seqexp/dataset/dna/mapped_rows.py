"""Splits of sequences larger than memory, as rows of token ids in files that are mapped."""

import json
import logging
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int8, Int32, UInt8
from torch import Tensor

from seqexp.dataset.cache import UNSOUND, checked_index
from seqexp.dataset.characters.progress import Done
from seqexp.dataset.dna.answers import Question, counts_of, refuse_one_class, refuse_unfit
from seqexp.dataset.dna.pool import PART, Pool, Rows, some
from seqexp.dataset.dna.row_work import shuffle_into
from seqexp.dataset.dna.splits import SPLITS
from seqexp.dataset.mapped import MANY, LazyTexts, growing, kept, mapped
from seqexp.dataset.tensors import as_tensor
from seqexp.formats.dna import reverse_complement
from seqexp.utils.files import write_whole
from seqexp.utils.progress import Work
from seqexp.utils.workers import cores

log = logging.getLogger("seqexp")

SHUFFLED, REVERSED = 1, 2
"""Flags of a row: the shuffled letters of its record; their other strand."""


class How(NamedTuple):
    """How the records of splits become rows.

    Args:
        seed: of the shuffles.
        is_shuffled: whether each record gets a shuffled one.
        with_reverse: whether each row of training gets its other strand.
        length: letters of all rows; None are those of the longest of a split.
        pad_left: the side of the padding.
    """

    seed: int
    is_shuffled: bool
    with_reverse: bool
    length: int | None
    pad_left: bool


@dataclass(frozen=True, eq=False)
class Part:
    """A split: token ids, targets, and names."""

    tokens: Tensor
    targets: Tensor
    names: "RowNames"


@dataclass(frozen=True, eq=False)
class Found:
    """All splits; letters of the shortest and the longest sequence; and notes."""

    parts: Mapping[str, Part]
    lengths: tuple[int, int]
    notes: Sequence[str]


@dataclass(frozen=True, eq=False)
class RowNames(LazyTexts):
    """Names of the rows of a split."""

    pool: Pool
    rows: Rows
    flags: Int8[np.ndarray, " rows"]

    def __len__(self) -> int:
        return len(self.rows)

    def _text(self, index: int) -> str:
        flags = int(self.flags[index])
        shuffled = "_shuffled" if flags & SHUFFLED else ""
        other = "_reverse" if flags & REVERSED else ""
        return f"{self.pool.name(int(self.rows[index]))}{shuffled}{other}"


def _arrays(question: Question) -> dict[str, tuple[Any, int]]:
    """Type and axes of each array of a split."""
    return {
        "tokens": (np.uint8, 2),
        "targets": (np.float32 if question.task == "regression" else np.int64, 2),
        "rows": (np.int32, 1),
        "flags": (np.int8, 1),
    }


def rows_of(
    pool: Pool,
    parts: Callable[[], tuple[dict[str, Rows], list[str]]],
    how: How,
    cache: Path | None,
    key: str,
) -> Found:
    """The rows of all splits, from a file of the cache.

    Args:
        pool: of the records.
        parts: tells the records of each split, and notes; called where there is no file yet.
        how: they become rows.
        cache: its folder; None is a temporary one.
        key: of everything that rows depend on.

    Raises:
        InputError: if a split lacks a class, or there is no room.
    """

    def make(entry: Path) -> Found:
        _write(entry, pool, *parts(), how)
        pool.forget()
        found = _read(entry, pool)
        if found is None:
            raise OSError(0, "it does not keep what is written")
        return found

    return kept(cache, f"dna-{key[:32]}", lambda entry: _read(entry, pool), make)


def _write(entry: Path, pool: Pool, parts: dict[str, Rows], notes: list[str], how: How) -> None:
    entry.with_suffix(".json").unlink(missing_ok=True)
    shuffles = _Shuffles(entry, pool, how.seed)
    if how.is_shuffled:
        shuffles.make(parts)
    every = pool.every_length()
    table = np.zeros(256, dtype=np.uint8)
    for letter, number in pool.alphabet.ids().items():
        table[letter] = number
    checksums: dict[str, int] = {}
    lengths: list[int] = []
    question = pool.answers.question
    num_targets = 1 if question.task == "sequence_class" else len(question.names)
    counts: dict[str, tuple[int, int]] = {}
    for name, rows in parts.items():
        found = every[rows]
        lengths += [int(found.min()), int(found.max())] if len(rows) else []
        width = how.length or int(found.max(initial=1))
        with ExitStack() as stack:
            columns = {"tokens": width, "targets": num_targets}
            files = {
                array: stack.enter_context(
                    growing(_file(entry, name, array), dtype, columns.get(array))
                )
                for array, (dtype, _) in _arrays(question).items()
            }
            both = how.with_reverse and name == "train"
            for rows_here, letters, flag in _blocks(pool, rows, width, how, shuffles, name):
                targets = pool.answers.targets(rows_here)
                targets = np.zeros_like(targets) if flag else targets
                flags = np.full(len(rows_here), flag, dtype=np.int8)
                tokens = table[letters]
                if both:
                    turned = table[_turned(letters, pool.lengths(rows_here), how.pad_left)]
                    tokens = np.stack([tokens, turned], axis=1).reshape(-1, width)
                    flags = np.stack([flags, flags | REVERSED], axis=1).reshape(-1)
                    rows_here, targets = np.repeat(rows_here, 2), np.repeat(targets, 2, axis=0)
                files["tokens"].add(tokens)
                files["targets"].add(targets)
                files["rows"].add(rows_here)
                files["flags"].add(flags)
                before, here = counts.get(name, (0, 0)), counts_of(targets)
                counts[name] = before[0] + here[0], before[1] + here[1]
        checksums |= {f"{name}.{array}": file.checksum for array, file in files.items()}
        if shuffles.same[name]:
            notes.append(f"{shuffles.same[name]} positives have no other order of their pairs")
    if question.is_binary:
        refuse_one_class({name: counts.get(name, (0, 0)) for name in parts})
    else:
        every_target = {name: pool.answers.targets(rows) for name, rows in parts.items()}
        notes += refuse_unfit(every_target, question)
    index = {"lengths": [min(lengths), max(lengths)], "notes": notes}
    content = json.dumps(index)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    write_whole(entry.with_suffix(".json"), json.dumps(whole).encode())
    shuffles.remove()


def _blocks(
    pool: Pool, rows: Rows, width: int, how: How, shuffles: "_Shuffles", name: str
) -> Iterator[tuple[Rows, UInt8[np.ndarray, "rows width"], int]]:
    """Rows of a split with their letters and flag: the records, then the shuffled ones."""
    size = max(1, MANY // width)
    for start in range(0, len(rows), size):
        here = rows[start : start + size]
        yield here, pool.letters(here, width, how.pad_left), 0
    if not how.is_shuffled:
        return
    for here, letters in shuffles.blocks(name, rows):
        lengths = pool.lengths(here)
        yield here, _padded(letters, lengths, width, how.pad_left), SHUFFLED


def _padded(
    letters: UInt8[np.ndarray, " letters"],
    lengths: Int32[np.ndarray, " rows"],
    width: int,
    pad_left: bool,
) -> UInt8[np.ndarray, "rows width"]:
    """Rows of letters that are end to end."""
    found = np.zeros((len(lengths), width), dtype=np.uint8)
    columns = np.arange(width)
    there = columns >= width - lengths[:, None] if pad_left else columns < lengths[:, None]
    found[there] = letters
    return found


def _turned(
    letters: UInt8[np.ndarray, "rows width"], lengths: Int32[np.ndarray, " rows"], pad_left: bool
) -> UInt8[np.ndarray, "rows width"]:
    """The other strand of each row."""
    text = letters.tobytes().decode("latin-1")
    other = np.frombuffer(reverse_complement(text).encode("latin-1"), dtype=np.uint8)
    turned = other.reshape(letters.shape)[::-1]  # its padding is on the other side
    return _padded(turned[turned > 0], lengths, letters.shape[1], pad_left)


class _Shuffles:
    """Shuffled letters of all records, in files of some records each, until rows are written."""

    def __init__(self, entry: Path, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        self.journal, self.folder = entry.with_suffix(".done"), entry.with_suffix(".parts")
        self.same = dict.fromkeys(SPLITS, 0)

    def make(self, parts: Mapping[str, Rows]) -> None:
        """Shuffle what is not done yet."""
        total = sum(map(len, parts.values()))
        self.folder.mkdir(exist_ok=True)
        log.info(f"shuffling {total:,} sequences, {cores()} at a time")
        with (
            Done(self.journal, ["shuffles 1", PART]) as done,
            Work(max(1, total), "sequences", "shuffling") as work,
        ):

            def after(index: int) -> None:
                work.advance(min(PART, total))

            places = (
                (self._place(name, start), rows[start : start + PART])
                for name, rows in parts.items()
                for start in range(0, len(rows), PART)
            )
            calls = ((place, *some(self.pool, rows), self.seed) for place, rows in places)
            workers = min(cores(), 1 + total // (4 * PART))
            done.stream("shuffle", shuffle_into, calls, workers, after, _is_true)

    def blocks(self, name: str, rows: Rows) -> Iterator[tuple[Rows, UInt8[np.ndarray, " letters"]]]:
        """Records that have another order of their pairs, and their shuffled letters."""
        for start in range(0, len(rows), PART):
            here = rows[start : start + PART]
            with np.load(self._place(name, start)) as found:
                self.same[name] += int((~found["is_other"]).sum())
                yield here[found["is_other"]], found["letters"]

    def remove(self) -> None:
        """Remove what is of use until rows are written."""
        self.journal.unlink(missing_ok=True)
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()

    def _place(self, name: str, start: int) -> Path:
        return self.folder / f"{name}-{start}.npz"


def _is_true(index: int, value: Any) -> bool:
    return value is True


def _read(entry: Path, pool: Pool) -> Found | None:
    """An entry, mapped; None if there is none, or it is damaged."""
    try:
        index, checksums = checked_index(entry)
        parts = {}
        for name in SPLITS:
            arrays = {
                array: mapped(_file(entry, name, array), dtype, axes, checksums[f"{name}.{array}"])
                for array, (dtype, axes) in _arrays(pool.answers.question).items()
            }
            names = RowNames(pool, arrays["rows"], arrays["flags"])
            parts[name] = Part(as_tensor(arrays["tokens"]), as_tensor(arrays["targets"]), names)
        low, high = index["lengths"]
        return Found(parts, (int(low), int(high)), [str(note) for note in index["notes"]])
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None


def _file(entry: Path, split: str, name: str) -> Path:
    return entry.with_name(f"{entry.name}-{split}-{name}.npy")
