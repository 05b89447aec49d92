"""Alphabets of sequences: letters that are read, those of open places, and strands."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from seqexp.errors import InputError
from seqexp.formats.dna import IUPAC, LETTERS, dna

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
OPEN_ACIDS = "XBZJUO*"
"""Read as padding: unknown, one of two, rare (selenocysteine, pyrrolysine), and the stop."""

AUTO = "auto"
NAMES = ("dna", "rna", "protein", AUTO)
MAX_LETTERS = 255
"""Of an alphabet of one's own: ids are bytes."""


@dataclass(frozen=True)
class Alphabet:
    """Letters of sequences.

    Args:
        name: `dna`, `rna`, `protein`, or empty for letters of one's own.
        symbols: of the vocabulary.
    """

    name: str
    symbols: tuple[str, ...]

    @property
    def has_strands(self) -> bool:
        """Whether a sequence has another strand."""
        return self.name in ("dna", "rna")

    @property
    def open(self) -> str:
        """What `read` writes for a place that is not known; empty where all letters count."""
        return {"dna": "N", "rna": "N", "protein": "X"}.get(self.name, "")

    def read(self, letters: str, name: str, place: Path | str) -> str:
        """Letters as they are encoded: `T` of RNA too, `open` where a place is not known.

        Raises:
            InputError: naming the record, the position and the letters that are allowed.
        """
        if self.has_strands:
            return _nucleotides(letters, name, place)
        where = f"{place}: {name:.80}"
        if not letters:
            raise InputError(f"{where} has no sequence; give one, or remove the record")
        if self.name == "protein":
            return _protein(letters, where)
        known = set(self.symbols)
        found = next((pair for pair in enumerate(letters, start=1) if pair[1] not in known), None)
        if found is not None:
            shown = "".join(self.symbols)
            raise InputError(
                f"{where} has {found[1]!r} at position {found[0]}; letters of dataset.alphabet are"
                f" {shown:.60}"
            )
        return letters

    def ids(self) -> dict[int, int]:
        """Table for `str.translate`: from letters that `read` writes to ids, 0 where it is open."""
        letters = LETTERS if self.has_strands else self.symbols
        table = {ord(letter): number for number, letter in enumerate(letters, start=1)}
        return {**table, **({ord(self.open): 0} if self.open else {})}


DNA = Alphabet("dna", tuple(LETTERS))
RNA = Alphabet("rna", tuple(LETTERS.replace("T", "U")))
PROTEIN = Alphabet("protein", tuple(AMINO_ACIDS))

_KNOWN_ACIDS = set(AMINO_ACIDS + OPEN_ACIDS)
_ACIDS_READ_AS = str.maketrans(OPEN_ACIDS, "X" * len(OPEN_ACIDS))


def _nucleotides(letters: str, name: str, place: Path | str) -> str:
    try:
        return dna(letters, name, place)
    except InputError as error:
        if "protein" not in str(error):
            raise
        raise InputError(f"{error}; if it is, give dataset.alphabet=protein") from error


def _protein(letters: str, where: str) -> str:
    upper = letters.upper()
    unknown = set(upper) - _KNOWN_ACIDS
    if unknown:
        position = next(i for i, letter in enumerate(upper, start=1) if letter in unknown)
        letter = letters[position - 1]
        hint = ", a gap; give sequences that are not aligned" if letter in "-." else ""
        raise InputError(
            f"{where} has {letter!r} at position {position}{hint}; letters of protein are"
            f" {AMINO_ACIDS}, in either case, and {OPEN_ACIDS} where it is not known"
        )
    read = upper.translate(_ACIDS_READ_AS)
    if read.count("X") == len(read):
        raise InputError(f"{where} has none of the amino acids {AMINO_ACIDS}; remove it")
    return read


def alphabet_fault(name: str) -> str | None:
    """What is wrong with `dataset.alphabet`; None if nothing is."""
    if name in NAMES:
        return None
    said = f"dataset.alphabet is {name[:60]!r}"
    ways = f"give {', '.join(NAMES)}, or all letters in a row"
    if name.lower() in NAMES:
        return f"{said}; did you mean {name.lower()}?"
    if len(name) < 2:
        return f"{said}, which are fewer than two letters; {ways}"
    twice = next((letter for letter in name if name.count(letter) > 1), None)
    if twice is not None:
        return f"{said}, which has {twice!r} twice; {ways}, each once"
    blank = next((letter for letter in name if letter.isspace() or not letter.isprintable()), None)
    if blank is not None:
        return f"{said}, which has {blank!r}, a blank or no letter; {ways}, without blanks"
    if len(name) > MAX_LETTERS:
        return f"{said}... with {len(name):,} letters; give at most {MAX_LETTERS}"
    return None


def alphabet_of(name: str) -> Alphabet | None:
    """The alphabet of a name or of letters; None of `auto`.

    Raises:
        InputError: if it is neither.
    """
    fault = alphabet_fault(name)
    if fault is not None:
        raise InputError(fault)
    if name == AUTO:
        return None
    named = {"dna": DNA, "rna": RNA, "protein": PROTEIN}
    return named.get(name) or Alphabet("", tuple(name))


def told_by(sequences: Iterable[str], source: str) -> Alphabet:
    """The alphabet that all letters of some sequences are of.

    Raises:
        InputError: if they are of none that has a name.
    """
    letters: set[str] = set()
    known = {*IUPAC, *_KNOWN_ACIDS}
    shown = ""
    counts = dict.fromkeys(LETTERS + "U", 0)
    total = 0
    for sequence in sequences:
        upper = sequence.upper()
        letters.update(upper)
        shown += "".join(sorted(set(sequence) - known - set(shown)))
        total += len(upper)
        counts = {letter: count + upper.count(letter) for letter, count in counts.items()}
    # amino acids are letters of more than one nucleotide too: most of DNA is A, C, G, T or N
    if letters <= set(IUPAC) and 2 * sum(counts.values()) >= total:
        return RNA if counts["U"] and not counts["T"] else DNA
    if letters <= _KNOWN_ACIDS:
        return PROTEIN
    raise InputError(
        f"{source}, but some of the letters, as {shown:.60}, are neither of DNA, RNA nor protein;"
        " give dataset.alphabet, all letters in a row"
    )


def as_it_stands(letters: str, name: str, place: Path | str) -> str:
    """Letters before their alphabet is known.

    Raises:
        InputError: if there are none.
    """
    if not letters:
        raise InputError(f"{place}: {name:.80} has no sequence; give one, or remove the record")
    return letters
