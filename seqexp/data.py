"""What a dataset gives: `Data`, `Sequences`, `Batch`."""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer, Num
from torch import Tensor

from seqexp.seeding import stream_seed
from seqexp.spec import Output, Scoring, TaskSpec, is_real, is_scored, unscored

MAX_ON_DEVICE = 2**30
"""Bytes of a stream above which it stays where it is, and windows of it go to the device."""


MANY = 2**16
"""Tokens of each row, or values, that are looked at together where there may be very many."""

VERY_MANY = 2**20
"""Rows of a split above which as few as can be are looked at together."""


@dataclass(frozen=True)
class Batch:
    """Sequences, their targets, and perhaps a context of each.

    `tokens` are ids, int64, or features, `(batch, time, size)` in float32 with NaN for padding.
    Targets are int64, or float32 where they are numbers: `(batch, time)` where the task is per
    position, else `(batch, labels)`, a row a sequence. `per_position` says which; None: they are
    per position, unless they have one column and there are more tokens.

    A stream may be larger than memory: its batch is the whole split, of any integer type, and
    `rows` of it, in that order. Its parts and windows are read when they are cut, and are on
    `device`, or where the split is. In them `rows` is None, as in all other batches.

    `numbers` are the numbers of the rows in their split; None: not known.
    """

    tokens: Num[Tensor, "batch time ..."]
    targets: Num[Tensor, "batch positions"]
    is_stream: bool = False  # rows are pieces of one endless text, not sequences of their own
    rows: Int[Tensor, " chosen"] | None = None
    device: torch.device | None = None
    context: Num[Tensor, "batch context ..."] | None = None
    per_position: bool | None = None
    numbers: Int[Tensor, " numbered"] | None = None

    def __post_init__(self) -> None:
        if self.per_position is None:
            has_label = self.targets.shape[1] == 1 < self.tokens.shape[1]
            object.__setattr__(self, "per_position", not has_label)

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.tokens) if self.rows is None else len(self.rows)

    def part(self, start: int, stop: int, scored_from: int | None = None) -> "Batch":
        """The tokens from `start` to before `stop`, and their targets.

        Targets before `scored_from` are not scored. A label stands in the part that holds its
        sequence's last token and is not scored in others. The context stays whole.
        """
        scored_from = start if scored_from is None else scored_from
        if self.rows is not None:
            tokens, targets = (self._read(t[:, start:stop]) for t in (self.tokens, self.targets))
            read = Batch(tokens, targets, self.is_stream, per_position=True, numbers=self.numbers)
            return read.part(0, stop - start, scored_from - start)
        if start == scored_from == 0 and stop >= self.tokens.shape[1]:
            return self
        tokens, ignored = self.tokens[:, start:stop], unscored(self.targets)
        if not self.per_position:
            last = self._last_position()
            ends_here = (last >= scored_from) & (last < stop)  # (batch,)
            return replace(
                self, tokens=tokens, targets=self.targets.where(ends_here[:, None], ignored)
            )
        targets = self.targets[:, start:stop]
        if scored_from > start:
            targets = targets.clone()
            targets[:, : scored_from - start] = ignored
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
        if not self.per_position:
            return int(is_scored(self.targets).sum())
        return sum(int(is_scored(part.targets).sum()) for part in self.windows(MANY))

    def trimmed(self) -> "Batch":
        """Without what is padding in all rows, at either side; one token is kept of nothing."""
        batch = self.part(*_used(self.tokens))
        if self.context is None:
            return batch
        start, stop = _used(self.context)
        return replace(batch, context=self.context[:, start:stop])

    def _last_position(self) -> Int[Tensor, " batch"]:
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return (is_real(self.tokens) * positions).amax(dim=1)


def _used(tokens: Num[Tensor, "batch time ..."]) -> tuple[int, int]:
    """From where to where there is anything but padding; one token is kept of nothing."""
    used = is_real(tokens).any(dim=0).nonzero()[:, 0]
    return (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)


