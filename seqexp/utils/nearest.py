"""The name that was meant by one that is unknown."""

import difflib
import re
from collections.abc import Iterable

CLOSE = 0.7
"""Share of letters that two names have in common, from which one may be meant by the other."""

CLOSE_OPTION = 0.6
"""The same where there are a few names only."""

MEANT = {"gpu": "cuda", "learning_rate": "lr", "batch": "batch_size", "hidden": "hidden_size"}
"""What others call what we have by another name."""


def nearest(name: str, known: Iterable[str], close: float = CLOSE) -> str | None:
    """The nearest of the known names; of dotted ones, the last part counts.

    `trials` means `n_trials` rather than `trial`: whole words first, then letters.
    """
    by_last: dict[str, str] = {}
    for candidate in known:
        by_last.setdefault(candidate.rpartition(".")[2], candidate)
    wanted = _plain(name.rpartition(".")[2])
    if MEANT.get(wanted) in by_last:
        return by_last[MEANT[wanted]]
    likeness = {last: _likeness(wanted, _plain(last)) for last in by_last}
    best = max(likeness, key=likeness.__getitem__, default="")
    return by_last[best] if likeness.get(best, 0) >= close else None


def did_you_mean(name: str, *known: Iterable[str], close: float = CLOSE) -> str:
    """`; did you mean NAME?` by the first of these sets that has one near; nothing if none has."""
    for names in known:
        found = nearest(name, names, close)
        if found is not None:
            return f"; did you mean {found}?"
    return ""


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _likeness(wanted: str, name: str) -> float:
    """From 0 to 4: the same name, then one of the same words, then one of like letters."""
    if not wanted or not name:
        return 0.0
    letters = difflib.SequenceMatcher(None, wanted, name).ratio()
    if wanted == name:
        return 4.0
    ours, theirs = (set(re.split(r"[_/ .]+", text)) for text in (wanted, name))
    if ours <= theirs or theirs <= ours:
        return 2.0 + letters
    if len(wanted) > 3 and (name.startswith(wanted) or name.endswith(wanted)):
        return 1.0 + letters
    shares_a_word = any(len(word) > 3 for word in ours & theirs)
    return letters + 0.15 * shares_a_word
