"""What the parts say to each other: vocabulary, task, batch, carry, and the model's protocol.

Every dataset turns its data into token ids and targets; a `TaskSpec` is all that a model knows of
a dataset.
"""

import enum
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Integer
from torch import Tensor, nn

PAD = 0
"""Token id of padding in every vocabulary."""

IGNORE = -100
"""A target that is not scored."""

Carry = tuple[Tensor, ...]
"""What a model needs of the tokens before: a value that is passed and returned."""


class Output(enum.Enum):
    """What is predicted."""

    SEQUENCE_CLASS = "sequence-class"  # one label a sequence
    NEXT_TOKEN = "next-token"  # one target a position


COMPLEMENT = {"A": "T", "C": "G", "G": "C", "T": "A"}
"""What stands opposite of a letter on the other strand of DNA."""


@dataclass(frozen=True)
class Vocabulary:
    """The symbols that token ids stand for; id 0 is padding and has no symbol."""

    symbols: tuple[str, ...]

    def __len__(self) -> int:
        """Number of ids, padding among them."""
        return len(self.symbols) + 1

    def encode(self, symbols: Sequence[str]) -> list[int]:
        """Token ids.

        Raises:
            KeyError: on a symbol that the vocabulary lacks.
        """
        ids = {symbol: index for index, symbol in enumerate(self.symbols, start=1)}
        return [ids[symbol] for symbol in symbols]

    def decode(self, ids: Sequence[int]) -> list[str]:
        """The symbols of token ids; padding is left out."""
        return [self.symbols[index - 1] for index in ids if index != PAD]

    @property
    def is_dna(self) -> bool:
        """Whether the symbols have complements."""
        return set(self.symbols) == set(COMPLEMENT)

    def complements(self) -> list[int]:
        """Of each id that of its complement, for DNA; padding stays padding."""
        return [PAD, *self.encode([COMPLEMENT[symbol] for symbol in self.symbols])]


