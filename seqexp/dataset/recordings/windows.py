"""Long recordings in windows, of which each frame is scored in one."""

from typing import NamedTuple


class Window(NamedTuple):
    """Frames `start` to `stop`; those from `scored_from` to `scored_to` are scored in it."""

    start: int
    stop: int
    scored_from: int
    scored_to: int


def windows(length: int, size: int | None, stride: int | None) -> list[Window]:
    """Windows of one size, the last one moved back to end with the recording.

    Where two overlap, each frame is scored in the one that shows more of its neighbours.

    Args:
        length: frames of the recording.
        size: frames of a window; None, or one that is longer: a single window.
        stride: frames from one start to the next; None: `size`, without overlap.

    >>> windows(10, 6, 3)
    [Window(start=0, stop=6, scored_from=0, scored_to=4), Window(start=3, stop=9, scored_from=4, \
scored_to=6), Window(start=4, stop=10, scored_from=6, scored_to=10)]
    """
    if size is None or length <= size:
        return [Window(0, length, 0, length)]
    starts = [*range(0, length - size, stride or size), length - size]
    borders = [
        (after + before + size) // 2 for before, after in zip(starts, starts[1:], strict=False)
    ]
    return [
        Window(start, start + size, first, last)
        for start, first, last in zip(starts, [0, *borders], [*borders, length], strict=True)
    ]
