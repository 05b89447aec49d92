"""Puts simpler methods beside what a run reached on two classes of DNA."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from seqexp.callback.base import Observed
from seqexp.data import Pattern, Sequences
from seqexp.interpret.filters.baselines import best_scan, word_regression
from seqexp.interpret.filters.extraction import Filters
from seqexp.spec import IGNORE, Output
from seqexp.task.ranking import auprc, auroc


def compare_with_baselines(
    settings: Filters | None,
    run: Observed,
    database: Sequence[Pattern],
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Test AUROC and AUPRC of the baselines, and a table of them with the run's own.

    Nothing where that is not wanted, or there are not two classes of DNA, or only one to learn
    from. The run's seed draws the sequences that the best matrix is chosen on.
    """
    if settings is None or not settings.baselines:
        return {}, []
    data, metrics = run.data, run.story.result.metrics
    spec = data.spec
    two_classes = spec.output is Output.SEQUENCE_CLASS and len(spec.output_names) == 2
    if not two_classes or not spec.vocabulary.is_dna:
        return {}, []
    train, valid, test = map(_labelled, data.splits().values())
    if len(torch.unique(train.targets)) < 2:  # of one class, nothing can be told apart
        return {}, []
    truth = test.targets[:, 0].numpy() == 1
    areas = {"this model": (metrics.get("test/auroc"), metrics.get("test/auprc"))}
    scores = word_regression(train, valid, test, spec.vocabulary)
    areas["regression on words of 6"] = _areas(scores, truth)
    found = _named("kmer", areas["regression on words of 6"])
    if database:
        best, scores = best_scan(database, train, test, spec.vocabulary, run.training.seed)
        name = f"scan with {best.name}"
        areas[name] = _areas(scores, truth)
        found |= _named("scan", areas[name])
    rows = [{"method": name, "test AUROC": a, "test AUPRC": b} for name, (a, b) in areas.items()]
    run.tracker.table(rows, "baselines.json")
    return found, rows


def _labelled(split: Sequences) -> Sequences:
    """The sequences whose class is known."""
    rows = torch.nonzero(split.targets[:, 0] != IGNORE)[:, 0]
    if len(rows) == len(split):
        return split
    return Sequences(split.tokens[rows], split.targets[rows])


def _areas(
    scores: "np.ndarray[Any, Any]", truth: "np.ndarray[Any, Any]"
) -> tuple[float | None, float | None]:
    return auroc(scores, truth), auprc(scores, truth)


def _named(name: str, areas: tuple[float | None, float | None]) -> dict[str, float]:
    keys = (f"baseline/{name}_auroc", f"baseline/{name}_auprc")
    return {key: area for key, area in zip(keys, areas, strict=True) if area is not None}
