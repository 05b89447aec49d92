"""What a dataset gives: `Data`, `Sequences`, `Batch`."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor

from seqexp.seeding import stream_seed
from seqexp.spec import IGNORE, PAD, TaskSpec

MAX_ON_DEVICE = 2**30
"""Bytes of a stream above which it stays where it is, and windows of it go to the device."""


MANY = 2**16
"""Tokens of each row, or values, that are looked at together where there may be very many."""


@dataclass(frozen=True)
class Batch:
    """Token ids and targets, int64.

    Targets are `(batch, time)` for NEXT_TOKEN. A classified sequence carries its label once:
    `(batch, 1)`.

    A stream may be larger than memory: its batch is the whole split, of any integer type, and
    `rows` of it, in that order. Its parts and windows are read when they are cut, and are on
    `device`, or where the split is. In them `rows` is None, as in all other batches.
    """

    tokens: Integer[Tensor, "batch time"]
    targets: Integer[Tensor, "batch positions"]
    is_stream: bool = False  # rows are pieces of one endless text, not sequences of their own
    rows: Int[Tensor, " chosen"] | None = None
    device: torch.device | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens) if self.rows is None else len(self.rows)

    def part(self, start: int, stop: int, scored_from: int | None = None) -> "Batch":
        """The tokens from `start` to before `stop`, and their targets.

        Targets before `scored_from` are IGNORE. A label stands in the part that holds its
        sequence's last token and is IGNORE in others.
        """
        scored_from = start if scored_from is None else scored_from
        if self.rows is not None:
            tokens, targets = (self._read(t[:, start:stop]) for t in (self.tokens, self.targets))
            read = Batch(tokens, targets, self.is_stream)
            return read.part(0, stop - start, scored_from - start)
        if start == scored_from == 0 and stop >= self.tokens.shape[1]:
            return self
        tokens = self.tokens[:, start:stop]
        if self.targets.shape[1] == 1 < self.tokens.shape[1]:
            last = self._last_position()
            ends_here = (last >= scored_from) & (last < stop)  # (batch,)
            return replace(
                self, tokens=tokens, targets=self.targets.where(ends_here[:, None], IGNORE)
            )
        targets = self.targets[:, start:stop]
        if scored_from > start:
            targets = targets.clone()
            targets[:, : scored_from - start] = IGNORE
        return replace(self, tokens=tokens, targets=targets)

    def _read(self, values: Integer[Tensor, "rows time"]) -> Int[Tensor, "batch time"]:
        """Of the rows of the batch only: as few bytes as there are go to the device."""
        return values[self.rows].to(self.device, non_blocking=True).long()

    def windows(self, size: int | None) -> Iterator["Batch"]:
        """Cut the time axis into windows of `size` tokens; None is one window."""
        time = self.tokens.shape[1]
        if size is None or size >= time:
            yield self.part(0, time)
            return
        for start in range(0, time, size):
            yield self.part(start, min(start + size, time))

    def num_scored(self) -> int:
        """Targets that count."""
        if not self.targets.dtype.is_signed:  # IGNORE is negative: there is none
            return len(self) * self.targets.shape[1]
        return sum(int((part.targets != IGNORE).sum()) for part in self.windows(MANY))

    def trimmed(self) -> "Batch":
        """Without what is padding in all rows, at either side; one token is kept of nothing."""
        used = (self.tokens != PAD).any(dim=0).nonzero()[:, 0]
        start, stop = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
        return self.part(start, stop)

    def _last_position(self) -> Int[Tensor, " batch"]:
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return ((self.tokens != PAD) * positions).amax(dim=1)


@dataclass(frozen=True)
class Sequences:
    """A split of any integer type, in memory or mapped from a file, cut into batches by index.

    `planted` says of each token whether it is part of a planted pattern, where that is known.
    `device` is where windows of a stream are wanted that is not there as a whole.
    """

    tokens: Integer[Tensor, "sequences time"]
    targets: Integer[Tensor, "sequences positions"]
    is_stream: bool = False  # rows are pieces of one endless text, not sequences of their own
    planted: Bool[Tensor, "sequences time"] | None = None
    device: torch.device | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "Sequences":
        """The same on another device; of a large stream, its windows."""
        is_elsewhere = self.tokens.device.type != device.type
        if self.is_stream and is_elsewhere and self.tokens.nbytes > MAX_ON_DEVICE:
            return replace(self, device=device)
        return replace(self, tokens=self.tokens.to(device), targets=self.targets.to(device))

    def at_most(self, count: int, seed: int) -> "Sequences":
        """So many rows at most, in their order: those of `drawn`, all of a stream."""
        if self.is_stream or len(self) <= count:
            return self
        rows = self.drawn(count, seed).sort().values.to(self.tokens.device)
        planted = None if self.planted is None else self.planted[rows.cpu()]
        return replace(self, tokens=self.tokens[rows], targets=self.targets[rows], planted=planted)

    def drawn(self, count: int, seed: int) -> Int[Tensor, " chosen"]:
        """So many rows at most, drawn by class: any first few hold each class as often as all do.

        Rows without a label of their own are drawn from all alike. Of a stream, the first rows.
        """
        if self.is_stream:
            return torch.arange(min(count, len(self)))
        generator = torch.Generator().manual_seed(stream_seed(seed, "sample"))
        order = torch.randperm(len(self), generator=generator)
        if self.targets.shape[1] != 1:
            return order[:count]
        labels = self.targets[:, 0].cpu().long()[order]
        _, labels, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
        # the i-th row of a class of n has its place at (i + 1/2) / n: classes come evenly mixed
        by_class = labels.argsort(stable=True)
        within = torch.arange(len(self)) - (sizes.cumsum(0) - sizes)[labels[by_class]]
        places = (within + 0.5) / sizes[labels[by_class]]
        return order[by_class[places.argsort(stable=True)]][:count]

    def num_batches(self, batch_size: int) -> int:
        """Batches an epoch, the last one perhaps smaller."""
        return -(-len(self) // batch_size)

    def batches(
        self,
        batch_size: int,
        order_seed: int | None = None,
        length_pool: int | None = None,
        skip: int = 0,
    ) -> Iterator[Batch]:
        """All sequences once, in an order that is a function of the seed; None keeps theirs.

        With `length_pool`, a batch holds sequences of like length, without padding that all share:
        sequences of so many batches are sorted by length together. The first `skip` batches are
        left out.
        """
        for rows in self._rows(batch_size, order_seed, length_pool)[skip:]:
            if self.is_stream:
                yield Batch(self.tokens, self.targets, True, rows, self.device)
                continue
            batch = Batch(self.tokens[rows].long(), self.targets[rows].long())
            yield batch if length_pool is None else batch.trimmed()

    def _rows(
        self, batch_size: int, order_seed: int | None, length_pool: int | None
    ) -> Sequence[Int[Tensor, " batch"]]:
        generator = None
        order = torch.arange(len(self))
        if order_seed is not None:
            generator = torch.Generator().manual_seed(order_seed)
            order = torch.randperm(len(self), generator=generator)
        if length_pool is not None:
            lengths = self._lengths().cpu()
            pools = torch.split(order, length_pool * batch_size)
            order = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools])
        batches = torch.split(order.to(self.tokens.device), batch_size)
        if length_pool is None or generator is None:
            return batches
        # else the short ones of each pool would always come first
        return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]

    def _lengths(self) -> Int[Tensor, " sequences"]:
        """Tokens of each row that are no padding, of which a stream has none."""
        if self.is_stream:
            return torch.full((len(self),), self.tokens.shape[1])
        return (self.tokens != PAD).sum(dim=1)


@dataclass(frozen=True)
class Pattern:
    """Something that was planted in the data: a position probability matrix over the symbols."""

    name: str
    ppm: Float[np.ndarray, "width symbols"]


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Pretrained vectors of some token ids, for a model's embedding to start from."""

    ids: Int[Tensor, " words"]
    values: Float[Tensor, "words size"]


