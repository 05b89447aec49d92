"""What a run took: seconds by part, and memory."""

import sys
from collections.abc import Mapping

import torch

from seqexp.checkpoint.result import Story
from seqexp.data import Data
from seqexp.utils.phases import DRAWING, INTERPRETING, KERNELS, READING, STARTING, TESTING, WRITING

WORDS = {
    READING: "reading the data",
    KERNELS: "building kernels",
    STARTING: "starting: modules, model, store of runs",
    "training": "training",
    "validation": "validation",
    TESTING: "test, and methods beside the model",
    INTERPRETING: "interpretation",
    DRAWING: "drawing, but this page",
    WRITING: "writing files",
}
"""Parts of the time of a run, in their order."""


def seconds_by_part(story: Story, data: Data) -> dict[str, float]:
    """Seconds of each part of a run, by its words, up to now.

    Those of training and validation are of all processes that a run had, others of this one.
    """
    training, validation = seconds_of_epochs(story.history, len(data.train))
    known = {**story.spent, "training": training, "validation": validation}
    return {words: known[part] for part, words in WORDS.items() if part in known}


def seconds_of_epochs(
    history: Mapping[int, Mapping[str, float]], sequences: int
) -> tuple[float, float]:
    """Seconds of all updates, and of all validations.

    An epoch says how long it took, and how many sequences a second were trained on.
    """
    whole = sum(metrics.get("time/epoch_seconds", 0.0) for metrics in history.values())
    rates = [metrics.get("speed/sequences_per_second", 0.0) for metrics in history.values()]
    training = min(whole, sum(sequences / rate for rate in rates if rate > 0))
    return training, whole - training


def memory() -> dict[str, int]:
    """The most bytes that this process has had, by where; nothing where the system is silent."""
    found = {}
    try:
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found["most memory of the process"] = most if sys.platform == "darwin" else 1024 * most
    except ImportError:  # on Windows
        pass
    if torch.cuda.is_available() and (of_gpu := torch.cuda.max_memory_allocated()):
        found["most memory on the GPU"] = of_gpu
    return found
