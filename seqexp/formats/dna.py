"""Letters of DNA: which are read, as what, and the other strand.

One rule: `A C G T` in either case; `U` is `T`; the other IUPAC codes (`N R Y S W K M B D H V`),
which leave the letter open, become `N`. All else is refused.
"""

from collections.abc import Sequence
from pathlib import Path

from seqexp.errors import InputError

LETTERS = "ACGT"
"""The alphabet of DNA, in the order of its columns and token ids."""

IUPAC = "ACGTUNRYSWKMBDHV"

_OPEN = b"RYSWKMBDHVryswkmbdhv"
"""Codes of more than one nucleotide, of which most are amino acids too."""

_KNOWN = (IUPAC + IUPAC.lower()).encode()
_READ_AS = bytes.maketrans(_KNOWN, (b"ACGTT" + b"N" * 11) * 2)
_TURN = str.maketrans(LETTERS, "TGCA")
_TURN_BYTES = bytes.maketrans(LETTERS.encode(), b"TGCA")


def reverse_complement(sequence: str) -> str:
    """The other strand, read from its start."""
    return sequence.translate(_TURN)[::-1]


def either_strand(sequence: str) -> str:
    """The same for a sequence and its reverse complement: the first of the two by alphabet."""
    return min(sequence, reverse_complement(sequence))


def dna(letters: str, name: str, place: Path | str) -> str:
    """Letters as this module reads them.

    Args:
        letters: the sequence, without blanks.
        name: of the record, for messages.
        place: where the record stands, for messages.

    Raises:
        InputError: naming the record and what is wrong with it.
    """
    name = f"{name:.80}"
    if not letters:
        raise InputError(f"{place}: {name} has no sequence; give one, or remove the record")
    code = letters.encode("utf-8", errors="replace")
    if code.translate(None, _KNOWN):
        raise InputError(f"{place}: {name} has {_first_unknown(letters)}")
    open_letters = len(code) - len(code.translate(None, _OPEN))
    if 2 * open_letters > len(code):
        raise InputError(
            f"{place}: {name} has {open_letters} of {len(letters)} letters that leave the"
            " nucleotide open (R, Y, S, W, K, M, B, D, H, V); this looks like protein"
        )
    read = code.translate(_READ_AS)
    if read.count(b"N") == len(read):
        raise InputError(f"{place}: {name} has no A, C, G or T; remove it")
    return read.decode("ascii")


def all_sound(sequences: Sequence[bytes]) -> bool:
    """Whether `dna` takes all sequences. A quick look at many together, which may say no of some
    that it would take.
    """
    if not all(sequences):
        return False
    code = b"".join(sequences)
    if code.translate(None, _KNOWN):
        return False
    if len(code.translate(None, _OPEN + b"Nn")) == len(code):
        return True
    return all(2 * len(one.translate(None, _OPEN + b"Nn")) > len(one) for one in sequences)


def read_as(letters: bytes) -> bytes:
    """Letters that are sound, as this module reads them."""
    return letters.translate(_READ_AS)


def turned(letters: bytes) -> bytes:
    """As `reverse_complement`, of letters as bytes."""
    return letters.translate(_TURN_BYTES)[::-1]


def _first_unknown(letters: str) -> str:
    """The first letter that is no code, its position, and what it tells of."""
    known = set(_KNOWN.decode())
    position, letter = next(
        (number, letter) for number, letter in enumerate(letters, start=1) if letter not in known
    )
    hint = ""
    if letter.upper() in "EFILPQXZJO*":
        hint = "; this looks like protein"
    elif letter in "-.":
        hint = ", a gap; give sequences that are not aligned"
    return f"{letter!r} at position {position}{hint}; letters are {IUPAC}, in either case"
