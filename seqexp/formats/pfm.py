"""Motif files of little but matrices: a row a letter, or a row a position.

A row a letter: JASPAR in all its styles, UniPROBE, FlyFactorSurvey (`A | 1 2 3`). A row a position:
HOMER, HOCOMOCO, CIS-BP and RNA (`Pos A C G T`), Cluster-Buster, ENCODE (a consensus letter in front
of each row). `pfm_sides.py` decides which of the two it is.

Sources: https://jaspar.elixir.no/docs/ and http://homer.ucsd.edu/homer/motif/creatingCustomMotifs.html
"""

from collections.abc import Sequence

from seqexp.formats.dna import LETTERS
from seqexp.formats.matrix import MAX_MOTIFS, MAX_POSITIONS, Found, Lines, letter_order, numbers
from seqexp.formats.pfm_sides import AMBIGUOUS, Block, Matrix, Row, add, ended, shape_of

FIELDS = ("Motif", "TF Name", "RBP Name", "TF", "RBP", "Gene", "Family", "Species")
"""Lines above a matrix of CIS-BP; the first that is there names the motif."""


def is_pfm(text: str) -> bool:
    """Whether a line begins a file of this kind: a title, columns, or a row of numbers."""
    if text[0] == ">" or _columns(text) is not None:
        return True
    row = _row(0, text.partition("]")[0])
    return row is not None and len(row.values) > 1


def read_pfm(found: Found, lines: Lines) -> None:
    """Add the matrices of a file to what was found.

    Raises:
        InputError: naming line and motif, if a matrix is not sound, or could lie either way.
    """
    reader = _Reader(found)
    for line, raw in lines:
        reader.take(line, raw.strip())
    reader.end()
    reader.end_fields()
    sides = {side for matrix in reader.matrices if (side := shape_of(matrix))}
    usual = sides.pop() if len(sides) == 1 else ""
    for matrix in reader.matrices:
        add(found, matrix, usual)


