"""Texts as rows of token ids, and targets of next words: in memory, or mapped from a file."""

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from seqexp.dataset.cache import UNSOUND, checked_index, key_of
from seqexp.dataset.mapped import LARGE, MANY, growing, kept, mapped
from seqexp.dataset.tensors import as_tensor
from seqexp.dataset.words.apart import Rows
from seqexp.dataset.words.corpus import Corpus
from seqexp.dataset.words.joining import array_file
from seqexp.errors import InputError
from seqexp.spec import IGNORE, PAD
from seqexp.utils.files import write_whole

log = logging.getLogger("seqexp")


class Encoded(NamedTuple):
    """Token ids of a split, and the next words; None where these are not asked for."""

    tokens: Int[Tensor, "rows time"]
    following: Int[Tensor, "rows time"] | None = None


@dataclass(frozen=True, eq=False)
class Encoding:
    """How texts become rows.

    Args:
        corpus: of the texts.
        rows: for each split, the corpus' split and the texts of it.
        token_ids: of each word of the corpus.
        width: of a row.
        cut_head: whether the begin of longer texts is cut off, not the end.
        pad_left: the side of the padding of shorter ones.
        has_next: whether the next word of each is asked for.
    """

    corpus: Corpus
    rows: Rows
    token_ids: Int[np.ndarray, " words"]
    width: int
    cut_head: bool
    pad_left: bool
    has_next: bool

    @property
    def num_bytes(self) -> int:
        """Of all rows, about."""
        count = sum(len(chosen) for _, chosen in self.rows.values())
        return count * self.width * self.token_ids.itemsize * (2 if self.has_next else 1)

    @property
    def key(self) -> str:
        """A digest of all that rows depend on."""
        sha = hashlib.sha256()
        for split, (source, chosen) in self.rows.items():
            sha.update(f"{split} {source} {len(self.corpus.texts[source].ids)}".encode())
            sha.update(np.ascontiguousarray(chosen, dtype="<i8").data)
        sha.update(self.token_ids.astype("<i4").data)
        how = self.width, self.cut_head, self.pad_left, self.has_next
        return key_of("rows 1", self.corpus.key, repr(how), sha.hexdigest())

    def block(self, source: str, chosen: Int[np.ndarray, " rows"]) -> Int[np.ndarray, "rows time"]:
        """The rows of some texts."""
        texts = self.corpus.texts[source]
        return texts.matrix(self.token_ids, self.width, self.cut_head, self.pad_left, chosen)

    def rows_of(self, split: str) -> tuple[str, Int[np.ndarray, " rows"]]:
        """The texts of a split; only those of two words where the next one is asked for.

        Raises:
            InputError: if no text for training has two.
        """
        source, chosen = self.rows[split]
        if not self.has_next:
            return source, chosen
        lengths = np.minimum(self.corpus.texts[source].lengths()[chosen], self.width)
        chosen = chosen[lengths > 1]
        if split == "train" and not len(chosen):
            raise InputError(
                "dataset.task is next_token, but no text for training has two words; give longer"
                " texts, or a larger dataset.max_length"
            )
        return source, chosen


def encoded(encoding: Encoding, cache: str | None) -> Mapping[str, Encoded]:
    """All splits; from a file of the cache that is mapped, if they are large.

    Raises:
        InputError: if no text for training has two words, where the next one is asked for.
    """
    if encoding.num_bytes <= LARGE:
        return {split: _in_memory(encoding, split) for split in encoding.rows}

    def make(entry: Path) -> Mapping[str, Encoded]:
        _write(entry, encoding)
        found = _read(entry)
        if found is None:
            raise OSError(0, "it does not keep what is written")
        return found

    # rows of a corpus without a key would be taken for those of any other of its size
    folder = Path(cache) if cache is not None and encoding.corpus.key else None
    return kept(folder, f"rows-{encoding.key[:32]}", _read, make)


def _in_memory(encoding: Encoding, split: str) -> Encoded:
    matrix = encoding.block(*encoding.rows_of(split))
    if not encoding.has_next:
        return Encoded(torch.from_numpy(matrix))
    following = torch.from_numpy(_following(matrix, np.int64))
    return Encoded(torch.from_numpy(matrix[:, :-1].copy()), following)


def _following(matrix: Int[np.ndarray, "rows time"], dtype: Any) -> Int[np.ndarray, "rows time-1"]:
    """The token after each, on whichever side rows are padded."""
    following: np.ndarray = matrix[:, 1:].astype(dtype)
    following[(following == PAD) | (matrix[:, :-1] == PAD)] = IGNORE
    return following


def _write(entry: Path, encoding: Encoding) -> None:
    """Write all splits, some rows at a time."""
    entry.with_suffix(".json").unlink(missing_ok=True)
    log.info(f"writing {encoding.num_bytes:,} bytes of token ids, to be mapped into memory")
    checksums: dict[str, int] = {}
    dtype, width = encoding.token_ids.dtype, encoding.width - encoding.has_next
    for split in encoding.rows:
        source, chosen = encoding.rows_of(split)
        with ExitStack() as stack:
            tokens, *following = (
                stack.enter_context(growing(array_file(entry, split, name), dtype, width))
                for name in _names(encoding.has_next)
            )
            size = max(1, MANY // encoding.width)
            for start in range(0, len(chosen), size):
                block = encoding.block(source, chosen[start : start + size])
                tokens.add(block[:, :width])
                for file in following:
                    file.add(_following(block, dtype))
        for name, file in zip(_names(encoding.has_next), (tokens, *following), strict=True):
            checksums[f"{split}.{name}"] = file.checksum
    index = {"splits": list(encoding.rows), "has_next": encoding.has_next, "type": dtype.str}
    content = json.dumps(index)
    whole = {"checksums": checksums, "checksum": zlib.crc32(content.encode()), "index": content}
    write_whole(entry.with_suffix(".json"), json.dumps(whole).encode())


def _names(has_next: bool) -> tuple[str, ...]:
    return ("tokens", "following") if has_next else ("tokens",)


def _read(entry: Path) -> Mapping[str, Encoded] | None:
    """An entry, mapped; None if there is none, or it is damaged."""
    try:
        index, checksums = checked_index(entry)
        return {
            split: Encoded(
                *(
                    as_tensor(
                        mapped(
                            array_file(entry, split, name),
                            index["type"],
                            2,
                            checksums[f"{split}.{name}"],
                        )
                    )
                    for name in _names(index["has_next"])
                )
            )
            for split in index["splits"]
        }
    except FileNotFoundError:
        return None
    except UNSOUND as error:
        log.warning(f"{entry}: this cache is damaged ({error}); it is built again")
        return None
