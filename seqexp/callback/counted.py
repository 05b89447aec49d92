"""Puts a linear model of n-grams beside what a run reached, on texts and DNA, unasked."""

import logging
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from seqexp.callback.base import Callback, Observed
from seqexp.checkpoint.result import Result
from seqexp.data import Data, Sequences
from seqexp.errors import InputError
from seqexp.metrics import METRICS
from seqexp.model.ngrams import KINDS, NGrams
from seqexp.spec import TaskSpec, is_real, is_scored
from seqexp.task import kinds
from seqexp.trainer.predicted import Predicted
from seqexp.trainer.score import evaluate
from seqexp.utils.beside import Beside
from seqexp.utils.phases import TESTING

log = logging.getLogger("seqexp")

OF_DNA: dict[str, dict[str, Any]] = {
    "words": {"sizes": [6]},
    "gapped_words": {"sizes": [6], "gaps": 1},
}
"""Of each baseline on DNA, what its model is given."""

OF_WORDS: dict[str, dict[str, Any]] = {"ngrams": {"sizes": [1, 2]}}
"""On texts: words and pairs, a third of the time that triples take too."""

OF_LETTERS: dict[str, dict[str, Any]] = {"ngrams": {"sizes": [1, 2, 3]}}
"""On proteins, RNA and other letters."""

MAX_PLACES = 2**24
"""N-grams of the training sequences, at most: bounds the time to some ten seconds."""

ROWS = 1000
"""Sequences that are scored at a time."""

STRENGTH = 10.0
"""Of the penalty, where there is nothing to validate on."""

_known: dict[tuple[str, str], tuple[dict[str, float], Predicted]] = {}
"""Metrics and test predictions for data of this digest: runs of a sweep ask again and again."""


class CountedNGrams(Callback):
    """Scores a model that counts n-grams, beside the result; says so where it is left out.

    Args:
        run: on whose data.
    """

    doing = ("fitting counted n-grams beside the model", TESTING)

    def __init__(self, run: Observed) -> None:
        self.run = run
        self._beside = Beside({})

    def at_test(self) -> None:
        """Begin to fit them in a process beside this one."""
        data = self.run.data
        # with several threads, the last bits would not be those that are found here
        if torch.get_num_threads() == 1 and data.test.tokens.device.type == "cpu":
            self._beside = Beside(
                {
                    name: partial(_fitted_and_scored, data, name, given)
                    for name, given in self._wanted().items()
                    if num_places(data, given) <= MAX_PLACES and _key(data, name) not in _known
                }
            )

    def _wanted(self) -> dict[str, dict[str, Any]]:
        """Those that are not the result itself."""
        is_itself = isinstance(self.run.training.model, NGrams)
        wanted_here = wanted(self.run.data.spec).items()
        return {name: given for name, given in wanted_here if "gaps" in given or not is_itself}

    def at_end(self, result: Result) -> None:
        """Log `baseline/words_*` and `baseline/gapped_words_*` of DNA, `baseline/ngrams_*` of
        texts and of other letters.
        """
        data = self.run.data
        for name, given in self._wanted().items():
            places = num_places(data, given)
            if places > MAX_PLACES:
                log.info(
                    f"  baseline/{name} is left out: {places:,} n-grams would be counted, more than"
                    f" {MAX_PLACES:,}; model=ngrams has no such limit"
                )
                continue
            try:
                found = scored(data, name, given, self._beside)
            except InputError as error:  # no n-gram is frequent, or sequences are too short
                log.info(f"  baseline/{name} is left out: {error}")
                continue
            self.run.log(found, 0)


def wanted(spec: TaskSpec) -> Mapping[str, dict[str, Any]]:
    """The baselines of a dataset: one prediction for each sequence of DNA, of other letters or of
    words; none of others.
    """
    if spec.output not in KINDS or spec.features is not None or spec.context is not None:
        return {}
    if spec.vocabulary.is_dna:
        return OF_DNA
    are_words = spec.words is not None and spec.words.unit != "letters"
    return OF_WORDS if are_words else OF_LETTERS


def num_places(data: Data, given: Mapping[str, Any]) -> int:
    """N-grams of the training sequences that would be counted."""
    tokens = sum(int(is_real(part).sum()) for part in torch.split(data.train.tokens, ROWS))
    return tokens * (len(given["sizes"]) if not given.get("gaps") else max(given["sizes"]))


def scored(
    data: Data, name: str, given: Mapping[str, Any], beside: Beside | None = None
) -> dict[str, float]:
    """Metrics of the test of a model that is fitted, its penalty chosen on validation.

    Nothing where all targets of the training sequences, or of those of the test, are the same.

    Args:
        beside: where it may be fitted by its name; else it is here.

    Raises:
        InputError: if there is nothing that it could count.
    """
    key = _key(data, name)
    if key not in _known:
        fit = partial(_fitted_and_scored, data, name, given)
        _known[key] = fit() if beside is None else beside.result(name, fit)
    return _known[key][0]


def _fitted_and_scored(
    data: Data, name: str, given: Mapping[str, Any]
) -> tuple[dict[str, float], Predicted]:
    """Its metrics, and what it predicts for the test."""
    if any(len(_values(split)) < 2 for split in (data.train, data.test)):
        return {}, Predicted()
    cpu = data.to(torch.device("cpu"))
    model, task = fitted(cpu, given), kinds.of(data.spec)
    whole, predicted = task.whole(), Predicted()
    score = evaluate(model, task, cpu.test.batches(ROWS), whole=whole, predicted=predicted)
    found = task.means(score.nats, score.count, score.extras)
    found |= {} if whole is None else whole.metrics()
    named = {f"baseline/{name}_{measure}": value for measure, value in found.items()}
    return {name: value for name, value in named.items() if name in METRICS}, predicted


def test_scores(data: Data, name: str) -> Float[np.ndarray, " sequences"] | None:
    """Log-odds of the second of two classes for the test, of a baseline that was scored before."""
    known = _known.get(_key(data, name))
    return None if known is None else margins(known[1])


def margins(predicted: Predicted) -> Float[np.ndarray, " sequences"] | None:
    """Log-odds of the second of two classes of each test sequence whose class is known; None where
    they were too many to be kept.
    """
    kept = predicted.tensors()
    if not kept:
        return None
    logits = kept["logits"].double()
    found: np.ndarray = (logits[:, -1] - (logits[:, 0] if logits.shape[1] > 1 else 0)).numpy()
    return found


def _key(data: Data, name: str) -> tuple[str, str]:
    return data.digest(), f"{name} {data.spec.scoring}"


def _values(split: Sequences) -> torch.Tensor:
    targets = split.targets
    found: torch.Tensor = torch.unique(targets[is_scored(targets)])
    return found


def fitted(data: Data, given: Mapping[str, Any]) -> NGrams:
    """The model with the strength whose validation loss is the first that the next does not beat.

    Raises:
        InputError: if there is nothing that it could count.
    """
    has_valid = len(data.valid) > 0 and bool(is_scored(data.valid.targets).any())
    model = NGrams(data.spec, **given, strength=None if has_valid else STRENGTH)
    model.ngrams.count(data.train)
    solver, task = model.solver(data.train), kinds.of(data.spec)
    lowest, best = math.inf, model.state_dict()
    for number in range(model.num_fits):
        solver.fit(number)
        loss = evaluate(model, task, data.valid.batches(ROWS)).nats if has_valid else 0.0
        if loss >= lowest:
            break
        lowest = loss
        best = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    model.load_state_dict(best)
    return model
