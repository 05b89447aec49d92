"""The linear model of n-grams that runs on texts and DNA report beside their own result."""

import logging
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seqexp.callback import counted
from seqexp.callback.counted import CountedNGrams, scored, wanted
from seqexp.data import Data, Sequences
from seqexp.metrics import METRICS
from seqexp.spec import IGNORE, Output, TaskSpec, Vocabulary, WordEncoding
from seqexp.utils.beside import can_fork

DNA = Vocabulary(("A", "C", "G", "T"))


def dna_data(site: str = "TGACGT", count: int = 240, gap: int = 0) -> Data:
    """Half of the sequences hold the site, on either strand, perhaps with a free letter within."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 5, (count, 30), generator=generator)
    labels = torch.arange(count)[:, None] % 2
    ids = torch.tensor(DNA.encode(site))
    places = [*range(3), *range(3 + gap, 6 + gap)]
    for row in range(1, count, 2):
        start = 3 + row % 15
        other = torch.tensor(DNA.complements())[tokens[row]].flip(0)
        strand = tokens[row] if row % 4 == 1 else other
        strand[[start + place for place in places]] = ids
        tokens[row] = strand if row % 4 == 1 else torch.tensor(DNA.complements())[strand].flip(0)
    third = count // 4
    parts = [(0, count - 2 * third), (count - 2 * third, count - third), (count - third, count)]
    splits = [Sequences(tokens[a:b], labels[a:b]) for a, b in parts]
    spec = TaskSpec(DNA, 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    return Data(spec, *splits)


def test_words_tell_a_planted_site_and_gapped_words_one_with_a_free_letter() -> None:
    plain, gapped = dna_data(), dna_data(gap=1)
    words, with_gap = (counted.OF_DNA[name] for name in ("words", "gapped_words"))
    assert scored(plain, "words", words)["baseline/words_auroc"] > 0.99
    found = scored(gapped, "gapped_words", with_gap)
    assert found["baseline/gapped_words_auroc"] > 0.95
    assert found.keys() <= METRICS.keys()


def observed(data: Data, model: Any = None) -> Any:
    logged: dict[str, float] = {}
    training = SimpleNamespace(model=model)
    return SimpleNamespace(
        data=data, training=training, log=lambda found, step: logged.update(found), logged=logged
    )


def test_a_run_on_dna_has_both_without_being_asked() -> None:
    run = observed(dna_data(count=60))
    CountedNGrams(run).at_end(SimpleNamespace())  # type: ignore[arg-type]
    assert {"baseline/words_auroc", "baseline/gapped_words_auroc"} <= run.logged.keys()


@pytest.mark.skipif(not can_fork(), reason="no process with a core to itself")
def test_fitted_in_another_process_they_have_the_same_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = dna_data(count=60)
    here, there = observed(data), observed(data)
    CountedNGrams(here).at_end(SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(counted, "_known", {})
    begun = CountedNGrams(there)
    begun.at_test()
    monkeypatch.setattr(counted, "_fitted_and_scored", lambda *given: pytest.fail("done here"))
    begun.at_end(SimpleNamespace())  # type: ignore[arg-type]
    assert there.logged == here.logged != {}


def test_what_is_too_large_or_too_short_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "seqexp")
    monkeypatch.setattr(logging.getLogger("seqexp"), "propagate", True)
    data = dna_data(count=60)
    short = [replace(split, tokens=split.tokens[:, :4]) for split in data.splits().values()]
    run = observed(Data(data.spec, *short))
    CountedNGrams(run).at_end(SimpleNamespace())  # type: ignore[arg-type]
    assert "baseline/words is left out: model.sizes is [6]" in caplog.text
    monkeypatch.setattr(counted, "MAX_PLACES", 10)
    CountedNGrams(observed(data)).at_end(SimpleNamespace())  # type: ignore[arg-type]
    assert "baseline/gapped_words is left out: 5,400 n-grams" in caplog.text
    assert not run.logged


def test_of_texts_it_is_words_and_pairs_of_other_letters_three_and_of_other_data_nothing() -> None:
    spec = TaskSpec(Vocabulary(("a", "b")), 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    assert wanted(spec) == {"ngrams": {"sizes": [1, 2, 3]}}
    words = wanted(replace(spec, words=WordEncoding("tail", "right")))
    assert words == {"ngrams": {"sizes": [1, 2]}}
    assert list(wanted(replace(spec, vocabulary=DNA))) == ["words", "gapped_words"]
    assert not wanted(replace(spec, output=Output.TOKEN_CLASS))
    assert not wanted(replace(spec, output=Output.NEXT_TOKEN))


def targets_of(data: Data, output: Output, names: tuple[str, ...], values: torch.Tensor) -> Data:
    spec = replace(data.spec, output=output, num_outputs=len(names), output_names=names)
    made, start = [], 0
    for split in data.splits().values():
        made.append(replace(split, targets=values[start : start + len(split)]))
        start += len(split)
    return Data(spec, *made)


def test_numbers_and_labels_have_it_too_where_some_are_unknown() -> None:
    data = dna_data()
    classes = torch.cat([split.targets for split in data.splits().values()])
    numbers = classes.float() * 3 + 7
    numbers[::9] = float("nan")
    found = scored(targets_of(data, Output.REGRESSION, ("y",), numbers), "words", {"sizes": [6]})
    assert found["baseline/words_r2"] > 0.8 and found["baseline/words_mse"] < 0.5
    labels = torch.cat([classes, 1 - classes], dim=1)
    labels[::9, 1] = IGNORE
    two = targets_of(data, Output.MULTI_LABEL, ("a", "b"), labels)
    found = scored(two, "words", {"sizes": [6]})
    assert found["baseline/words_auroc"] > 0.99
    same = targets_of(data, Output.REGRESSION, ("y",), torch.ones_like(numbers))
    assert not scored(same, "words", {"sizes": [6]})
