"""How a picture lies in a sequence: a row at each position, its columns by channels as features.

The names of the features tell columns and channels: `3.red` is the red of column 3, counted from 0;
grey pictures have one channel, `grey`. Rooms that see features, not pictures, read them here.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray

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


def picture_of(
    rows: Float[ndarray, "rows features"], names: Sequence[str]
) -> Float[ndarray, "rows columns *channels"] | None:
    """The picture that rows are, grey without an axis of channels; None if they are no picture.

    Rows of padding (NaN) are left out, and values outside of 0 to 1 are cut off.
    """
    channels = channels_of(names)
    if channels is None:
        return None
    values = np.clip(rows[~np.isnan(rows[:, 0])], 0, 1)
    picture: ndarray = values.reshape(len(values), -1, channels)  # (rows, columns, channels)
    return picture[..., 0] if channels == 1 else picture
