"""MEME motif files: the minimal format, and the text output of MEME, STREME and DREME.

Source: https://meme-suite.org/meme/doc/meme-format.html
"""

import math

import numpy as np

from seqexp.formats.dna import LETTERS
from seqexp.formats.matrix import LOG_ODDS, MAX_NAME, MAX_POSITIONS, Found, Lines, numbers

DEFAULT_SITES = 20.0
"""What the format says for a matrix without `nsites`."""

MAX_SUM_ERROR = 0.1
"""Of the probabilities of a position, as in the MEME suite."""

PROBABILITIES, SCORES = "letter-probability matrix", "log-odds matrix"


def is_meme(text: str) -> bool:
    """Whether a line can only stand in a MEME file."""
    return text.startswith(
        ("MEME version", "ALPHABET", "MOTIF ", "MOTIF\t")
    ) or text.lower().startswith((PROBABILITIES, SCORES))


def read_meme(found: Found, lines: Lines) -> None:
    """Add the motifs of a MEME file to what was found.

    Probabilities are kept. Counts are these times `nsites`, or times 20, as the format says, where
    that is not a number above 0.

    Raises:
        InputError: naming line and motif, if a matrix is not sound or not of DNA or RNA.
    """
    reader = _Meme(found)
    for line, raw in lines:
        reader.take(line, raw.strip())
    reader.end_motif()


