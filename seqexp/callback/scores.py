"""Keeps what a run predicts: for the mean of a sweep's jobs, and to compare two runs by."""

from pathlib import Path

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Sequences
from seqexp.inference import ensemble
from seqexp.spec import Output
from seqexp.trainer.loop import scored_batches
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import evaluate, scored_window
from seqexp.utils.phases import WRITING


class KeptPredictions(Callback):
    """Keeps the predictions for the test in the run's folder; of a job those for validation too.

    Does nothing for the likelihood of reads, and where there are too many numbers.

    Args:
        run: whose test is kept.
        folder: of the run; None keeps nothing.
        with_validation: whether weights of a mean may be asked for.
    """

    doing = ("keeping predictions of the test", WRITING)

    def __init__(self, run: Observed, folder: Path | None, with_validation: bool) -> None:
        is_kept = folder is not None and run.data.spec.output is not Output.READ_ERRORS
        self.run, self.folder = run, folder if is_kept else None
        self.with_validation = with_validation
        if self.folder is not None and run.training.predicted is None:
            run.training.predicted = Predicted()

    def at_end(self, result: Result) -> None:
        """Predict validation by the tested weights, and write both."""
        training, data = self.run.training, self.run.data
        if self.folder is not None and training.predicted is not None:
            test = ensemble.split_of(data.test.digest(), training.predicted)
            if test is not None:
                has_valid = self.with_validation and len(data.valid) > 0
                valid = self._predicted(data.valid) if has_valid else None
                file = self.folder / ensemble.FILE
                ensemble.write(file, ensemble.Scores(data.spec, test, valid))
        training.predicted = None

    def _predicted(self, split: Sequences) -> ensemble.Split | None:
        training, predicted = self.run.training, Predicted()
        batches = scored_batches(split.to(training.device), training.settings)
        window = scored_window(split, training.window)
        evaluate(training.model, training.task, batches, window, predicted=predicted)
        return ensemble.split_of(split.digest(), predicted)
