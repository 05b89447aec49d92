"""What sequences of the training were like, beside a saved model; and whether others are like them.

Predictions for sequences of quite another kind are still made, with a note.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seqexp.data import Sequences
from seqexp.errors import InputError
from seqexp.spec import PAD, TaskSpec, is_real
from seqexp.utils.files import read_json

FILE = "seen.json"
"""In the folder of a saved model."""

ROWS, TOKENS = 5000, 200_000
"""Sequences, and tokens of them, that are looked at."""

MOST_SYMBOLS = 64
"""Whose shares are kept; of more, that of unknown ones only."""

UNKNOWN = "<unk>"

FEW = 500
"""Tokens: of fewer, shares tell little."""

FAR, APART, MORE_UNKNOWN = 1.1, 0.15, 0.1
"""Times a length, a distance of shares (total variation), and a share more, that are worth a note.
"""


@dataclass(frozen=True)
class Seen:
    """Sequences of a training.

    Args:
        shortest: of their lengths, in tokens; None of a stream, or where it is not known.
        longest: of their lengths.
        shares: of symbols, all tokens together; empty where positions hold numbers.
    """

    shortest: int | None = None
    longest: int | None = None
    shares: dict[str, float] = field(default_factory=dict)


def seen(train: Sequences, spec: TaskSpec, seed: int) -> Seen:
    """What sequences of a training are like: of some, drawn by class."""
    rows = train.at_most(ROWS, seed).tokens
    most = max(1, TOKENS // max(1, len(rows)))
    lengths = is_real(rows).sum(dim=1) if not train.is_stream else torch.zeros(0)
    ends = (int(lengths.min()), int(lengths.max())) if lengths.numel() else (None, None)
    shares: dict[str, float] = {}
    if spec.features is None:
        shares = _shares(Counter(rows[:, :most].flatten().tolist()), spec)
    return Seen(ends[0], ends[1], shares)


def _shares(counts: Counter[int], spec: TaskSpec) -> dict[str, float]:
    symbols = spec.vocabulary.symbols
    total = sum(count for id, count in counts.items() if id != PAD)
    kept = symbols if len(symbols) <= MOST_SYMBOLS else [s for s in symbols if s == UNKNOWN]
    ids = spec.vocabulary.ids
    return {symbol: counts[ids[symbol]] / total for symbol in kept} if total else {}


class Watch:
    """Compares sequences that a model is asked about with those that it was trained on.

    Args:
        known: of the training.
        spec: of the model.
    """

    def __init__(self, known: Seen, spec: TaskSpec) -> None:
        self.known, self.spec = known, spec
        self.count = self.outside = self.tokens = 0
        self.shortest, self.longest = math.inf, 0
        self.symbols: Counter[int] = Counter()

    def add(self, values: Sequence[Any] | np.ndarray) -> None:
        """Take a sequence into account, as the model takes it; one that has a context only, not."""
        if not len(values):
            return
        length = len(values)
        if self.spec.features is None:
            ids = values.tolist() if isinstance(values, np.ndarray) else values
            length -= ids.count(PAD)
            if self.tokens < TOKENS:
                self.symbols.update(ids)
                self.tokens += length
        self.count += 1
        low, high = self.known.shortest, self.known.longest
        if low is not None and high is not None:
            self.outside += not low / FAR <= length <= high * FAR
        self.shortest, self.longest = min(self.shortest, length), max(self.longest, length)

    def notes(self) -> Iterator[str]:
        """A line for each way in which sequences are unlike those of the training."""
        known = self.known
        if self.outside:
            usual = f"{known.shortest:,}"
            usual += f" to {known.longest:,}" if known.longest != known.shortest else ""
            yield (
                f"{self.outside:,} of {self.count:,} sequences have other lengths than those of the"
                f" training, {usual}: here {self.shortest:,} to {self.longest:,}"
            )
        if self.tokens < FEW:
            return
        own = _shares(self.symbols, self.spec)
        more = own.get(UNKNOWN, 0.0) - known.shares.get(UNKNOWN, 0.0)
        if known.shares and more > MORE_UNKNOWN:
            yield (
                f"{own[UNKNOWN]:.0%} of the tokens are unknown to the model,"
                f" {known.shares.get(UNKNOWN, 0.0):.0%} in the training"
            )
        apart = {name: own.get(name, 0.0) - share for name, share in known.shares.items()}
        if len(apart) > 1 and sum(map(abs, apart.values())) / 2 > APART:
            first = sorted(apart, key=lambda name: -abs(apart[name]))[:3]
            told = ", ".join(f"{n} {own.get(n, 0.0):.2f} ({known.shares[n]:.2f})" for n in first)
            yield f"symbols have other shares than in the training (in brackets): {told}"


def write(folder: Path, found: Seen) -> None:
    """Keep it in the folder of a model."""
    (folder / FILE).write_text(json.dumps(asdict(found), indent=2), encoding="utf-8")


def read(folder: Path) -> Seen:
    """What a saved model has seen; of an earlier version, nothing is known.

    Raises:
        InputError: if the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return Seen()
    found: Any = read_json(file)
    is_sound = isinstance(found, dict) and set(found) == {"shortest", "longest", "shares"}
    if is_sound:
        ends, shares = (found["shortest"], found["longest"]), found["shares"]
        is_sound = (
            isinstance(shares, dict)
            and all(type(one) in (int, type(None)) for one in ends)
            and (ends[0] is None) == (ends[1] is None)
            and all(type(one) in (int, float) and 0 <= one <= 1 for one in shares.values())
        )
    if not is_sound:
        raise InputError(f"{file}: is damaged: it has other fields than shortest, longest, shares")
    return Seen(**found)