@dataclass(frozen=True)
class Cluster:
    """Reads of one sequence, and the sequence where it is known."""

    reads: tuple[str, ...]
    truth: str | None = None


@dataclass(frozen=True)
class Data:
    """A dataset, loaded. An empty `valid` means that there is nothing to validate on.

    `clusters` are what noisy reads were taken from, for decoding and its score. `notes` are what a
    reader of the results should know of the data, a sentence each.
    """

    spec: TaskSpec
    train: Sequences
    valid: Sequences
    test: Sequences
    patterns: tuple[Pattern, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    vectors: WordVectors | None = None
    notes: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Data":
        """The same on another device."""
        train, valid, test = (split.to(device) for split in self.splits().values())
        return replace(self, train=train, valid=valid, test=test)

    def at_most(self, count: int | None, seed: int) -> "Data":
        """So many sequences of each split, drawn by class; None is all."""
        if count is None:
            return self
        train, valid, test = (split.at_most(count, seed) for split in self.splits().values())
        return replace(self, train=train, valid=valid, test=test)

    def splits(self) -> dict[str, Sequences]:
        """The splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def digest(self) -> str:
        """SHA-256 of the spec, every token, target and vector, the same on every machine."""
        sha = hashlib.sha256(repr(sorted(self.spec.to_dict().items())).encode())
        for name, split in self.splits().items():
            for tensor in (split.tokens, _unknown(split)):
                sha.update(f"{name} {tuple(tensor.shape)}".encode())
                for values in _pieces(tensor, split.is_stream):
                    sha.update(values.data)
        if self.vectors is not None:
            sha.update(self.vectors.ids.numpy().astype("<i8").tobytes())
            sha.update(self.vectors.values.numpy().astype("<f4").tobytes())
        return sha.hexdigest()


def _unknown(split: Sequences) -> Tensor:
    """The targets; of a stream, where they are the tokens after, the last of each row."""
    tokens, targets = split.tokens, split.targets
    if split.is_stream and torch.equal(tokens[:, 1:], targets[:, :-1]):
        return targets[:, -1:]
    return targets


def _pieces(tensor: Tensor, is_stream: bool) -> Iterator[np.ndarray]:
    """All values in order, a few at a time: as int64, or of a stream as what it is kept as."""
    if is_stream:  # which may be larger than memory
        for row in tensor.cpu().numpy():
            yield np.ascontiguousarray(row, dtype=row.dtype.newbyteorder("<"))
        return
    for piece in torch.split(tensor.cpu().reshape(-1), MANY):
        yield piece.numpy().astype("<i8")