class _Meme:
    """The state of reading: the alphabet, the motif, and the matrix that is read."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.alphabet = LETTERS  # as declared
        self.symbols: set[str] = set()  # of a block that is being read
        self.in_alphabet = False
        self.names: tuple[str, ...] | None = None  # of the motif
        self.line = 0  # of the motif
        self.has_matrix = self.has_scores = False
        self.reading = ""  # which matrix
        self.declared: dict[str, str] = {}
        self.rows: list[list[float]] = []
        self.lines: list[int] = []  # of rows

    def take(self, line: int, text: str) -> None:
        """Read a line."""
        if not text or text[0] == "#":
            return
        if self.in_alphabet and self._take_symbol(text):
            return
        if self.reading and self._take_row(line, text):
            return
        if text.startswith("ALPHABET"):
            self._take_alphabet(text)
        elif text == "MOTIF" or text.startswith(("MOTIF ", "MOTIF\t")):
            self.end_motif()
            self.names, self.line = _names(text), line
        elif text.lower().startswith((PROBABILITIES, SCORES)):
            self._begin_matrix(line, text)

    def end_motif(self) -> None:
        """Finish the matrix and the motif, before another one or the end of the file."""
        if self.reading:
            self._end_matrix()
        if self.names is not None and not self.has_matrix:
            if self.has_scores:
                raise self.found.fault(
                    self.line, f"{self._name} has a log-odds matrix alone; {LOG_ODDS}"
                )
            self.found.leave_out(self._name, self.line)
        self.names, self.has_matrix, self.has_scores = None, False, False

    @property
    def _name(self) -> str:
        return (self.names or ("",))[0][:MAX_NAME] or f"motif {len(self.found.motifs) + 1}"

    # --- the alphabet ---

    def _take_alphabet(self, text: str) -> None:
        rest = text.removeprefix("ALPHABET").strip()
        words = rest.strip(':="').replace('"', " ").split()
        name = words[0] if words else ""
        self.alphabet = LETTERS if name in ("DNA", "RNA", "DNA-LIKE", "RNA-LIKE") else name
        if not rest.startswith(("=", ":")):  # a block, whose symbols follow
            self.in_alphabet, self.symbols = True, set()

    def _take_symbol(self, text: str) -> bool:
        """Read a line of the block; whether it was one."""
        is_end = text.startswith("END ALPHABET")
        bare = " ".join(text.split('"')[::2])  # names of symbols are quoted
        words = bare.replace("=", " = ").replace("~", " ~ ").split()
        # in the output of MEME itself a line of stars ends the block, and one stands above it
        is_stars = set(text) == {"*"}
        if is_end or (is_stars and self.symbols) or (words and len(words[0]) > 1 and not is_stars):
            self.in_alphabet = False
            if self.symbols:
                self.alphabet = "".join(sorted(self.symbols))
            return is_end or is_stars
        if words and not is_stars and "=" not in words:  # no alias, no ambiguous symbol
            complement = words[words.index("~") + 1 :][:1] if "~" in words else []
            self.symbols |= {words[0], *complement}
        return True

    # --- matrices ---

    def _begin_matrix(self, line: int, text: str) -> None:
        if self.reading:
            self._end_matrix()
        kind = PROBABILITIES if text.lower().startswith(PROBABILITIES) else SCORES
        if self.names is None:
            raise self.found.fault(line, f"a {kind} stands below no MOTIF line")
        if kind == PROBABILITIES and self.has_matrix:
            raise self.found.fault(line, f"{self._name} has a second {kind}; give one a MOTIF line")
        words = text[len(kind) :].lstrip(" :").replace("=", " = ").split()
        self.declared = {
            words[i - 1]: words[i + 1] for i in range(1, len(words) - 1) if words[i] == "="
        }
        self.reading, self.rows, self.lines = kind, [], [line]
        if kind == PROBABILITIES:
            self._check_alphabet(line)

    def _check_alphabet(self, line: int) -> None:
        letters = self.alphabet.upper().replace("U", "T")
        size = self.declared.get("alength", "4")
        if letters != LETTERS or size not in ("4", "4.0"):
            alphabet = self.alphabet if letters != LETTERS else f"{size} letters"
            raise self.found.fault(
                line,
                f"{self._name} is over {alphabet[:40]}; motifs of DNA (ACGT) or RNA (ACGU) are"
                " read, their letters in this order",
            )

    def _take_row(self, line: int, text: str) -> bool:
        """Read a row of the matrix; whether the line was one."""
        width = self._width()
        words = text.split()
        values = numbers(words)
        if self.reading == SCORES:
            if values is None:
                self._end_matrix()
            return values is not None
        if width is not None and len(self.rows) == width:
            if values is not None:
                raise self.found.fault(
                    line, f"{self._name} declares w= {width}, but its matrix has more rows"
                )
            self._end_matrix()
            return False
        if values is not None and len(values) == 4:
            self.rows.append(values)
            self.lines.append(line)
            if len(self.rows) > MAX_POSITIONS:
                raise self.found.fault(line, f"{self._name} has over {MAX_POSITIONS:,} positions")
            return True
        if values is not None or self._is_spoilt(words):
            raise self._short(line, width)
        self._end_matrix()
        return False

    @staticmethod
    def _is_spoilt(words: list[str]) -> bool:
        """Whether a line was meant as a row of numbers, but is none."""
        sound = [numbers([word]) is not None for word in words[:8]]
        return sound[0] or (sum(sound) > 1 and words[0] != "MOTIF")

    def _width(self) -> int | None:
        """Rows that the matrix declares; None if it does not."""
        width = (numbers([self.declared.get("w", "")]) or [math.nan])[0]
        return int(width) if math.isfinite(width) and width >= 0 else None

    def _short(self, line: int, width: int | None) -> Exception:
        said = f"declares w= {width}, but row" if width is not None else "is not sound: row"
        return self.found.fault(
            line,
            f"{self._name} {said} {len(self.rows) + 1} of its matrix is not four numbers",
        )

    def _end_matrix(self) -> None:
        kind, width, self.reading = self.reading, self._width(), ""
        if kind == SCORES:
            self.has_scores = True
            return
        if not self.rows or (width is not None and len(self.rows) != width):
            raise self._short(self.lines[-1] + 1, width)
        self.has_matrix = True
        lines = self.lines[1:]
        probabilities = np.array(self.rows)
        sums = probabilities.sum(axis=1) if np.isfinite(probabilities).all() else np.ones(1)
        off = np.flatnonzero(np.abs(sums - 1) > MAX_SUM_ERROR)
        if len(off) and (probabilities >= 0).all() and sums[off[0]] > 0:
            raise self.found.fault(
                lines[off[0]],
                f"{self._name} has probabilities that sum to {sums[off[0]]:g} at position"
                f" {off[0] + 1}; they sum to 1",
            )
        sites = (numbers([self.declared.get("nsites", "")]) or [math.nan])[0]
        sites = sites if 0 < sites <= 1e9 else DEFAULT_SITES  # not nan
        self.found.add(self.names or (), probabilities * sites, lambda row, _: lines[row])


def _names(text: str) -> tuple[str, ...]:
    """Id and alternative name of a MOTIF line, without what MEME itself writes behind them."""
    words = text.split()[1:]
    for index, word in enumerate(words):
        if word.startswith("width=") or (word == "width" and words[index + 1 : index + 2] == ["="]):
            words = words[:index]
            break
    return (words[0], " ".join(words[1:])) if words else ("",)
