"""What a trained model says of sequences: a row each, or a row a token."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Num
from torch import Tensor

from seqexp.dataset.recordings.recording import by_its_own
from seqexp.errors import InputError
from seqexp.inference.asked import mean_of_strands, other_strand
from seqexp.inference.saved_model import SavedModel, made
from seqexp.spec import PAD, Carry, Features, Output, ReadsContext, TaskSpec
from seqexp.task import kinds
from seqexp.task.base import Cell
from seqexp.task.sequence_class import probabilities

if TYPE_CHECKING:
    from seqexp.decode.base import Writing

Values = Sequence[int] | Float[np.ndarray, "time size"]
"""Of one sequence: token ids, or features."""

TOKEN_COLUMNS = ("position", "token", "label", "probability")
"""Of a table with a row a token, after the name of its sequence."""


@dataclass(frozen=True, eq=False)
class Given:
    """A sequence that a model is asked about.

    Args:
        name: of the sequence.
        values: as the model takes it.
        context: its second input, where the model reads one.
        pieces: what stands at each position that has a label of its own, as it was given; empty
            for features.
        places: of these positions; None: all have one.
        begins_at: what of the labels of its name comes before: of a sequence in several windows.
        is_cut: whether it is longer than what the model reads, as `dataset.length` has it.
    """

    name: str
    values: Values
    context: Values | None = None
    pieces: Sequence[str] = ()
    places: Sequence[int] | None = None
    begins_at: int = 0
    is_cut: bool = False

    @property
    def size(self) -> int:
        """Positions of the sequence and of its context."""
        return len(self.values) + (0 if self.context is None else len(self.context))

    @property
    def numbers(self) -> int:
        """Features of the sequence and of its context."""
        both = (self.values, self.context)
        return sum(one.size for one in both if isinstance(one, np.ndarray))


def writes(spec: TaskSpec) -> bool:
    """Whether predictions are sequences that the model writes, rather than numbers or labels."""
    return spec.output is Output.NEXT_TOKEN and spec.context is not None


def columns(spec: TaskSpec) -> tuple[str, ...]:
    """Names of the columns of a prediction."""
    if writes(spec):
        return ("written",)
    if spec.output is not Output.NEXT_TOKEN:
        return kinds.of(spec).columns()
    symbols = spec.vocabulary.symbols
    return symbols if len(symbols) == spec.num_outputs else ("padding", *symbols)


def predicted(saved: SavedModel, given: Sequence[Given]) -> list[list[Cell]]:
    """A row a sequence, a value a column of `columns`.

    Sequences of one length go through the model together: none is padded, which some would notice.
    """
    if writes(saved.spec):
        return [[text] for text in written(saved, [one.context for one in given])]
    task = kinds.of(saved.spec)
    rows: list[list[Cell]] = [[] for _ in given]
    for places, logits in logits_by_shape(saved, given):
        chosen = [given[place] for place in places]
        labelled = None if chosen[0].places is None else _mask(chosen)
        for place, row in zip(places, task.predictions(logits, labelled), strict=True):
            rows[place] = row
    return rows


def _mask(given: Sequence[Given]) -> Bool[Tensor, "batch time"]:
    """Where the positions are that have a label of their own."""
    mask = torch.zeros((len(given), len(given[0].values)), dtype=torch.bool)
    for row, one in zip(mask, given, strict=True):
        row[list(one.places or ())] = True
    return mask


def predicted_tokens(saved: SavedModel, given: Sequence[Given]) -> list[list[list[Cell]]]:
    """Of each sequence a row a token, a value a column of `TOKEN_COLUMNS`."""
    names = saved.spec.output_names
    tables: list[list[list[Cell]]] = [[] for _ in given]
    for rows, logits in logits_by_shape(saved, given):
        largest, labels = probabilities(logits).max(dim=2)  # (batch, time)
        for row, ids, likely in zip(rows, labels.tolist(), largest.tolist(), strict=True):
            one = given[row]
            places = range(len(ids)) if one.places is None else one.places
            pieces = one.pieces or [""] * len(places)
            tables[row] = [
                [number, piece, names[ids[place]], likely[place]]
                for number, (piece, place) in enumerate(
                    zip(pieces, places, strict=True), start=one.begins_at + 1
                )
            ]
    return tables


def written(saved: SavedModel, contexts: Sequence[Values | None]) -> list[str]:
    """What a model writes for each context, as the run has decoded its test."""
    from seqexp.dataset.pairs import text_of
    from seqexp.decode.targets import write

    known = [context for context in contexts if context is not None]
    assert isinstance(saved.model, ReadsContext)
    found = write(saved.model, saved.spec, padded(known), how(saved))
    return [text_of(symbols, saved.spec, saved.dataset) for symbols in found]


def how(saved: SavedModel) -> "Writing":
    """How the run has written the targets of its test; greedily if it has not.

    Raises:
        InputError: if the stored configuration names anything but a decoder of seqexp.
    """
    from seqexp.decode.base import Writing
    from seqexp.decode.targets import how_to_write

    node = saved.config.get("decode")
    if not isinstance(node, dict):
        return Writing()
    source = "the stored config"
    try:
        return how_to_write(made("decode", node, source, ())) or Writing()
    except (TypeError, ValueError) as error:
        raise InputError(f"{source}: decode is damaged ({error})") from error


def padded(values: Sequence[Values]) -> Num[Tensor, "batch time ..."]:
    """Sequences of any lengths as a batch: ids are padded with 0, features with NaN."""
    longest = max(len(one) for one in values)
    first = values[0]
    if isinstance(first, np.ndarray):
        frames = torch.full((len(values), longest, first.shape[1]), torch.nan)
        for row, one in zip(frames, values, strict=True):
            row[: len(one)] = torch.from_numpy(np.asarray(one, np.float32))
        return frames
    ids = torch.full((len(values), longest), PAD)
    for row, one in zip(ids, values, strict=True):
        row[: len(one)] = torch.tensor(list(one))
    return ids


def refuse_joined(spec: TaskSpec, instead: str = "give per=token") -> None:
    """Refuse to join labels by blanks that hold blanks; `instead` ends the message.

    Raises:
        InputError: naming the first.
    """
    if spec.output is Output.TOKEN_CLASS:
        for name in spec.output_names:
            if not name or len(name.split()) != 1 or name != name.strip():
                raise InputError(
                    f"the label {name!r} has blanks, and labels of a row are joined by blanks;"
                    f" {instead}"
                )


@torch.no_grad()
def logits_by_shape(
    saved: SavedModel, given: Sequence[Given]
) -> Iterator[tuple[list[int], Float[Tensor, "batch positions outputs"]]]:
    """Logits of the sequences of each shape, and their places among all.

    Divided by the temperature, and the mean of both strands, where the model is asked so.
    """
    for places in by_shape(given):
        chosen = [given[place] for place in places]
        logits = _logits(saved, chosen)
        if saved.strands == "both":
            others = [other_strand(one, saved.spec) for one in chosen]
            logits = mean_of_strands(logits, _logits(saved, others), saved.spec)
        yield places, logits if saved.divided_by == 1 else logits / saved.divided_by


def _logits(saved: SavedModel, chosen: Sequence[Given]) -> Float[Tensor, "batch positions outputs"]:
    carry = first_carry(saved, [one.context for one in chosen])
    logits: Tensor = saved.model(stacked([one.values for one in chosen]), carry)[0]
    return logits


def by_shape(given: Sequence[Given]) -> Iterable[list[int]]:
    """Places of the sequences of each length, whose contexts have one length too."""
    found: dict[tuple[int, ...], list[int]] = {}
    for place, one in enumerate(given):
        lengths = (len(one.values), *([] if one.context is None else [len(one.context)]))
        found.setdefault(lengths, []).append(place)
    return found.values()


def first_carry(saved: SavedModel, contexts: Sequence[Values | None]) -> Carry | None:
    """What sequences begin with, whose contexts have one length."""
    known = [context for context in contexts if context is not None]
    if not known:
        return None
    model = saved.model
    assert isinstance(model, ReadsContext)
    return model.read(stacked(known))


def standardised(
    values: Float[np.ndarray, "time size"], made_of: Features
) -> Float[np.ndarray, "time size"]:
    """Features as the dataset has standardised those of the training."""
    if made_of.by_sequence:
        return by_its_own(values)
    if made_of.scale is None:
        return values
    found: np.ndarray = (values - np.array(made_of.scale.mean)) / np.array(made_of.scale.deviation)
    return found


def stacked(values: Sequence[Values]) -> Num[Tensor, "batch time ..."]:
    """Sequences of one length as a batch."""
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack([np.asarray(one, np.float32) for one in values]))
    return torch.tensor([list(one) for one in values])
