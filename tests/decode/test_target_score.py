"""Agreement of written with true targets, against numbers by hand."""

import importlib.util
import random

import pytest

from seqexp.decode import target_score
from seqexp.decode.target_score import edit_distance, has_sacrebleu, score_targets
from seqexp.metrics import METRICS


def test_edits_are_of_symbols_not_of_letters() -> None:
    assert edit_distance(["aː", "n"], ["a", "n"]) == 1
    assert edit_distance([], ["a", "b"]) == 2 and edit_distance(["a"], []) == 1
    assert edit_distance("kitten", "sitting") == 3


def test_many_symbols_are_compared_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    rows = [[draw.choice("abcdef") for _ in range(draw.randint(0, 9))] for _ in range(60)]
    pairs = list(zip(rows[::2], rows[1::2], strict=True))
    expected = [edit_distance(*pair) for pair in pairs]
    monkeypatch.setattr(target_score, "MAX_SYMBOLS", 0)
    assert [edit_distance(*pair) for pair in pairs] == expected
    many = [str(number) for number in range(400)]
    assert edit_distance(many, many[1:]) == 1


def test_any_target_of_a_context_is_exact_and_a_context_counts_once() -> None:
    written = [["a"], ["a"], ["b", "b"]]
    truths = [["x", "y"], ["a"], ["b", "c"]]
    found = score_targets(written, truths, contexts=["one", "one", "two"])
    assert (found.exact, found.edit_distance, found.num_contexts) == (0.5, 0.5, 2)
    metrics = found.metrics("test")
    assert metrics["test/word_error"] == 0.5
    assert set(metrics) <= set(METRICS)
    assert set(found.metrics("valid")) <= set(METRICS)
    alone = score_targets(written, truths, contexts=[1, 2, 3])
    assert alone.exact == pytest.approx(1 / 3) and alone.edit_distance == pytest.approx(1.0)


def test_without_sacrebleu_the_rest_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    found = score_targets([["a"]], [["a"]], [0])
    assert found.bleu is None and set(found.metrics("test")) == {
        *("test/exact", "test/word_error", "test/edit_distance"),
    }


@pytest.mark.skipif(not has_sacrebleu(), reason="sacrebleu is not installed")
def test_bleu_is_of_symbols_as_they_stand() -> None:
    truth = ["a", "man", "is", "walking", "&apos;s", "dog", "."]
    found = score_targets([truth], [truth], [0])
    assert found.bleu == pytest.approx(100) and found.chrf == pytest.approx(100)
    assert "tok:none" in found.signatures["bleu"] and "nrefs:1" in found.signatures["bleu"]
    # of 6 words, 5 are right: 5/6, 4/5, 3/4 and 2/3 of words, pairs, ...: the fourth root of 1/3
    one_wrong = ["a", "b", "c", "d", "e", "x"]
    bleu = score_targets([one_wrong], [["a", "b", "c", "d", "e", "ff"]], [0]).bleu
    assert bleu == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


@pytest.mark.skipif(not has_sacrebleu(), reason="sacrebleu is not installed")
def test_texts_of_letters_are_divided_into_words() -> None:
    found = score_targets([list("it is so.")], [list("it is so.")], [0])
    assert found.bleu == pytest.approx(100) and "tok:13a" in found.signatures["bleu"]
