"""Shows which n-grams speak for what, of a model that has a weight or a vector of each."""

from typing import Any, Protocol, runtime_checkable

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.model.counting.table import Speaking
from seqexp.utils.names import one_line
from seqexp.utils.phases import INTERPRETING

SHOWN = 30
"""N-grams of each output."""


@runtime_checkable
class HasNGrams(Protocol):
    """A model that knows what single n-grams add to its outputs."""

    def top(self, count: int) -> list[Speaking]:
        """The n-grams that add most to each output."""
        ...


class SpeakingNGrams(Callback):
    """Keeps `ngrams.json`, a table of the n-grams that add most to each output; of two groups,
    with the key of each.

    Args:
        run: whose model is asked; one without such n-grams is fine.
    """

    doing = ("listing n-grams that say most", INTERPRETING)

    def __init__(self, run: Observed) -> None:
        self.run = run

    def at_end(self, result: Result) -> None:
        """Ask the tested model."""
        model: Any = self.run.training.model
        if not self.run.tracker.keeps or not isinstance(model, HasNGrams):
            return
        spec = self.run.data.spec
        letters = all(len(symbol) == 1 for symbol in spec.vocabulary.symbols)
        found = model.top(SHOWN)
        are_several = len({one.group for one in found}) > 1
        rows = [
            {
                **({"group": one.group} if are_several else {}),
                "output": one.output,
                "n-gram": text_of(one.ngram, letters),
                "adds_nats": round(one.nats, 4),
            }
            for one in found
        ]
        if rows:
            self.run.tracker.table(rows, "ngrams.json")


def text_of(symbols: tuple[str | None, ...], are_letters: bool) -> str:
    """An n-gram as one reads it: letters side by side, words with blanks; a point is a gap."""
    shown = ["." if symbol is None else one_line(symbol) for symbol in symbols]
    return ("" if are_letters else " ").join(shown)
