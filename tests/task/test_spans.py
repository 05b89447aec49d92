"""Spans in labels: those of conlleval, of each form, and of what is malformed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from kinds import data_of

from seqexp.data import Batch
from seqexp.spec import IGNORE, Output, is_scored
from seqexp.task.kinds import of
from seqexp.task.spans import SpanCounts, are_spans, spans_of
from seqexp.trainer.score import evaluate

NAMES = ("B-LOC", "B-PER", "I-LOC", "I-PER", "O")

BY_HAND = {
    "O O": [],
    "B-x": [(0, 0, "x")],
    "B-x I-x O B-x": [(0, 1, "x"), (3, 3, "x")],
    "B-x B-x I-x": [(0, 0, "x"), (1, 2, "x")],
    "B-x I-y": [(0, 0, "x"), (1, 1, "y")],  # another type begins another span
    "O I-x I-x": [(1, 2, "x")],  # as the first form of CoNLL writes all of them
    "I-x B-x I-x": [(0, 0, "x"), (1, 2, "x")],
    "I-x I-y O": [(0, 0, "x"), (1, 1, "y")],
    "B-x I-x E-x S-y": [(0, 2, "x"), (3, 3, "y")],
    "B-x L-x U-x U-x": [(0, 1, "x"), (2, 2, "x"), (3, 3, "x")],
    "E-x E-x": [(0, 0, "x"), (1, 1, "x")],
    "E-x I-x": [(0, 0, "x"), (1, 1, "x")],
    "S-x I-x E-x": [(0, 0, "x"), (1, 2, "x")],
    "B-a-b I-a-b I-a": [(0, 1, "a-b"), (2, 2, "a")],
    "B-x O I-x": [(0, 0, "x"), (2, 2, "x")],
    "": [],
}


@pytest.mark.parametrize("labels", BY_HAND)
def test_spans_are_those_that_were_found_by_hand(labels: str) -> None:
    assert list(spans_of(labels.split())) == BY_HAND[labels]


def test_labels_are_told_by_their_form() -> None:
    assert are_spans(NAMES) and are_spans(("B-x", "O")) and are_spans(("S-x", "U-x", "L-x", "E-x"))
    for names in (("O",), ("NOUN", "O"), ("B-", "O"), ("b-x", "O"), ("X-y", "O"), ("H", "E", "_")):
        assert not are_spans(names)


def test_spans_are_counted_over_all_sequences_and_only_exact_ones_are_right() -> None:
    counts, other = SpanCounts(), SpanCounts()
    assert counts.f1() is None
    counts.add(["B-x", "I-x", "O", "B-y"], ["B-x", "O", "O", "B-y"])  # the first is cut off
    other.add(["O", "B-x"], ["B-x", "B-x"])
    counts.merge(other)
    assert (counts.right, counts.predicted, counts.true) == (2, 4, 3)
    assert counts.f1() == pytest.approx(2 * 2 / 7)


def test_span_f1_is_that_of_seqeval() -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    draw = np.random.default_rng(0)
    truth, predicted = (
        [[NAMES[i] for i in row] for row in draw.integers(0, 5, (50, 12))] for _ in "ab"
    )
    counts = SpanCounts()
    for one, other in zip(truth, predicted, strict=True):
        counts.add(one, other)
    assert counts.f1() == pytest.approx(seqeval.f1_score(truth, predicted))


class Says(torch.nn.Module):
    """A model whose logits are the tokens, one-hot."""

    causal = True

    def forward(self, tokens: torch.Tensor, carry: object = None) -> tuple[torch.Tensor, tuple[()]]:
        return torch.nn.functional.one_hot(tokens, len(NAMES)).float(), ()


@pytest.mark.parametrize("window", [None, 2, 3])
def test_windows_cut_no_span_and_what_is_not_scored_is_no_label(window: int | None) -> None:
    spec = replace(data_of(Output.TOKEN_CLASS).spec, output_names=NAMES, num_outputs=len(NAMES))
    ids = {name: index for index, name in enumerate(NAMES)} | {"-": IGNORE}
    rows = ["B-LOC I-LOC I-LOC O B-PER", "O - B-LOC - I-LOC"]
    said = ["B-LOC I-LOC I-LOC O B-LOC", "O B-PER B-LOC O I-LOC"]
    targets, tokens = (
        torch.tensor([[ids[x] for x in row.split()] for row in r]) for r in (rows, said)
    )
    task = of(spec)
    whole = task.whole()
    score = evaluate(Says(), task, [Batch(tokens, targets)], window, whole)
    assert whole is not None and score.count == int(is_scored(targets).sum())
    assert whole.metrics()["span_f1"] == pytest.approx(2 * 2 / 6)
    of_classes = of(replace(spec, output_names=("a", "b", "c", "d", "e"))).whole()
    assert of_classes is not None and "span_f1" not in of_classes.metrics()
