"""How near written targets are to the true ones: exact, edits, BLEU and chrF."""

import importlib
import importlib.util
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import edlib

from seqexp.formats.ends import UNKNOWN

MAX_SYMBOLS = 256
"""Different symbols of two sequences that edlib compares."""

EXTRA = "pip install -e '.[translation]'"
"""What installs sacrebleu."""

Symbols = Sequence[str]


@dataclass(frozen=True)
class TargetScore:
    """Agreement of written with true targets.

    Args:
        exact: share of contexts whose target was written without an error.
        edit_distance: mean edits of symbols that a context's target needs.
        bleu: 0 to 100, over all rows; None without sacrebleu.
        chrf: 0 to 100, likewise.
        signatures: by metric, how sacrebleu has counted.
        num_contexts: different contexts.
    """

    exact: float
    edit_distance: float
    num_contexts: int
    bleu: float | None = None
    chrf: float | None = None
    signatures: dict[str, str] = field(default_factory=dict)

    def metrics(self, split: str) -> dict[str, float]:
        """By the names that runs report; `word_error` is the share that is not exact."""
        values = {
            "exact": self.exact,
            "word_error": 1 - self.exact,
            "edit_distance": self.edit_distance,
            "bleu": self.bleu,
            "chrf": self.chrf,
        }
        return {f"{split}/{name}": value for name, value in values.items() if value is not None}


def score_targets(
    written: Sequence[Symbols], truths: Sequence[Symbols], contexts: Sequence[object]
) -> TargetScore:
    """Compare row by row; there must be one at least.

    Where a context stands in several rows, all their targets are true: of these, the nearest one
    counts, and the context counts once. BLEU and chrF are over rows, each with its own target.

    Args:
        written: symbols of each row.
        truths: likewise.
        contexts: the same value for rows of the same context.
    """
    of_context: dict[object, list[int]] = defaultdict(list)
    for row, context in enumerate(contexts):
        of_context[context].append(row)
    edits = [
        min(edit_distance(written[rows[0]], truths[row]) for row in rows)
        for rows in of_context.values()
    ]
    count = len(edits)
    exact = sum(distance == 0 for distance in edits) / count
    return TargetScore(exact, sum(edits) / count, count, *_by_sacrebleu(written, truths))


def edit_distance(one: Symbols, other: Symbols) -> int:
    """Fewest insertions, deletions and substitutions of symbols that turn one into the other."""
    if not one or not other:
        return len(one) + len(other)
    symbols = sorted({*one, *other})
    if len(symbols) > MAX_SYMBOLS:
        return _by_table(one, other)
    letters = {symbol: chr(place) for place, symbol in enumerate(symbols)}
    first, second = ("".join(map(letters.__getitem__, row)) for row in (one, other))
    return int(edlib.align(first, second)["editDistance"])


def _by_table(one: Symbols, other: Symbols) -> int:
    """Row by row of the table of all beginnings.

    Source: Wagner & Fischer (1974).
    """
    before = list(range(len(other) + 1))
    for number, symbol in enumerate(one, start=1):
        row = [number]
        for place, known in enumerate(other):
            row.append(min(before[place] + (symbol != known), before[place + 1] + 1, row[-1] + 1))
        before = row
    return before[-1]


def has_sacrebleu() -> bool:
    """Whether BLEU and chrF can be measured."""
    return importlib.util.find_spec("sacrebleu") is not None


def _by_sacrebleu(
    written: Sequence[Symbols], truths: Sequence[Symbols]
) -> tuple[float | None, float | None, dict[str, str]]:
    """BLEU and chrF of a corpus, and their signatures.

    Symbols of several characters are BLEU's words as they stand; else texts are divided into words
    as sacrebleu does.

    Source: Papineni et al. (2002); Popović (2015); Post (2018).
    """
    if not has_sacrebleu():
        return None, None, {}
    sacrebleu = importlib.import_module("sacrebleu")
    is_letters = all(len(symbol) == 1 or symbol == UNKNOWN for row in truths for symbol in row)
    between = "" if is_letters else " "
    texts, true = ([between.join(row) for row in rows] for rows in (written, truths))
    metrics = {
        "bleu": sacrebleu.BLEU(tokenize="13a" if is_letters else "none", force=True),
        "chrf": sacrebleu.CHRF(),
    }
    scores = {name: metric.corpus_score(texts, [true]).score for name, metric in metrics.items()}
    signatures = {name: str(metric.get_signature()) for name, metric in metrics.items()}
    return scores["bleu"], scores["chrf"], signatures