class _Reader:
    """Divides a file into matrices."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.matrices: list[Matrix] = []
        self.block: Block | None = None
        self.fields: dict[str, str] = {}  # of CIS-BP
        self.title, self.title_line = "", 0  # a line of text that may name the next matrix
        self.is_gap = False  # a blank line stands above

    def take(self, line: int, text: str) -> None:
        """Read a line."""
        if not text:
            self.is_gap = True
            return
        if text[0] == "#":
            return
        if text[0] == ">":
            self.end()
            names, is_homer = _title(text[1:])
            self.block = Block(names, line, is_titled=True, is_homer=is_homer)
        elif (columns := _columns(text)) is not None:
            if self.block is None or self.block.rows or self.block.order is not None:
                self._begin(line)
            assert self.block is not None
            self.block.order, self.block.has_places = columns
        else:
            self._take_rows(line, text)
        self.is_gap = False

    def end(self) -> None:
        """Finish the block."""
        block, self.block = self.block, None
        if block is None:
            return
        if not block.rows:
            self.found.leave_out(block.name, block.line)
            return
        if len(self.matrices) == MAX_MOTIFS:
            raise self.found.fault(block.line, f"the file has more than {MAX_MOTIFS:,} motifs")
        self.matrices.append(ended(self.found, block))

    def end_fields(self) -> None:
        """Forget lines above a matrix that did not come."""
        if self.fields:
            self.found.leave_out(self._field_names()[0], self.title_line)
        self.fields, self.title, self.title_line = {}, "", 0

    def _field_names(self) -> list[str]:
        return [self.fields[key] for key in FIELDS if self.fields.get(key)] or [""]

    def _begin(self, line: int) -> None:
        """Begin a block that no line with '>' begins, named by what stands above it."""
        self.end()
        count, stem = len(self.matrices), self.found.path.stem
        names = self._field_names()
        if not names[0]:
            names = list(_title(self.title)[0])
        if not names[0]:
            names = [f"{stem} {count + 1}" if count else stem]
        self.block = Block(names, self.title_line or line)
        self.fields, self.title, self.title_line = {}, "", 0

    def _take_rows(self, line: int, text: str) -> None:
        """One row, or several with brackets."""
        if self.block is not None and self.block.order is not None:
            row = self._column_row(line, text)
            if row is None:
                self._take_text(line, text)
            else:
                self._keep(row)
            return
        if "[" in text and text.count("[") != text.count("]"):
            raise self.found.fault(line, "the row has '[' and ']' not in pairs")
        for piece in text.split("]"):
            if not piece.strip():
                continue
            row = _row(line, piece)
            if row is None:
                self._take_text(line, text)
                return
            self._keep(row)

    def _keep(self, row: Row) -> None:
        block = self.block
        if block is None or self._is_over(block, row):
            self._begin(row.line)
            block = self.block
            assert block is not None
        if block.rows and self.is_gap and block.is_tight and not block.is_titled:
            raise self.found.fault(
                row.line, "rows go on below a blank line; put a line '>name' above each matrix"
            )
        block.is_tight |= bool(block.rows) and not self.is_gap
        self.is_gap = False
        block.rows.append(row)
        if max(len(block.rows), len(row.values)) > MAX_POSITIONS:
            raise self.found.fault(row.line, f"the motif has over {MAX_POSITIONS:,} positions")

    def _is_over(self, block: Block, row: Row) -> bool:
        """Whether a row begins a matrix, since all letters were there and a blank line is."""
        if not self.is_gap or block.is_titled or not row.label or len(block.rows) != 4:
            return False
        return {other.label.replace("U", "T") for other in block.rows} == set(LETTERS)

    def _column_row(self, line: int, text: str) -> Row | None:
        """A row below a line that names the columns; None if it is none."""
        block = self.block
        assert block is not None and block.order is not None
        words = text.replace('"', " ").split()
        # R's tables have no column name above the names of rows
        is_numbered = len(words) > 4 and numbers(words[:5]) is not None
        places = (str(len(block.rows)), str(len(block.rows) + 1))
        skip = int(block.has_places or (is_numbered and words[0] in places))
        values = numbers(words[skip : skip + 4])
        rest = words[skip + 4 :]
        if values is not None and len(values) == 4 and not numbers(rest[:1]):
            last = block.rows[-1].first if block.rows else ""
            if block.has_places and _is_place(last) and _is_place(words[0]):
                self._check_place(line, int(last), int(words[0]))
            return Row(line, "", values, words[0], False)
        if numbers(words[:1]) or sum(bool(numbers([word])) for word in words[1:6]) > 1:
            raise self._no_row(line, text, "4 numbers")
        return None

    def _check_place(self, line: int, last: int, place: int) -> None:
        if place != last + 1:
            raise self.found.fault(line, f"position {place} stands behind position {last}")

    def _take_text(self, line: int, text: str) -> None:
        """A line that is no row: what names the next matrix, or a fault."""
        if _counts_positions(text):
            return
        block = self.block
        words = text.split()
        if block is not None and (block.is_titled or self._is_spoilt(block, words)):
            raise self._no_row(line, text, "a row of numbers")
        if numbers(words[:1]):
            raise self._no_row(line, text, "a row of numbers")
        self.end()
        self.title_line = self.title_line or line
        head, mark, value = text.partition("\t")
        if not mark:
            size = 2 if words[1:2] == ["Name"] else 1
            head, value = " ".join(words[:size]), " ".join(words[size:])
        head = head.strip()
        if head in FIELDS:
            if head in self.fields:  # of a record whose matrix is not there
                self.end_fields()
                self.title_line = line
            self.fields[head] = value.strip()
        else:
            self.title, self.title_line = text, line

    def _is_spoilt(self, block: Block, words: Sequence[str]) -> bool:
        """Whether a line below a row has as many words, and numbers among them."""
        if not block.rows or self.is_gap:
            return False
        width = len(block.rows[-1].values)
        return width <= len(words) <= width + 2 and any(numbers([word]) for word in words)

    def _no_row(self, line: int, text: str, expected: str) -> Exception:
        letters = set(text.upper()) <= set(AMBIGUOUS) | {"-", "."}
        advice = "; sites (FASTA) are not read: give counts" if letters else ""
        return self.found.fault(line, f"{text[:40]!r} is not {expected}{advice}")


def _is_place(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 10


def _title(text: str) -> tuple[tuple[str, ...], bool]:
    """Names in the line above a matrix, the one to show first; and whether HOMER wrote it.

    HOMER: consensus, name, threshold and more, divided by tabs. JASPAR: id and name.
    """
    fields = [" ".join(part.split()) for part in text.split("\t")]
    words = text.split()
    if len(fields) > 2 and numbers(fields[2:3]):
        return (fields[1], fields[0]), True
    if len(words) > 2 and set(words[0].upper()) <= set(AMBIGUOUS) and numbers(words[2:3]):
        return (words[1], words[0]), True
    if len(fields) > 2:
        words = [*fields[0].split(), *fields[1].split()]
    if len(words) == 2 and words[0] == words[1]:
        words = words[:1]
    return (" ".join(words), *(part for part in fields[:2] if part)), False


def _columns(text: str) -> tuple[list[int], bool] | None:
    """Order of the letters in a line that names the columns, and whether the first are places."""
    words = text[:100].replace('"', " ").split(None, 5)
    for skip in (0, 1):
        order = letter_order(words[skip : skip + 4]) if len(words) >= skip + 4 else None
        if order is not None:
            return order, bool(skip)
    return None


def _counts_positions(text: str) -> bool:
    """Whether a line numbers the columns, as `base 1 2 3` or `PO 1 2 3`."""
    words = text.split()
    return len(words) > 2 and words[1:] == [str(place) for place in range(1, len(words))]


def _row(line: int, text: str) -> Row | None:
    """Numbers, perhaps with a letter in front of them; None if the line is no row.

    Behind four numbers may stand a consensus letter, and how much it tells.
    """
    words = text.replace("[", " ").replace("|", " ").replace('"', " ").split()
    label = ""
    if words and words[0][0].upper() in AMBIGUOUS and words[0][1:2] in ("", ":", "="):
        label, rest = words[0][0].upper(), words[0][1:].lstrip(":=")
        words = ([rest] if rest else []) + words[1:]
        if words and words[0] in (":", "="):
            words = words[1:]
    values = numbers(words)
    for size in (4, 5):  # the second, where a number of the position stands in front
        if values is None and not label and size < len(words) < size + 3:
            is_consensus = words[size].upper() in AMBIGUOUS
            values = numbers(words[:size]) if is_consensus else None
    return Row(line, label, values, words[0], "[" in text) if values else None