@dataclass(frozen=True)
class TaskSpec:
    """All that a model knows of a dataset.

    `length` is the number of tokens of every sequence, or None where they differ.
    """

    vocabulary: Vocabulary
    num_outputs: int
    output: Output
    output_names: tuple[str, ...]
    length: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON file."""
        return {
            "vocabulary": list(self.vocabulary.symbols),
            "num_outputs": self.num_outputs,
            "output": self.output.value,
            "output_names": list(self.output_names),
            "length": self.length,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TaskSpec":
        """The spec that `to_dict` wrote."""
        return cls(
            vocabulary=Vocabulary(tuple(values["vocabulary"])),
            num_outputs=values["num_outputs"],
            output=Output(values["output"]),
            output_names=tuple(values["output_names"]),
            length=values["length"],
        )


@dataclass(frozen=True)
class Batch:
    """Token ids and targets, int64.

    Targets are `(batch, time)` for NEXT_TOKEN. A classified sequence carries its label once:
    `(batch, 1)`.
    """

    tokens: Int[Tensor, "batch time"]
    targets: Int[Tensor, "batch positions"]
    is_stream: bool = False  # rows are pieces of one endless text, not sequences of their own

    def part(self, start: int, stop: int, scored_from: int | None = None) -> "Batch":
        """The tokens from `start` to before `stop`, and their targets.

        Targets before `scored_from` are IGNORE. A label stands in the part that holds its
        sequence's last token and is IGNORE in others.
        """
        scored_from = start if scored_from is None else scored_from
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

    def windows(self, size: int | None) -> Iterator["Batch"]:
        """Cut the time axis into windows of `size` tokens; None is one window."""
        time = self.tokens.shape[1]
        if size is None or size >= time:
            yield self
            return
        for start in range(0, time, size):
            yield self.part(start, min(start + size, time))

    def _last_position(self) -> Int[Tensor, " batch"]:
        positions = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        return ((self.tokens != PAD) * positions).amax(dim=1)


@dataclass(frozen=True)
class Sequences:
    """A split in memory, of any integer type, cut into batches by index.

    `planted` says of each token whether it is part of a planted pattern, where that is known.
    """

    tokens: Integer[Tensor, "sequences time"]
    targets: Integer[Tensor, "sequences positions"]
    is_stream: bool = False  # rows are pieces of one endless text, not sequences of their own
    planted: Bool[Tensor, "sequences time"] | None = None

    def __len__(self) -> int:
        """Number of sequences."""
        return self.tokens.shape[0]

    def to(self, device: torch.device) -> "Sequences":
        """The same on another device."""
        return replace(self, tokens=self.tokens.to(device), targets=self.targets.to(device))

    def num_batches(self, batch_size: int) -> int:
        """Batches an epoch, the last one perhaps smaller."""
        return -(-len(self) // batch_size)

    def batches(self, batch_size: int, order_seed: int | None = None) -> Iterator[Batch]:
        """All sequences once, in an order that is a function of the seed; None keeps theirs."""
        if order_seed is None:
            order = torch.arange(len(self))
        else:
            order = torch.randperm(len(self), generator=torch.Generator().manual_seed(order_seed))
        order = order.to(self.tokens.device)
        for rows in torch.split(order, batch_size):
            yield Batch(self.tokens[rows].long(), self.targets[rows].long(), self.is_stream)


@dataclass(frozen=True)
class Pattern:
    """Something that was planted in the data: a position probability matrix over the symbols."""

    name: str
    ppm: Float[np.ndarray, "width symbols"]


@dataclass(frozen=True)
class Data:
    """A dataset, loaded. An empty `valid` means that there is nothing to validate on.

    `notes` are what a reader of the results should know of the data, a sentence each.
    """

    spec: TaskSpec
    train: Sequences
    valid: Sequences
    test: Sequences
    patterns: tuple[Pattern, ...] = ()
    notes: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Data":
        """The same on another device."""
        train, valid, test = (split.to(device) for split in self.splits().values())
        return replace(self, train=train, valid=valid, test=test)

    def splits(self) -> dict[str, Sequences]:
        """The splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def digest(self) -> str:
        """SHA-256 of the spec and of every token and target, the same on every machine."""
        sha = hashlib.sha256(repr(sorted(self.spec.to_dict().items())).encode())
        for name, split in self.splits().items():
            for tensor in (split.tokens, split.targets):
                values = tensor.cpu().numpy().astype("<i8")
                sha.update(f"{name} {values.shape}".encode())
                sha.update(values.tobytes())
        return sha.hexdigest()


@runtime_checkable
class Model(Protocol):
    """What the loop needs of a model: `(tokens, carry) -> (logits, carry)`.

    Logits are `(batch, time, outputs)` for NEXT_TOKEN and `(batch, 1, outputs)` for
    SEQUENCE_CLASS. `causal` says whether logits are free of later tokens.
    """

    causal: bool

    def __call__(
        self, tokens: Int[Tensor, "batch time"], carry: Carry | None = None
    ) -> tuple[Float[Tensor, "batch positions outputs"], Carry]:
        """Logits of a window, and what the next window needs of it; None starts a sequence."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """Trainable tensors."""
        ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Trainable tensors by name."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """All tensors by name."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Tensor]) -> Any:
        """Take these tensors."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch dropout on or off."""
        ...

    def eval(self) -> Any:
        """Switch dropout off."""
        ...


@runtime_checkable
class HasPenalty(Protocol):
    """A model that adds something to the loss it is trained by."""

    def penalty(self) -> Float[Tensor, ""]:
        """Nats, whatever the batch."""
        ...


def other_strand(
    tokens: Integer[Tensor, "batch time"], vocabulary: Vocabulary
) -> Integer[Tensor, "batch time"]:
    """The reverse complement of DNA; padding on the right comes to stand on the left."""
    table = torch.tensor(vocabulary.complements(), dtype=tokens.dtype, device=tokens.device)
    return table[tokens.long().flip(1)]


def stream_seed(seed: int, *names: str | int) -> int:
    """A seed for one use of random numbers: hashed, so that neighbouring seeds share no stream."""
    digest = hashlib.sha256(repr((seed, *names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1  # 63 bits: what torch's generators take
