"""TRANSFAC matrix files, as TRANSFAC, JASPAR, RSAT, HOCOMOCO, SwissRegulon and STAMP write them.

Sources: https://meme-suite.org/meme/doc/transfac-format.html, and STAMP's help for files in which
the rows follow a `DE` line at once.
"""

import numpy as np

from seqexp.formats.matrix import MAX_NAME, MAX_POSITIONS, Found, Lines, letter_order, numbers

HEADERS = ("P0", "PO")

_KEYS = (
    "AC AS AU BA BF BS CC CH CO DE DR DT FA FN HC HO HP IC ID MX NA OC OS OV P0 PO PV RA RC RD RL"
    " RN RT RX SC SD SI SQ ST SY TY VV XL XX //"
)

KEYS = frozenset(_KEYS.split())
"""What a line begins with."""

NAMES = ("ID", "AC", "NA", "DE")
"""Keys whose values are names, the one that is shown first."""


def is_transfac(text: str) -> bool:
    """Whether a line begins as one of a TRANSFAC file does."""
    if text[:2] in HEADERS and letter_order(text.split()[1:5]) is None:
        return False  # UniPROBE numbers its positions behind PO
    return (text[:2] in KEYS and not text[2:3].strip()) or text.startswith("//")


def read_transfac(found: Found, lines: Lines) -> None:
    """Add the motifs of a TRANSFAC file to what was found.

    Raises:
        InputError: naming line and motif, if a matrix is not sound.
    """
    reader = _Transfac(found)
    for line, raw in lines:
        reader.take(line, raw.strip())
    reader.end()


class _Transfac:
    """The state of reading: the record and its matrix."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.clear()

    def clear(self) -> None:
        """Begin a record."""
        self.fields: dict[str, str] = {}
        self.line = 0  # of the first field
        self.order: list[int] | None = None  # of the letters; None where no matrix is open
        self.rows: list[list[float]] = []
        self.lines: list[int] = []
        self.labels: list[int] = []
        self.is_closed = False  # no rows follow

    def take(self, line: int, text: str) -> None:
        """Read a line."""
        if not text or text[0] == "#":
            return
        words = text.split()
        key = "//" if text.startswith("//") else words[0]
        if key not in KEYS:
            self._take_row(line, words)
            return
        if key == "//" or (self.rows and key in (*NAMES, *HEADERS, "VV")):
            self.end()
        if key in HEADERS:
            self._open(line, words)
        elif self.order is not None:
            self.is_closed, self.order = bool(self.rows), None
        if key in NAMES:
            self.line = self.line or line
            self.fields.setdefault(key, text[2:].strip())
            if key in ("NA", "DE") and not self.is_closed:
                self.order = [0, 1, 2, 3]  # rows may follow at once, as STAMP reads them

    def end(self) -> None:
        """Finish the record."""
        if self.rows:
            rows, lines = np.array(self.rows), self.lines
            self.found.add(self._names(), rows, lambda row, _: lines[row])
        elif self.fields:
            self.found.leave_out(self._name, self.line)
        self.clear()

    def _names(self) -> list[str]:
        named = {**self.fields, "DE": self.fields.get("DE", "").split(" ")[0].split("\t")[0]}
        return [named[key] for key in NAMES if key in named] or [self.found.path.stem]

    @property
    def _name(self) -> str:
        names = [name for name in self._names() if name]
        return names[0][:MAX_NAME] if names else f"motif {len(self.found.motifs) + 1}"

    def _open(self, line: int, words: list[str]) -> None:
        self.order = letter_order(words[1:5])
        if self.order is None or numbers(words[5:6]):
            letters = " ".join(words[1:])[:40]
            raise self.found.fault(
                line, f"{self._name} has the columns {letters}; expected are A C G T (or U)"
            )

    def _take_row(self, line: int, words: list[str]) -> None:
        """A row: its number, four counts, and perhaps a consensus letter and more."""
        if numbers(words[:1]) is None:
            if self.order is not None and self.rows:
                raise self.found.fault(
                    line, f"{self._name} has a row that begins with {words[0][:20]!r}"
                )
            return  # text of a kind that we need not know
        if self.order is None:
            if self.is_closed or not self.fields or numbers(words[1:4]) is None:
                return  # numbers of another kind
            raise self.found.fault(line, f"{self._name} has numbers, but no line 'P0 A C G T'")
        count = 0
        while count < min(len(words), 6) and numbers(words[count : count + 1]) is not None:
            count += 1
        has_label = words[0].isascii() and words[0].isdigit()
        if count != 4 + has_label:
            raise self.found.fault(
                line,
                f"row {len(self.rows) + 1} of {self._name} has {count - has_label} counts in front"
                f" of {' '.join(words[count : count + 1])[:20]!r}; expected are 4",
            )
        if has_label:
            self._check_label(line, words[0])
        values = numbers(words[has_label : 4 + has_label]) or []
        self.rows.append([values[index] for index in self.order])
        self.lines.append(line)
        if len(self.rows) > MAX_POSITIONS:
            raise self.found.fault(line, f"{self._name} has over {MAX_POSITIONS:,} positions")

    def _check_label(self, line: int, word: str) -> None:
        label = int(word[-9:])
        if self.labels and label != self.labels[-1] + 1:
            raise self.found.fault(
                line, f"{self._name} has row {word[:9]} behind row {self.labels[-1]}"
            )
        self.labels.append(label)