@dataclass(frozen=True)
class Sequences:
    """A split, in memory or mapped from a file, cut into batches by index.

    Args:
        tokens: ids of any integer type, padded with 0; or features in float32, padded with NaN.
        targets: as in `Batch`; of any integer type, or float32 where they are numbers.
        is_stream: rows are pieces of one endless text, not sequences of their own.
        planted: whether each token is part of a planted pattern, where that is known.
        device: where windows of a stream are wanted that is not there as a whole.
        context: a second input of each row, ids or features; or fewer, which rows share.
        context_rows: the row of `context` of each sequence; None: they are in the same order.
        per_position: whether targets are a row of positions rather than of labels; `Data` sets it.
        groups: number of the group of each row, from 0; None: there are none.
        keys: of each row, a digest of its record as it was given, which is the same however it is
            encoded; None: tokens and targets tell.
        rows_per_group: rows of each group that an epoch has at most, drawn anew for each, side by
            side; None has all, in any order.
        names: of the records that rows are of, for the table of predictions; empty where they have
            none, and are numbered.
    """

    tokens: Num[Tensor, "sequences time ..."]
    targets: Num[Tensor, "sequences positions"]
    is_stream: bool = False
    planted: Bool[Tensor, "sequences time"] | None = None
    device: torch.device | None = None
    context: Num[Tensor, "contexts context ..."] | None = None
    context_rows: Int[Tensor, " sequences"] | None = None
    per_position: bool | None = None
    groups: Int[Tensor, " sequences"] | None = None
    rows_per_group: int | None = None
    keys: Int[Tensor, " sequences"] | None = None
    names: Sequence[str] = ()

    def __len__(self) -> int:
        """Number of sequences."""
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "Sequences":
        """The same on another device; of a large stream, its windows."""
        is_elsewhere = self.tokens.device.type != device.type
        if self.is_stream and is_elsewhere and self.tokens.nbytes > MAX_ON_DEVICE:
            return replace(self, device=device)
        context, rows = self.context, self.context_rows
        return replace(
            self,
            tokens=self.tokens.to(device),
            targets=self.targets.to(device),
            context=None if context is None else context.to(device),
            context_rows=None if rows is None else rows.to(device),
        )

    def chosen(self, rows: Int[Tensor, " chosen"]) -> "Sequences":
        """These rows, in this order."""
        if self.context_rows is not None:
            context, context_rows = self.context, self.context_rows[rows]
        else:
            context = None if self.context is None else self.context[rows]
            context_rows = None
        return replace(
            self,
            tokens=self.tokens[rows],
            targets=self.targets[rows],
            planted=None if self.planted is None else self.planted[rows.cpu()],
            context=context,
            context_rows=context_rows,
            groups=None if self.groups is None else self.groups[rows.cpu()],
            keys=None if self.keys is None else self.keys[rows.cpu()],
            names=[self.names[row] for row in rows.tolist()] if self.names else (),
        )

    def at_most(self, count: int, seed: int) -> "Sequences":
        """So many rows at most, in their order: those of `drawn`, all of a stream."""
        if self.is_stream or len(self) <= count:
            return self
        return self.chosen(self.drawn(count, seed).sort().values.to(self.tokens.device))

    def drawn(self, count: int, seed: int) -> Int[Tensor, " chosen"]:
        """So many rows at most, drawn by class: any first few hold each class as often as all do.

        Rows without a label of their own are drawn from all alike. Of a stream, the first rows.
        """
        if self.is_stream:
            return torch.arange(min(count, len(self)))
        generator = torch.Generator().manual_seed(stream_seed(seed, "sample"))
        order = torch.randperm(len(self), generator=generator)
        has_label = self.targets.shape[1] == 1 and not self.per_position
        if not has_label or self.targets.is_floating_point():
            return order[:count]
        labels = self.targets[:, 0].cpu().long()[order]
        if count < len(self) > VERY_MANY:  # no class has more of the first `count` than so many
            order, labels, sizes = _first_of_each(order, labels, count)
        else:
            sizes = torch.unique(labels, return_counts=True)[1]
        _, labels, there = torch.unique(labels, return_inverse=True, return_counts=True)
        # the i-th row of a class of n has its place at (i + 1/2) / n: classes come evenly mixed
        by_class = labels.argsort(stable=True)
        within = torch.arange(len(order)) - (there.cumsum(0) - there)[labels[by_class]]
        places = (within + 0.5) / sizes[labels[by_class]]
        return order[by_class[places.argsort(stable=True)]][:count]

    def digest(self) -> str:
        """The same for splits of the same rows in the same order; with keys, in any encoding."""
        parts = [self.keys] if self.keys is not None else [self.tokens, self.context]
        found = hashlib.sha256()
        for part in [*parts, self.context_rows, self.targets]:
            if part is None:
                continue
            # next words in a file are narrower than those in memory
            is_narrow = part is self.targets and part.dtype in (torch.int16, torch.int32)
            dtype = torch.int64 if is_narrow and not self.is_stream else part.dtype
            found.update(str((part.shape, dtype)).encode())
            for piece in torch.split(part.detach(), max(1, MANY // max(1, part[:1].numel()))):
                found.update(piece.to(dtype).cpu().contiguous().numpy().data)
        return found.hexdigest()

    def num_batches(self, batch_size: int) -> int:
        """Batches an epoch, the last one perhaps smaller."""
        count = len(self)
        if self.groups is not None and self.rows_per_group is not None:
            count = int(torch.bincount(self.groups).clamp(max=self.rows_per_group).sum())
        return -(-count // batch_size)

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
        for rows in itertools.islice(self._rows(batch_size, order_seed, length_pool), skip, None):
            if self.is_stream:
                yield Batch(self.tokens, self.targets, True, rows, self.device, numbers=rows)
                continue
            batch = Batch(
                _wide(self.tokens[rows]),
                _wide(self.targets[rows]),
                context=self._context_of(rows),
                per_position=self.per_position,
                numbers=rows,
            )
            yield batch if length_pool is None else batch.trimmed()

    def _context_of(self, rows: Int[Tensor, " batch"]) -> Num[Tensor, "batch context ..."] | None:
        if self.context is None:
            return None
        return _wide(self.context[rows if self.context_rows is None else self.context_rows[rows]])

    def _rows(
        self, batch_size: int, order_seed: int | None, length_pool: int | None
    ) -> Iterator[Int[Tensor, " batch"]]:
        generator = None
        order = torch.arange(len(self))
        if order_seed is not None:
            generator = torch.Generator().manual_seed(order_seed)
            order = torch.randperm(len(self), generator=generator)
            if self.groups is not None and self.rows_per_group is not None:
                order = self._by_group(order, generator)
        if length_pool is not None:
            lengths = self._lengths().cpu()
            pools = torch.split(order, length_pool * batch_size)
            order = torch.cat([pool[lengths[pool].argsort(stable=True)] for pool in pools])
        order = order.to(self.tokens.device)
        starts = range(0, max(1, len(order)), batch_size)
        if length_pool is not None and generator is not None:
            # else the short ones of each pool would always come first
            drawn = torch.randperm(len(starts), generator=generator).tolist()
            return (order[starts[i] : starts[i] + batch_size] for i in drawn)
        return (order[start : start + batch_size] for start in starts)

    def _by_group(
        self, order: Int[Tensor, " sequences"], generator: torch.Generator
    ) -> Int[Tensor, " chosen"]:
        """The first rows of each group in an order, groups drawn in an order of their own."""
        assert self.groups is not None and self.rows_per_group is not None
        count = int(self.groups.max()) + 1
        places = torch.randperm(count, generator=generator)[self.groups[order]]
        by_group = places.argsort(stable=True)
        sizes = torch.bincount(places)
        within = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[places[by_group]]
        return order[by_group[within < self.rows_per_group]]

    def _lengths(self) -> Int[Tensor, " sequences"]:
        """Tokens of each row that are no padding, of which a stream has none."""
        if self.is_stream:
            return torch.full((len(self),), self.tokens.shape[1])
        size = max(1, 2**20 // max(1, self.tokens[:1].numel()))
        return torch.cat([is_real(part).sum(dim=1) for part in torch.split(self.tokens, size)])


def _first_of_each(
    order: Int[Tensor, " rows"], labels: Int[Tensor, " rows"], count: int
) -> tuple[Int[Tensor, " chosen"], Int[Tensor, " chosen"], Int[Tensor, " classes"]]:
    """At most so many rows of each class, the first, in their order; and sizes of all classes."""
    classes, sizes = torch.unique(labels, return_counts=True)
    chosen = [(labels == one).nonzero()[:count, 0] for one in classes]
    rows = torch.cat(chosen).sort().values
    return order[rows], labels[rows], sizes


def row_keys(rows: Iterable[Sequence[str]]) -> Int[Tensor, " rows"]:
    """A digest of each row of texts: `Sequences.keys`."""
    found = [
        int.from_bytes(hashlib.blake2b("\0".join(row).encode(), digest_size=8).digest(), "big")
        for row in rows
    ]
    return torch.tensor([key - 2**63 for key in found], dtype=torch.long)


def _wide(values: Num[Tensor, "..."]) -> Num[Tensor, "..."]:
    """Numbers as models and losses take them: float32, or int64."""
    return values.float() if values.is_floating_point() else values.long()


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
    reader of the results should know of the data, a sentence each. `files` are texts about the
    data that are kept with a run, by name.
    """

    spec: TaskSpec
    train: Sequences
    valid: Sequences
    test: Sequences
    patterns: tuple[Pattern, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    vectors: WordVectors | None = None
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.spec, TaskSpec) or not isinstance(self.spec.output, Output):
            return  # which is refused, in words, before anything is done with it
        for name, split in self.splits().items():
            if isinstance(split, Sequences) and split.per_position is None:
                with_kind = replace(split, per_position=self.spec.per_position)
                object.__setattr__(self, name, with_kind)

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
        spec = replace(self.spec, scoring=Scoring())  # which is the config's, not the data's
        facts = spec.to_dict()
        facts["output"] = facts["output"].replace("_", "-")  # so that digests of old runs hold
        sha = hashlib.sha256(repr(sorted(facts.items())).encode())
        for name, split in self.splits().items():
            contexts = [t for t in (split.context, split.context_rows) if t is not None]
            for tensor in (split.tokens, _unknown(split), *contexts):
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
    kind = "<f4" if tensor.is_floating_point() else "<i8"
    for piece in torch.split(tensor.cpu().reshape(-1), MANY):
        yield piece.numpy().astype(kind)
