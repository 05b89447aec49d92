"""Windows of DNA that a model is asked about: both strands, and scores in the output's own form."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from seqexp.errors import InputError
from seqexp.formats.dna import IUPAC, LETTERS
from seqexp.inference.asked import mean_of_strands
from seqexp.inference.ensemble import comparable
from seqexp.inference.saved_model import SavedModel
from seqexp.spec import PAD, Output, TaskSpec, Vocabulary, other_strand

MAX_POSITIONS = 2**20
"""Of the windows that go through a model together."""

_UNKNOWN = 255


def refuse_other_than_dna(spec: TaskSpec, name: str, command: str) -> None:
    """Refuse models that do not predict one thing of a sequence of DNA.

    Raises:
        InputError: saying what the model reads or predicts instead.
    """
    reads = _reads(spec)
    if reads is not None:
        raise InputError(
            f"{command} is for models of DNA, and the model of run {name} reads {reads}; give"
            " another run"
        )
    if spec.per_position or spec.output is Output.READ_ERRORS:
        raise InputError(
            f"{command} needs one prediction a sequence, and the model of run {name} predicts at"
            f" each position ({spec.output.value}); give another run"
        )


def _reads(spec: TaskSpec) -> str | None:
    """What a model reads that is not one sequence of DNA; None where it is one."""
    if spec.context is not None:
        return "two inputs, a sequence and its context"
    if spec.features is not None:
        return f"numbers, {spec.features.size} at each position"
    if spec.words is not None and spec.words.unit != "letters":
        return "words"
    if not spec.vocabulary.is_dna:
        symbols = spec.vocabulary.symbols
        return f"the symbols {', '.join(symbols[:8])}" + (", ..." if len(symbols) > 8 else "")
    return None


def width_of(spec: TaskSpec, name: str, width: int | None) -> int:
    """Letters of a window: those of the training.

    Raises:
        InputError: if the training had sequences of several lengths and no width is given, or
            another width is given than the model reads.
    """
    if spec.length is None and width is None:
        raise InputError(
            f"the model of run {name} was trained on sequences of several lengths, so that none is"
            " known for a window; give width=LETTERS"
        )
    if spec.length is not None and width not in (None, spec.length):
        raise InputError(
            f"width is {width}, and the model of run {name} was trained on {spec.length}"
            " letters; leave it out"
        )
    return spec.length or width or 0


def tokens_of(windows: Sequence[str], vocabulary: Vocabulary) -> Int[Tensor, "windows time"]:
    """Token ids of windows of one length; letters that leave the base open are padding.

    Raises:
        InputError: on a letter that is no code of DNA.
    """
    table = np.full(256, _UNKNOWN, dtype=np.uint8)
    table[np.frombuffer(IUPAC.encode(), dtype=np.uint8)] = PAD
    for letter in LETTERS:
        table[ord(letter)] = vocabulary.ids[letter]
    table[ord("U")] = vocabulary.ids["T"]
    letters = np.frombuffer("".join(windows).encode("latin-1", "replace"), dtype=np.uint8)
    ids = table[letters]
    if (ids == _UNKNOWN).any():
        letter = chr(letters[int((ids == _UNKNOWN).argmax())])
        raise InputError(f"the genome has the letter {letter!r}; letters are {IUPAC}")
    return torch.from_numpy(ids.astype(np.int64)).view(len(windows), -1)


@torch.no_grad()
def scores(
    saved: SavedModel, tokens: Int[Tensor, "windows time"]
) -> Float[Tensor, "windows columns"]:
    """Predictions in the form whose mean is taken, float64, as the model is asked.

    Log-odds of the second of two classes, log-probabilities of more, log-odds of labels, numbers in
    the unit of their targets.
    """
    spec, found = saved.spec, []
    for part in torch.split(tokens, max(1, MAX_POSITIONS // tokens.shape[1])):
        logits = saved.model(part)[0][:, -1]  # (windows, outputs)
        if saved.strands == "both":
            turned = saved.model(other_strand(part, spec.vocabulary))[0][:, -1]
            logits = mean_of_strands(logits, turned, spec)
        found.append(comparable(spec, logits / saved.divided_by))
    return torch.cat(found)


def log_odds(
    spec: TaskSpec, found: Float[Tensor, "windows columns"]
) -> Float[Tensor, "windows outputs"]:
    """Of `scores`, the log-odds of each class or label against the others, nats."""
    if spec.output is Output.MULTI_LABEL:
        return found
    if found.shape[1] == 1:
        return torch.cat([-found, found], dim=1)
    odds = []
    for index in range(found.shape[1]):
        others = torch.cat([found[:, :index], found[:, index + 1 :]], dim=1)
        odds.append(found[:, index] - others.logsumexp(dim=1))
    return torch.stack(odds, dim=1)


def values(
    spec: TaskSpec, found: Float[Tensor, "windows columns"]
) -> Float[Tensor, "windows outputs"]:
    """Of `scores`, the probability of each class or label, or the numbers themselves."""
    return found if spec.output is Output.REGRESSION else log_odds(spec, found).sigmoid()
