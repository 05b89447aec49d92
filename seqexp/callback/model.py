"""Keeps the tested model, with all that is needed to load it from the run alone."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Num
from torch import Tensor, nn

from seqexp.callback.base import Callback, Observed
from seqexp.callback.calibration import Calibration
from seqexp.checkpoint.result import Result
from seqexp.config.groups import Config
from seqexp.data import Data
from seqexp.inference import pyfunc, saved_model, text
from seqexp.inference.seen import seen
from seqexp.spec import Features, Input, is_real
from seqexp.tracking.tracker import ModelFiles
from seqexp.utils.phases import WRITING

MAX_SYMBOLS = 200
MAX_POSITIONS = 5
"""Of an example."""


class KeptModel(Callback):
    """Hands the weights that were tested to the tracker.

    Args:
        config: the whole composition, which a saved model is built again from.
        run: whose model.
        calibration: that has fitted its temperature.
    """

    doing = ("saving the model", WRITING)

    def __init__(self, config: Config, run: Observed, calibration: Calibration) -> None:
        self.config, self.run, self.calibration = config, run, calibration

    def at_end(self, result: Result) -> None:
        """Save the model, and an example of what it takes."""
        model, data = self.run.training.model, self.run.data
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            assert isinstance(model, nn.Module)
            known = seen(data.train, data.spec, self.run.training.seed)
            fitted = self.calibration.found
            saved_model.save(path, model, data.spec, self.config, fitted, known)
            inputs, outputs = pyfunc.input_columns(data.spec), pyfunc.output_columns(data.spec)
            loader = pyfunc.__name__
            files = ModelFiles(path, loader, inputs, outputs, example(data), pyfunc.PARAMS)
            self.run.tracker.model(files)


def example(data: Data) -> Any:
    """What the model takes for the first sequence of the test, shortened; None: there is none.

    A list of one where there is one column, else cells by column.
    """
    test, spec = data.test, data.spec
    if not len(test):
        return None
    batch = next(test.chosen(torch.arange(1, device=test.tokens.device)).batches(1))
    values = {pyfunc.SEQUENCE: (batch.tokens, spec.input)}
    if batch.context is not None and spec.context is not None:
        values[pyfunc.CONTEXT] = (batch.context, spec.context)
    shown = {name: _example(*values[name]) for name in pyfunc.read_inputs(spec)}
    return shown if len(shown) > 1 else list(shown.values())


def _example(rows: Num[Tensor, "1 time ..."], made_of: Input) -> str | list[list[float]]:
    row = rows[0][is_real(rows)[0]]
    if isinstance(made_of, Features):
        values = row[:MAX_POSITIONS].double().cpu().numpy()
        if made_of.scale is not None:  # as they are given, not as they are standardised
            values = values * np.array(made_of.scale.deviation) + np.array(made_of.scale.mean)
        return [[float(f"{number:.6g}") for number in position] for position in values]
    return text.joined(row[:MAX_SYMBOLS].tolist(), made_of)
