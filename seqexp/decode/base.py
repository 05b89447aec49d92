"""Protocols of decoders: the kinds of data that an option of `decode=` can write or decode.

A decoder has the methods of one protocol or of several. Callbacks ask for the protocol, so a class
of one's own is used wherever it has the methods; `refuse_unfit` says what it lacks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch

from seqexp.data import Data
from seqexp.errors import InputError
from seqexp.spec import Model, Output

if TYPE_CHECKING:
    from seqexp.decode.consensus.pair_hmm import Channel

DEFAULT_LENGTH = 300
"""Tokens to write, where nothing is said."""


@runtime_checkable
class WritesTexts(Protocol):
    """Continues a prompt with a model that predicts the next token."""

    @property
    def prompt(self) -> str:
        """Text to begin with; empty begins with the first symbol of the training text."""
        ...

    @property
    def every_epochs(self) -> int | None:
        """Write this often while training; None at the end only."""
        ...

    def write(
        self, model: Model, prompt: Sequence[int], device: torch.device
    ) -> Iterator[tuple[str, list[int]]]:
        """Continuations of a prompt (token ids), each with its title."""
        ...


@dataclass(frozen=True)
class Writing:
    """A way to write the target of a context.

    Args:
        width: sequences that a search follows for each context; None takes the most probable
            symbol at each position (greedy).
        length_power: of a search, as in `Ending`.
        max_length: symbols after which a target that has not ended is given up.
    """

    width: int | None = None
    length_power: float = 1.0
    max_length: int = DEFAULT_LENGTH


@runtime_checkable
class WritesTargets(Protocol):
    """Writes the target of each context: of pairs, captions."""

    @property
    def every_epochs(self) -> int | None:
        """Write targets of validation this often while training; None at the end only."""
        ...

    @property
    def num_valid(self) -> int:
        """Targets of validation to write."""
        ...

    def targets(self) -> Writing:
        """The way to write them."""
        ...


@dataclass(frozen=True)
class ByNetwork:
    """A way to decode one cluster of reads with a network that was trained on it.

    Args:
        method: the row of the table of methods whose scores are the run's metrics.
        length: letters of the sequence; None if not known.
        width: sequences that a search follows; None writes greedily only.
        length_power: of a search, as in `Ending`.
        both_directions: train a second network that writes from the other end.
    """

    method: str = "greedy"
    length: int | None = None
    width: int | None = None
    length_power: float = 1.0
    both_directions: bool = False


@runtime_checkable
class ReadsByNetwork(Protocol):
    """Decodes reads with the trained network."""

    def reads(self) -> ByNetwork:
        """The way to decode them."""
        ...


@runtime_checkable
class ReadsWithoutNetwork(Protocol):
    """Decodes a cluster of reads from the reads alone."""

    @property
    def method(self) -> str:
        """The row of the table of methods."""
        ...

    @property
    def length(self) -> int | None:
        """Letters of the sequence; None if not known."""
        ...

    def consensus(self, reads: Sequence[str], rates: "Channel") -> str:
        """The sequence that the reads are copies of."""
        ...


METHODS: dict[object, str] = {
    WritesTexts: "prompt, every_epochs, write",
    WritesTargets: "every_epochs, num_valid, targets",
    ReadsByNetwork: "reads",
    ReadsWithoutNetwork: "method, length, consensus",
}
"""The members of each protocol, for messages."""


def refuse_unfit(decoder: object, data: Data) -> None:
    """Refuse a decoder that has nothing to do with data that can be decoded.

    Data of labels or numbers are not decoded: any decoder passes.

    Raises:
        InputError: naming the methods that the decoder lacks.
    """
    fitting = _protocols(data)
    if decoder is None or not fitting or isinstance(decoder, fitting):
        return
    needed = " or ".join(METHODS[protocol] for protocol in fitting)
    raise InputError(
        f"decode: {type(decoder).__name__} cannot decode {_kind_of(data)}: that needs the members"
        f" {needed} (seqexp/decode/base.py); give another decode, or decode=none"
    )


def _protocols(data: Data) -> tuple[type, ...]:
    """What may decode these data; none where nothing is decoded."""
    spec = data.spec
    if data.clusters and spec.output is not Output.READ_ERRORS:
        return (ReadsByNetwork, ReadsWithoutNetwork)
    if spec.output is not Output.NEXT_TOKEN:
        return ()
    return (WritesTexts,) if spec.context is None else (WritesTargets,)


def _kind_of(data: Data) -> str:
    if data.clusters:
        return "reads"
    return "texts" if data.spec.context is None else "the targets of contexts"
