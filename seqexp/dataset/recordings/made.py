"""Made recordings: noisy waves of a few shapes, for trying things out without any data."""

import numpy as np

from seqexp.dataset.recordings.recording import Recording
from seqexp.seeding import UniformSource, stream_seed

SHAPES = ("sine", "square", "saw")

LENGTH = 60
"""Frames of a recording."""

CHANNELS = ("left", "right", "noise")
NOISE = 0.3


def made_recordings(count: int, kind: str, seed: int) -> list[Recording]:
    """So many recordings of three channels; the last one is noise alone.

    Where frames have labels, the shape of the wave changes twice; else it stays, and numbers to be
    predicted are its frequency, in periods of 100 frames.
    """
    source = UniformSource(stream_seed(seed, "waves"))
    draws = source(count, 6)
    noise = source(count, LENGTH, len(CHANNELS)) + source(count, LENGTH, len(CHANNELS)) - 1
    found = []
    time = np.arange(LENGTH)
    for row in range(count):
        frequency = 5 + 10 * draws[row, 0]
        phase = frequency / 100 * time + draws[row, 1]
        waves = np.stack(
            [np.sin(2 * np.pi * phase), np.where(phase % 1 < 0.5, 1.0, -1.0), 2 * (phase % 1) - 1]
        )
        shape = np.full(LENGTH, int(3 * draws[row, 2]))
        if kind == "token_class":
            for part, place in enumerate((0.2 + 0.3 * draws[row, 4], 0.6 + 0.3 * draws[row, 5])):
                shape[int(place * LENGTH) :] = int(3 * draws[row, 3] + part + 1) % 3
        wave = waves[shape, time]
        values = np.stack([wave, -0.5 * wave, np.zeros(LENGTH)], axis=1) + 2 * NOISE * noise[row]
        labels = [f"{frequency:.4f}"] if kind == "regression" else [SHAPES[i] for i in shape]
        found.append(Recording(f"wave {row}", values, (labels,), (f"made wave {row}",)))
    return found
