"""What excites a model's filters: activations, the windows where they are high, effects."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.nn import functional

from seqexp.spec import PAD, TaskSpec, Vocabulary, other_strand

ROWS = 500
"""Sequences at a time: bounds the memory of large sets."""


@runtime_checkable
class HasFilters(Protocol):
    """A model whose filters can be read."""

    @property
    def window_offset(self) -> int:
        """Where the window of position 0 starts, relative to the first token."""
        ...

    def eval(self) -> Any:
        """Switch dropout off."""
        ...

    def filter_weights(self) -> Float[Tensor, "filters width symbols"]:
        """Weight of each symbol at each place."""
        ...

    def filter_activations(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch positions filters"]:
        """Activation at each position."""
        ...


@runtime_checkable
class HasEffects(Protocol):
    """A model that tells what its filters do to its output."""

    def filter_effects(
        self, tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch filters outputs"]:
        """What each filter adds to the logits: with it, less without it."""
        ...


@runtime_checkable
class HasGroupEffects(Protocol):
    """A model that tells what several filters do to its output together."""

    def group_effects(
        self, tokens: Int[Tensor, "batch time"], groups: Sequence[Sequence[int]]
    ) -> Float[Tensor, "batch groups outputs"]:
        """What the filters of each group add to the logits: with them, less without them."""
        ...


@runtime_checkable
class HasStrands(Protocol):
    """A model of DNA that says whether it reads the other strand, too."""

    both_strands: bool


def reads_both_strands(model: object) -> bool:
    """Whether a model reads both strands of DNA; one that does not say reads one."""
    return isinstance(model, HasStrands) and model.both_strands


def exciting_windows(
    model: HasFilters,
    tokens: Int[Tensor, "sequences time"],
    shape: tuple[int, ...],
    symbols: Sequence[str],
    share: float,
    one_per_sequence: bool,
) -> tuple[Float[np.ndarray, "filters width symbols"], Int[np.ndarray, " filters"]]:
    """Symbol counts of the windows that excite each filter, padding windows left out.

    Args:
        model: whose filters.
        tokens: the sequences.
        shape: filters, their width, symbols.
        symbols: of the vocabulary.
        share: windows above this share of a filter's largest activation count.
        one_per_sequence: only the strongest window of each sequence, on either strand.
    """
    num_filters, width, num_symbols = shape
    pfms = np.zeros(shape)
    hits = np.zeros(num_filters, dtype=np.int64)
    if tokens.shape[1] < width:
        return pfms, hits
    largest = torch.zeros(num_filters)
    strongest, places = [], []
    for windows in _some_windows(model, tokens, width, symbols):
        activations = _activations(model, windows)
        strongest.append(activations.amax(dim=2))  # (filters, sequences)
        places.append(activations.argmax(dim=2))
        largest = torch.maximum(largest, strongest[-1].amax(dim=1).cpu())
    least = (share * largest).to(tokens.device)
    for number, windows in enumerate(_some_windows(model, tokens, width, symbols)):
        every = None if one_per_sequence else _activations(model, windows)
        for index in torch.nonzero(largest > 0)[:, 0].tolist():
            if every is None:
                rows = torch.nonzero(strongest[number][index] > least[index])[:, 0]
                exciting = windows.letters[rows, places[number][index, rows]]
            else:
                exciting = windows.letters[every[index] > least[index]]
            hits[index] += len(exciting)
            for place, column in enumerate(exciting.T.cpu().numpy() - 1):
                pfms[index, place] += np.bincount(column, minlength=num_symbols)
    return pfms, hits


class _Windows(NamedTuple):
    """Some sequences.

    Args:
        strands: their tokens on each strand that the model reads.
        letters: (sequences, starts, width), those of both strands in a row.
    """

    strands: list[Integer[Tensor, "sequences time"]]
    letters: Integer[Tensor, "sequences starts width"]


def _some_windows(
    model: HasFilters,
    tokens: Int[Tensor, "sequences time"],
    width: int,
    symbols: Sequence[str],
) -> Iterator[_Windows]:
    """Sequences with all their windows, some at a time."""
    for part in torch.split(tokens, ROWS):
        strands = [part.to(torch.uint8 if len(symbols) < 256 else torch.int32)]
        if reads_both_strands(model):
            strands.append(other_strand(strands[0], Vocabulary(tuple(symbols))))
        letters = torch.cat([strand.unfold(1, width, 1) for strand in strands], dim=1)
        yield _Windows(strands, letters)


def _activations(model: HasFilters, windows: _Windows) -> Float[Tensor, "filters sequences starts"]:
    """What they excite, 0 where a window has padding."""
    width = windows.letters.shape[2]
    strands = [activations_inside(model, strand.long(), width) for strand in windows.strands]
    return torch.cat(strands, dim=2).masked_fill((windows.letters == PAD).any(dim=2), 0)


def activations_inside(
    model: HasFilters, tokens: Int[Tensor, "sequences time"], width: int, rows: int = ROWS
) -> Float[Tensor, "filters sequences starts"]:
    """Of the windows that lie inside: position p sees the one from p + offset.

    `rows` is the number of sequences at a time.
    """
    parts = [
        of_windows_inside(model, part, width).permute(2, 0, 1) for part in torch.split(tokens, rows)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def of_windows_inside(
    model: HasFilters, tokens: Int[Tensor, "sequences time"], width: int
) -> Float[Tensor, "sequences starts filters"]:
    """The same of all sequences at a time, as they lie in memory."""
    first = -model.window_offset
    return model.filter_activations(tokens)[:, first : first + tokens.shape[1] - width + 1]


def effects_on_output(
    model: HasFilters, tokens: Int[Tensor, "sequences time"], rows: int = ROWS
) -> tuple[Float[np.ndarray, "filters outputs"], Float[np.ndarray, " filters"]] | None:
    """What each filter adds to the logits, nats, less its mean over outputs: on average over
    sequences, and its spread over them. One output counts as two.

    The spread is the standard deviation; of two outputs, that of their log-odds. What a filter adds
    to all sequences alike tells nothing of any. None where the model does not tell, or reads a
    context too, on which the effect depends.
    """
    if not tells_effects(model):
        return None
    assert isinstance(model, HasEffects)
    effects = _less_mean(
        torch.cat([model.filter_effects(part) for part in torch.split(tokens, rows)])
    )
    return effects.mean(dim=0).cpu().numpy(), _deviation(effects).cpu().numpy()


def effects_of_groups(
    model: HasFilters,
    tokens: Int[Tensor, "sequences time"],
    groups: Sequence[Sequence[int]],
    rows: int = ROWS,
) -> tuple[Float[np.ndarray, "sequences groups outputs"], Float[np.ndarray, " groups"]] | None:
    """What the filters of each group add together, of each sequence, and its spread over them.

    As `effects_on_output`. Where a model tells it of single filters only, it is their sum.
    """
    if not tells_effects(model):
        return None
    parts = []
    for part in torch.split(tokens, rows):
        if isinstance(model, HasGroupEffects):
            parts.append(model.group_effects(part, groups))
        else:
            assert isinstance(model, HasEffects)
            single = model.filter_effects(part)
            parts.append(torch.stack([single[:, list(g)].sum(dim=1) for g in groups], dim=1))
    effects = _less_mean(torch.cat(parts))
    return effects.cpu().numpy(), _deviation(effects).cpu().numpy()


def tells_effects(model: HasFilters) -> bool:
    """Whether a model tells what filters add, whatever the context."""
    spec = getattr(model, "spec", None)
    has_context = isinstance(spec, TaskSpec) and spec.context is not None
    return isinstance(model, HasEffects) and not has_context


def _less_mean(
    effects: Float[Tensor, "sequences filters outputs"],
) -> Float[Tensor, "sequences filters two_or_more"]:
    """Less the mean over outputs, in double precision; one output counts as two."""
    effects = effects.double()
    if effects.shape[2] == 1:
        effects = functional.pad(effects, (1, 0))  # one logit is against one of zero
    return effects - effects.mean(dim=2, keepdim=True)


def _deviation(
    effects: Float[Tensor, "sequences filters outputs"],
) -> Float[Tensor, " filters"]:
    return (2 * effects.var(dim=0, correction=0).sum(dim=1)).sqrt()


def speaks_for(effect: Float[np.ndarray, " outputs"] | None, output_names: Sequence[str]) -> str:
    """The output whose logit is raised most; nothing without an effect, or without names."""
    if effect is None or len(output_names) != len(effect):
        return ""
    return output_names[int(effect.argmax())]
