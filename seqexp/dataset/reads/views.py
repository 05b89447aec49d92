"""Reads as token ids: windows with the letter that follows, or whole reads."""

from collections.abc import Sequence

import torch
from torch.nn.utils.rnn import pad_sequence

from seqexp.data import Cluster, Sequences
from seqexp.spec import IGNORE, PAD, Output, TaskSpec, Vocabulary

START, END = "<", ">"

VOCABULARY = Vocabulary((START, "A", "C", "G", "T", END))


def window_task(window: int) -> TaskSpec:
    """The letter after a window, one of all symbols."""
    symbols = VOCABULARY.symbols
    return TaskSpec(VOCABULARY, len(symbols), Output.SEQUENCE_CLASS, symbols, window)


def read_task() -> TaskSpec:
    """The next letter at each position of a read of any length; outputs are token ids."""
    names = ("padding", *VOCABULARY.symbols)
    return TaskSpec(VOCABULARY, len(names), Output.NEXT_TOKEN, names)


def windows(reads: Sequence[str], window: int, with_starts: bool = False) -> Sequences:
    """Every `window` neighbouring letters of each read, from its '<' on, and the letter after.

    The label of symbol s is its place in the vocabulary, from 0; its token id is one more, since 0
    is padding. Reads too short for a window have none. `with_starts` adds those of which the first
    letters, up to all of them, are '<' of before the read.
    """
    before = START * (window - 1) if with_starts else ""
    cut = [
        ids.unfold(0, window + 1, 1)  # (starts, window + 1)
        for ids in (_ids(before + read) for read in reads)
        if len(ids) > window
    ]
    rows = torch.cat(cut) if cut else torch.empty(0, window + 1, dtype=torch.uint8)
    return Sequences(rows[:, :-1], rows[:, -1:].long() - 1)


def whole_reads(reads: Sequence[str]) -> Sequences:
    """Each read from '<' on, and at each letter the next one, to '>'; padded at the right."""
    if not reads:
        empty = torch.empty(0, 1, dtype=torch.uint8)
        return Sequences(empty, empty.long())
    ids = [_ids(read) for read in reads]
    tokens = pad_sequence([row[:-1] for row in ids], batch_first=True, padding_value=PAD)
    targets = pad_sequence([row[1:].long() for row in ids], True, padding_value=IGNORE)
    return Sequences(tokens, targets)


LETTERS_ONLY = Vocabulary(("A", "C", "G", "T"))


def cluster_task() -> TaskSpec:
    """The log-likelihood of a read, which is the context, given its sequence."""
    return TaskSpec(
        LETTERS_ONLY,
        num_outputs=1,
        output=Output.READ_ERRORS,
        output_names=("log_likelihood_nats",),
        context=LETTERS_ONLY,
    )


def with_their_sequences(clusters: Sequence[Cluster]) -> Sequences:
    """A row a read: its cluster's sequence as tokens, the read as context; padded at the right."""
    pairs = [(cluster.truth or "", read) for cluster in clusters for read in cluster.reads]
    groups = [index for index, cluster in enumerate(clusters) for _ in cluster.reads]
    if not pairs:
        empty = torch.empty(0, 1, dtype=torch.uint8)
        return Sequences(empty, empty.long(), context=empty)
    tokens, context = (
        pad_sequence([letters(text) for text in texts], batch_first=True, padding_value=PAD)
        for texts in zip(*pairs, strict=True)
    )
    targets = torch.zeros(len(pairs), 1, dtype=torch.int64)
    return Sequences(tokens, targets, context=context, groups=torch.tensor(groups))


def letters(text: str) -> torch.Tensor:
    """Ids 1 to 4 of A, C, G, T."""
    return torch.tensor(LETTERS_ONLY.encode(text), dtype=torch.uint8)


def _ids(read: str) -> torch.Tensor:
    return torch.tensor(VOCABULARY.encode([START, *read, END]), dtype=torch.uint8)
