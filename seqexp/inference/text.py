"""Encodes raw strings as a dataset did, and decodes tokens."""

from collections.abc import Sequence

from seqexp.errors import InputError
from seqexp.spec import PAD, Output, TaskSpec

OPEN_LETTERS = "NRYSWKMBDHV"
"""IUPAC codes of more than one base."""


def encode(text: str, spec: TaskSpec) -> list[int]:
    """Token ids of raw text: letter by letter, or word by word if symbols are words.

    Where the dataset has words, as it reads them: unknown ones are `<unk>`, and the row is cut and
    padded. DNA to be classified is read as `dataset=fasta` does: U is T, and letters that leave the
    base open are padding.

    Raises:
        InputError: naming the symbol that the vocabulary lacks.
    """
    symbols = spec.vocabulary.symbols
    if spec.words is not None:
        return _encode_words(text, spec)
    pieces = list(text) if all(len(symbol) == 1 for symbol in symbols) else text.split()
    if not any(symbol.islower() for symbol in symbols):
        pieces = [piece.upper() for piece in pieces]  # acgt are the letters of ACGT
    is_dna = spec.vocabulary.is_dna and spec.output is Output.SEQUENCE_CLASS
    is_open = set(OPEN_LETTERS) if is_dna else set()
    if is_dna:
        pieces = ["T" if piece == "U" else piece for piece in pieces]
    known = {*symbols, *is_open}
    for position, piece in enumerate(pieces, start=1):
        if piece not in known:
            shown = ", ".join(symbols[:20])
            raise InputError(
                f"{text[:40]!r} has {piece!r} at position {position}; known are {shown}"
            )
    return [spec.vocabulary.ids.get(piece, PAD) for piece in pieces] or [PAD]


def _encode_words(text: str, spec: TaskSpec) -> list[int]:
    from seqexp.dataset.words.tokenizer import (  # torchtext: for models of words only
        UNKNOWN,
        tokenize,
    )

    assert spec.words is not None and spec.length is not None
    known = spec.vocabulary.ids
    pieces = text if spec.words.unit == "letters" else tokenize(text)
    ids = [known.get(piece, known[UNKNOWN]) for piece in pieces]
    return spec.words.row(ids, spec.length)


def decode(tokens: Sequence[int], spec: TaskSpec) -> str:
    """The text of token ids, as `encode` reads it."""
    symbols = spec.vocabulary.symbols
    separator = "" if all(len(symbol) == 1 for symbol in symbols) else " "
    return separator.join(spec.vocabulary.decode(tokens))
