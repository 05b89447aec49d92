"""How a picture lies in a sequence: a row at each position, its columns by channels as features.

The names of the features tell columns and channels: `3.red` is the red of column 3, counted from 0;
grey pictures have one channel, `grey`. Rooms that see features, not pictures, read them here.
"""

from collections.abc import Sequence

CHANNELS = {1: ("grey",), 3: ("red", "green", "blue")}
"""Names of channels, by how many there are."""


def pixel_names(columns: int, channels: int) -> tuple[str, ...]:
    """Names of the features of a row, the channels of a column side by side."""
    return tuple(f"{column}.{name}" for column in range(columns) for name in CHANNELS[channels])


def channels_of(names: Sequence[str]) -> int | None:
    """How many channels a picture has whose rows have these features; None: it is no picture."""
    for channels in CHANNELS:
        columns, rest = divmod(len(names), channels)
        if columns and not rest and tuple(names) == pixel_names(columns, channels):
            return channels
    return None
