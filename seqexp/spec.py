"""What the parts say to each other: vocabulary, task, batch, carry, and the model's protocol.

Every dataset turns its data into token ids and targets; a `TaskSpec` is all that a model knows of
a dataset.
"""

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Integer
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
        return [self.ids[symbol] for symbol in symbols]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Id of each symbol."""
        return {symbol: index for index, symbol in enumerate(self.symbols, start=1)}

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
class WordEncoding:
    """How the words of a text become a row of tokens, where symbols are words.

    `truncate` is the end that is cut off a text that is too long, `pad` the side on which one
    that is too short is filled up.
    """

    truncate: Literal["head", "tail"]
    pad: Literal["left", "right"]

    def row(self, ids: Sequence[int], length: int) -> list[int]:
        """Exactly `length` ids, of which missing ones are padding."""
        kept = list(ids[-length:] if self.truncate == "head" else ids[:length])
        padding = [PAD] * (length - len(kept))
        return padding + kept if self.pad == "left" else kept + padding


@dataclass(frozen=True)
class TaskSpec:
    """All that a model knows of a dataset.

    `length` is the number of tokens of every sequence, padding included, or None where they
    differ. `num_outputs` may be 1 for two classes: the logit of the second against the first.
    `words` is None unless symbols are words.
    """

    vocabulary: Vocabulary
    num_outputs: int
    output: Output
    output_names: tuple[str, ...]
    length: int | None = None
    words: WordEncoding | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a JSON file."""
        values = {
            "vocabulary": list(self.vocabulary.symbols),
            "num_outputs": self.num_outputs,
            "output": self.output.value,
            "output_names": list(self.output_names),
            "length": self.length,
        }
        return values if self.words is None else {**values, "words": asdict(self.words)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TaskSpec":
        """The spec that `to_dict` wrote."""
        return cls(
            vocabulary=Vocabulary(tuple(values["vocabulary"])),
            num_outputs=values["num_outputs"],
            output=Output(values["output"]),
            output_names=tuple(values["output_names"]),
            length=values["length"],
            words=WordEncoding(**values["words"]) if "words" in values else None,
        )


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
