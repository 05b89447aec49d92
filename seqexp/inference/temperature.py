"""The temperature of a saved model: fitted on validation, kept beside the weights."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from seqexp.errors import InputError
from seqexp.spec import Output
from seqexp.task.calibration import HAVE_PROBABILITIES
from seqexp.utils.files import read_json

FILE = "temperature.json"
"""In the folder of a saved model."""

UNKNOWN = "it was trained by an earlier version, which fitted none; train it again by force=true"


@dataclass(frozen=True)
class Temperature:
    """What logits are divided by, so that probabilities are as often right as they say.

    Args:
        value: above 0; None where there is none.
        reason: why there is none.
    """

    value: float | None = None
    reason: str = UNKNOWN


def no_probabilities(kind: Output) -> str | None:
    """Why a kind of task has no temperature; None if it has one."""
    if kind in HAVE_PROBABILITIES:
        return None
    what = {
        Output.REGRESSION: "predicts numbers, which have no probabilities",
        Output.NEXT_TOKEN: "predicts the next symbol, whose probabilities are those of sample",
        Output.READ_ERRORS: "tells how reads err, and has no classes",
    }
    return f"the model {what[kind]}"


def write(folder: Path, temperature: Temperature) -> None:
    """Keep it in the folder of a model."""
    reason = None if temperature.value is not None else temperature.reason
    found = {"temperature": temperature.value, "reason": reason}
    (folder / FILE).write_text(json.dumps(found, indent=2), encoding="utf-8")


def read(folder: Path) -> Temperature:
    """The temperature of a saved model; of an earlier version, none.

    Raises:
        InputError: if the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return Temperature()
    found = read_json(file)
    if not isinstance(found, dict) or not {"temperature", "reason"} <= set(found):
        raise InputError(f"{file}: is damaged: it has no temperature and reason")
    value, reason = found["temperature"], found["reason"]
    if value is None and isinstance(reason, str):
        return Temperature(None, reason)
    if type(value) not in (int, float) or not math.isfinite(value) or value <= 0:
        raise InputError(f"{file}: is damaged: temperature is {value!r}; it is a number above 0")
    return Temperature(float(value))
