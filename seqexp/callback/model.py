"""Keeps the tested model, with all that is needed to load it from the run alone."""

import tempfile
from pathlib import Path

from torch import nn

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.config.groups import Config
from seqexp.inference import pyfunc, saved_model, text
from seqexp.tracking.tracker import ModelFiles


class KeptModel(Callback):
    """Hands the weights that were tested to the tracker.

    Args:
        config: the whole composition, which a saved model is built again from.
        run: whose model.
    """

    def __init__(self, config: Config, run: Observed) -> None:
        self.config, self.run = config, run

    def at_end(self, result: Result) -> None:
        """Save the model, and an example of what it takes."""
        model, data = self.run.training.model, self.run.data
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            assert isinstance(model, nn.Module)
            saved_model.save(path, model, data.spec, self.config)
            example = text.decode(data.test.tokens[0, :200].tolist(), data.spec)
            columns = saved_model.output_columns(data.spec)
            self.run.tracker.model(ModelFiles(path, pyfunc.__name__, columns, example))
