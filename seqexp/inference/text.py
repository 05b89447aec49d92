"""Encodes raw strings as a dataset did, and decodes tokens."""

from collections.abc import Sequence

from seqexp.dataset.dna.alphabets import OPEN_ACIDS, PROTEIN, RNA
from seqexp.errors import InputError
from seqexp.spec import PAD, TaskSpec, Vocabulary

OPEN_LETTERS = "NRYSWKMBDHV"
"""IUPAC codes of more than one base."""

OPEN_OF = {PROTEIN.symbols: OPEN_ACIDS, RNA.symbols: OPEN_LETTERS}
"""What `dataset=fasta` reads as padding beside the letters of RNA and protein."""


def encode(text: str, spec: TaskSpec) -> list[int]:
    """Token ids of raw text: letter by letter, or word by word if symbols are words.

    Where the dataset has words, as it reads them: unknown ones are `<unk>`, and the row is cut and
    padded. DNA of which something is told as a whole is read as `dataset=fasta` does: U is T, and
    letters that leave the base open are padding.

    Raises:
        InputError: naming the symbol that the vocabulary lacks.
    """
    symbols = spec.vocabulary.symbols
    if spec.words is not None:
        if spec.per_position:
            return labelled(text.split(), spec)[0]
        if spec.words.unit != "letters" or not are_letters(spec.vocabulary):  # as `<unk>` is none
            return _encode_words(text, spec)
    found = pieces(text, spec)
    if not any(symbol.islower() for symbol in symbols):
        found = [piece.upper() for piece in found]  # acgt are the letters of ACGT
    is_whole = not spec.per_position
    is_dna = spec.vocabulary.is_dna and is_whole
    is_open = set(OPEN_LETTERS) if is_dna else set(OPEN_OF.get(symbols, "") if is_whole else "")
    if is_dna:
        found = ["T" if piece == "U" else piece for piece in found]
    if symbols == RNA.symbols:
        found = ["U" if piece == "T" else piece for piece in found]
    known = {*symbols, *is_open}
    for position, piece in enumerate(found, start=1):
        if piece not in known:
            shown = ", ".join(one if one.strip() else repr(one) for one in symbols[:20])
            raise InputError(
                f"{text[:40]!r} has {piece!r} at position {position}; known are {shown}"
            )
    ids = [spec.vocabulary.ids.get(piece, PAD) for piece in found] or [PAD]
    if spec.words is None or spec.length is None:
        return ids
    if len(ids) > spec.length:
        raise InputError(
            f"{text[:40]!r} has {len(ids)} letters; the model was trained on {spec.length} at most"
            " (dataset.length)"
        )
    return spec.words.row(ids, spec.length)


def labelled(words: Sequence[str], spec: TaskSpec) -> tuple[list[int], list[int]]:
    """Token ids of words or letters that have a label each, and the places of these labels.

    As `dataset=tagging` reads them: what the vocabulary lacks is `<unk>`.
    """
    from seqexp.dataset.tagged.units import UNKNOWN, tokens_of

    assert spec.words is not None and spec.words.unit != "english"
    tokens, places = tokens_of(words, spec.words.unit, spec.words.lower)
    known = spec.vocabulary.ids
    return [known.get(token, known[UNKNOWN]) for token in tokens], places


def pieces(text: str, spec: TaskSpec) -> list[str]:
    """The letters of a text, or its words if symbols are words."""
    return list(text) if are_letters(spec.vocabulary) else text.split()


def are_letters(vocabulary: Vocabulary) -> bool:
    """Whether each symbol is one character."""
    return all(len(symbol) == 1 for symbol in vocabulary.symbols)


def is_cut(text: str, row: Sequence[int], spec: TaskSpec) -> bool:
    """Whether a text has more words than its row of tokens, as `encode` gave it."""
    if spec.words is None or spec.per_position or PAD in row:
        return False
    return len(_ids_of_words(text, spec)) > len(row)


def _encode_words(text: str, spec: TaskSpec) -> list[int]:
    assert spec.words is not None and spec.length is not None
    return spec.words.row(_ids_of_words(text, spec), spec.length)


def _ids_of_words(text: str, spec: TaskSpec) -> list[int]:
    from seqexp.dataset.words.tokenizer import (  # torchtext: for models of words only
        UNKNOWN,
        tokenize,
    )

    assert spec.words is not None
    known = spec.vocabulary.ids
    pieces = text if spec.words.unit == "letters" else tokenize(text)
    unknown = known.get(UNKNOWN, PAD)
    return [known.get(piece, unknown) for piece in pieces]


def decode(tokens: Sequence[int], spec: TaskSpec) -> str:
    """The text of token ids, as `encode` reads it."""
    return joined(tokens, spec.vocabulary)


def joined(tokens: Sequence[int], vocabulary: Vocabulary) -> str:
    """The symbols of token ids, with blanks between words."""
    return ("" if are_letters(vocabulary) else " ").join(vocabulary.decode(tokens))
