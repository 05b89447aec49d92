"""Sequences without a motif of their own: others shuffled, or drawn with their composition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from seqexp.data import Sequences
from seqexp.dataset.dna.shuffle import dinucleotide_shuffle
from seqexp.errors import InputError
from seqexp.seeding import stream_seed
from seqexp.spec import PAD, TaskSpec

Kind = Literal["shuffle", "composition"]


@dataclass(frozen=True, eq=False)
class Background:
    """Token ids, of which those from `start` to before `stop` are letters; the rest is padding."""

    tokens: Int[np.ndarray, " time"]
    start: int
    stop: int


def rows_of_test(test: Sequences, spec: TaskSpec) -> list[Int[np.ndarray, " time"]]:
    """Rows of a test, without padding on the right where a model reads any length."""
    found = []
    for row in test.tokens.cpu().numpy().astype(np.int64):
        keeps = spec.words is not None  # of sequences padded to one length
        last = len(row) if keeps else int(np.flatnonzero(row != PAD)[-1]) + 1
        found.append(row[:last])
    return found


def backgrounds(
    rows: Sequence[Int[np.ndarray, " time"]],
    kind: Kind,
    count: int,
    longest: int,
    num_symbols: int,
    seed: int,
) -> list[Background]:
    """So many random sequences.

    Args:
        rows: token ids of the sequences that are made random; one is used again if there are few.
        kind: `shuffle` keeps the number of each pair of neighbouring letters, `composition` the
            shares of letters in all rows only.
        count: of backgrounds.
        longest: letters that are put in at most.
        num_symbols: of the vocabulary.
        seed: selects rows and letters.

    Raises:
        InputError: if no row is long enough.
    """
    placed = [_placed(row) for row in rows]
    usable = [one for one in placed if one.stop - one.start >= longest]
    if not usable:
        most = max((one.stop - one.start for one in placed), default=0)
        raise InputError(
            f"{longest} letters are put in, but the longest sequence has {most}; give a shorter"
            " motif, smaller distances, or longer sequences by input=FILE"
        )
    generator = np.random.default_rng(stream_seed(seed, "backgrounds"))
    order = np.concatenate(
        [generator.permutation(len(usable)) for _ in range(-(-count // len(usable)))]
    )[:count]
    counts = np.bincount(np.concatenate([one.tokens for one in usable]), minlength=num_symbols + 1)
    shares = counts[1:] / counts[1:].sum()
    found = []
    for number, index in enumerate(order):
        one = usable[index]
        tokens = one.tokens.copy()
        letters = tokens[one.start : one.stop]
        if kind == "shuffle":
            text = "".join(map(chr, letters))
            shuffled = dinucleotide_shuffle(text, stream_seed(seed, f"background {number}"))
            tokens[one.start : one.stop] = [ord(letter) for letter in shuffled]
        else:
            drawn = generator.choice(num_symbols, len(letters), p=shares) + 1
            tokens[one.start : one.stop] = drawn
        found.append(Background(tokens, one.start, one.stop))
    return found


def _placed(row: Int[np.ndarray, " time"]) -> Background:
    letters = np.flatnonzero(row != PAD)
    if not len(letters):
        return Background(row, 0, 0)
    return Background(row, int(letters[0]), int(letters[-1]) + 1)
