"""A record of a file, with what each of its positions adds to a prediction."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num


@dataclass(frozen=True, eq=False)
class Explained:
    """A record with the attribution of each of its positions.

    Args:
        name: of the record.
        tokens: ids of its positions, or features.
        symbols: what stands at each position; empty for padding, and none for features.
        output: name of the output that is explained.
        margin: log-odds of that output against the strongest other one, nats; of labels the
            log-odds, of numbers the number as the training has standardised it.
        values: of each position.
        parts: of letters what each symbol would add, of features what each adds; None for words.
        delta: the sum less what it should be; None where a method promises no sum.
    """

    name: str
    tokens: Num[np.ndarray, "time ..."]
    symbols: tuple[str, ...]
    output: str
    margin: float
    values: Float[np.ndarray, " time"]
    parts: Float[np.ndarray, "time channels"] | None
    delta: float | None

    @property
    def letters(self) -> str:
        """The symbols, with N for padding."""
        return "".join(symbol or "N" for symbol in self.symbols)
