"""Patterns of attributions: aligned windows become families, alone and together with filters."""

import importlib.util
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from interpret.families.test_families import COUNT, DNA, GAP, ONE, OTHER, TIME, other_strand
from interpret.families.test_families import found as found
from interpret.families.test_families import given as given
from interpret.families.test_families import model as model
from interpret.families.test_families import spec as spec
from interpret.filters.test_report import page

from seqexp.data import Pattern
from seqexp.errors import Terminated
from seqexp.interpret.families import patterns as module
from seqexp.interpret.families.family import Families, Known, Read, find_families
from seqexp.interpret.families.files import as_json, rows, sites_bed
from seqexp.interpret.families.patterns import (
    BESIDE,
    EvidencePattern,
    aligned_sites,
    find_patterns,
    modisco,
)
from seqexp.interpret.families.words import in_words
from seqexp.interpret.filters.report import report_page, verdict
from seqexp.interpret.filters.tomtom import Learned
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import TaskSpec

HAS_MODISCO = importlib.util.find_spec("modiscolite") is not None

AROUND = 4
"""Letters on either side of the motif that are in its windows."""


@dataclass
class Window:
    """As modisco-lite has it; places are those of sequences with letters of padding before."""

    example_idx: int
    start: int
    end: int
    is_revcomp: bool
    contrib_scores: np.ndarray


def windows(of: str) -> list[Window]:
    """Where one of the two motifs was planted, in every second sequence."""
    found = []
    for example, row in enumerate(range(0, COUNT, 2)):
        is_turned = bool(row % 4)
        is_first = (of == ONE) != is_turned
        start = row % 40 + (0 if is_first else len(ONE) + GAP)
        size = 1.0 + example / COUNT
        found.append(
            Window(
                example_idx=row,
                start=start - AROUND + BESIDE,
                end=start + len(of) + AROUND + BESIDE,
                is_revcomp=is_turned if of == ONE else not is_turned,
                contrib_scores=np.full((len(of) + 2 * AROUND, 4), size),
            )
        )
    return found


@pytest.fixture(scope="module")
def patterns() -> list[EvidencePattern]:
    every = np.arange(COUNT)
    # those that begin before a sequence have no letters there
    return [aligned_sites(windows(motif), every) for motif in (ONE, OTHER)]


class WithoutFilters(torch.nn.Module):
    """The same predictions, of a model that says nothing of how it makes them."""

    causal = False

    def __init__(self, inside: CNN1D) -> None:
        super().__init__()
        self.inside, self.spec = inside, inside.spec

    def forward(self, tokens: torch.Tensor, carry: Any = None) -> Any:
        return self.inside(tokens, carry)


said: list[str] = []


@contextmanager
def said_in(text: str) -> Iterator[None]:
    said.append(text)
    yield


def families(
    model: Any, given: Read, patterns: Sequence[EvidencePattern] | None, known: Known | None = None
) -> Families:
    return find_families(model, given, 0.5, 0.25, known or Known(), lambda line: None, patterns)


def test_windows_of_a_pattern_are_sites_on_the_strand_that_shows_it() -> None:
    contributions = np.full((10, 4), 0.5)
    own = [
        Window(0, BESIDE + 7, BESIDE + 17, False, contributions),
        Window(2, BESIDE + 1, BESIDE + 11, True, -2 * contributions),
    ]
    pattern = aligned_sites(own, np.array([5, 6, 9]))
    assert pattern.width == 10 and pattern.sites.rows.tolist() == [5, 9]
    # place 0 of the second one is its last letter
    assert pattern.sites.anchors.tolist() == [7, 10]
    assert pattern.sites.directions.tolist() == [1, -1]
    assert pattern.sites.scores.tolist() == [0.5, 1.0]


def test_a_model_without_filters_has_families_of_its_patterns(
    model: CNN1D, given: Read, patterns: list[EvidencePattern]
) -> None:
    alone = WithoutFilters(model)
    assert not families(alone, given, None).found
    known = Known(None, [Pattern("first", certain(ONE)), *others()])
    found = families(alone, given, patterns, known)
    one, other = found.found
    assert one.filters == [] == other.filters and [one.patterns, other.patterns] == [[0], [1]]
    assert one.reading == ONE and other.reading in (OTHER, other_strand(OTHER))
    assert one.match is not None and one.match.target.name == "first" and not one.match.reverse
    assert one.hits == other.hits == COUNT // 2 and one.on_strands == (60, 60)
    assert one.speaks_for == "yes" and one.strength > other.strength > 0
    # of the filters 6 and 2; without its sites a sequence may hold a letter or two of one
    assert one.adds == pytest.approx(6, abs=0.1) and other.adds == pytest.approx(2, abs=0.1)
    (pair,) = found.pairs
    assert pair.distance == GAP and pair.both == COUNT // 2
    said = verdict(page(Learned(), families=found))
    assert said[0].startswith("The motif families of largest effect: 1. first (")
    assert "1 of 2 resemble one of 61 known motifs" in said[1]
    text = report_page(page(Learned(), families=found))
    assert "What the model reads: motif families" in text and "240 sequences" in text


def test_filters_and_patterns_of_one_motif_are_one_family_with_the_effect_of_the_filters(
    model: CNN1D, given: Read, found: Families, patterns: list[EvidencePattern]
) -> None:
    both = families(model, given, patterns)
    assert [one.filters for one in both.found] == [[0, 1], [2]]
    assert [one.patterns for one in both.found] == [[0], [1]]
    for one, before in zip(both.found, found.found, strict=True):
        assert one.hits == before.hits and one.shares == before.shares
        assert (one.strength, one.adds) == (before.strength, before.adds)
    table, told = rows(both.found), as_json(both, given)
    assert [(row["filters"], row["patterns"]) for row in table] == [("0, 1", "0"), ("2", "1")]
    assert told["families"][1]["patterns"][0]["pattern"] == 1
    assert told["sequences with attributions"] == COUNT
    assert "patterns" not in rows(found.found)[0] and "patterns" not in str(as_json(found, given))
    names = [f"chr1:{1000 * row}-{1000 * row + TIME}(+)" for row in range(COUNT)]
    assert len(sites_bed(both.found, names, given).splitlines()) == COUNT


def test_shares_of_a_pattern_are_of_the_sequences_that_were_explained(
    model: CNN1D, given: Read
) -> None:
    sample = torch.arange(0, COUNT, 3)
    few = Read(given.tokens, DNA, given.output_names, given.holds, sample)
    numbers = {int(row): place for place, row in enumerate(sample)}
    own = [one for one in windows(ONE) if one.example_idx in numbers]
    for one in own:
        one.example_idx = numbers[one.example_idx]
    found = families(WithoutFilters(model), few, [aligned_sites(own, sample.numpy())])
    (family,) = found.found
    assert family.shares == {"no": 0.0, "yes": 1.0} and family.totals == {"no": 40, "yes": 40}
    assert found.num_patterned == 80 and set(family.group.sites.rows) <= set(sample.tolist())


def test_each_output_is_explained_with_letters_in_the_order_of_modisco(
    spec: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def kept(one_hot: np.ndarray, attributions: np.ndarray) -> list[list[Window]]:
        asked.append((one_hot, attributions))
        return [[Window(1, BESIDE, BESIDE + 8, False, attributions[1, :8])]]

    monkeypatch.setattr(module, "modisco", kept)
    network = CNN1D(spec, num_filters=2, filter_width=3).eval()
    tokens = torch.tensor([[1, 2, 3, 4, 1, 1, 0, 0], [4, 3, 2, 1, 2, 2, 2, 3]])
    monkeypatch.setattr(module, "phase", said_in)
    said.clear()
    (pattern,) = find_patterns(network, spec, tokens, np.array([3, 8]))
    one_hot, attributions = asked[0]
    assert one_hot.shape == attributions.shape == (2, 8, 4) and len(asked) == 1
    assert one_hot.sum(axis=2).tolist() == [[1] * 6 + [0] * 2, [1] * 8]
    assert one_hot[1].argmax(axis=1).tolist() == [3, 2, 1, 0, 1, 1, 1, 2]
    assert pattern.sites.rows.tolist() == [8] and pattern.sites.anchors.tolist() == [0]
    assert "2 sequences for yes (integrated-gradients)" in said[0]


def test_a_match_with_a_part_of_a_long_motif_says_which(
    model: CNN1D, given: Read, patterns: list[EvidencePattern]
) -> None:
    known = Known(None, [Pattern("part", certain(ONE)), *others()])
    one, _ = families(WithoutFilters(model), given, patterns, known).found
    assert one.match is not None and in_words(one, "nats").startswith(f"part ({one.reading}; q")
    width, counts = len(one.reading), one.group.pfm[one.group.part]
    group = replace(one.group, pfm=np.tile(counts, (3, 1)), part=slice(0, 3 * width))
    long = replace(one, group=group, reading=3 * one.reading)
    moved = replace(long, match=replace(one.match, offset=-width))
    said = f"part ({one.reading} in letters {width + 1} to {2 * width} of {3 * width}; q"
    assert in_words(moved, "nats").startswith(said)


def test_what_attributes_nothing_has_no_pattern() -> None:
    assert modisco(np.eye(4)[np.zeros((3, 30), int)], np.zeros((3, 30, 4))) == []


def test_attributions_without_a_threshold_have_no_pattern_and_end_no_run(
    spec: TaskSpec, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def of_one_sign(*_: Any, **settings: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setitem(
        sys.modules, "modiscolite.tfmodisco", SimpleNamespace(TFMoDISco=of_one_sign)
    )
    monkeypatch.setitem(sys.modules, "modiscolite", SimpleNamespace())
    monkeypatch.setattr(module, "_keep_to_threads", lambda: None)
    caplog.set_level(logging.INFO, "seqexp")
    network = CNN1D(spec, num_filters=2, filter_width=3).eval()
    tokens = torch.tensor([[1, 2, 3, 4, 1, 1, 4, 2]])
    assert find_patterns(network, spec, tokens, np.array([0])) == []
    assert "no patterns for yes" in caplog.text and "ZeroDivisionError: division" in caplog.text


def test_a_signal_within_modisco_ends_the_run_as_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(*given: Any, **settings: Any) -> None:
        try:
            raise Terminated
        except Terminated as error:
            raise SystemError("returned a result with an exception set") from error

    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", SimpleNamespace(TFMoDISco=stopped))
    monkeypatch.setitem(sys.modules, "modiscolite", SimpleNamespace())
    monkeypatch.setattr(module, "_keep_to_threads", lambda: None)
    with pytest.raises(Terminated):
        modisco(np.eye(4)[np.zeros((3, 30), int)], np.ones((3, 30, 4)))


def test_beside_a_sequence_are_letters_of_its_quiet_places() -> None:
    rng = np.random.default_rng(0)
    one_hot = np.eye(4)[rng.integers(0, 4, (5, 30))]
    one_hot[:, 25:] = 0
    attributions = rng.normal(0, 1, (5, 30, 4))
    there = (one_hot * attributions).sum(axis=2)[:, :25]
    letters, values = module._surrounded(one_hot, attributions)
    assert letters.shape == values.shape == (5, 30 + 2 * BESIDE, 4)
    inside = slice(BESIDE, BESIDE + 25)
    assert np.allclose(values[:, inside], attributions[:, :25], atol=1e-6)
    assert (letters[:, inside] == one_hot[:, :25]).all() and (letters.sum(axis=2) == 1).all()
    beside = np.delete((letters * values).sum(axis=2), range(BESIDE, BESIDE + 25), axis=1)
    assert np.abs(beside).max() <= np.median(np.abs(there)) + 1e-6
    assert len(np.unique(beside.round(5))) > 50


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not HAS_MODISCO, reason="modisco-lite is not installed")
def test_modisco_finds_where_a_motif_was_planted_on_both_strands() -> None:
    rng = np.random.default_rng(0)
    ids, attributions = rng.integers(0, 4, (600, 60)), rng.normal(0, 0.05, (600, 60, 4))
    planted = {}
    for row in range(0, 600, 2):
        letters = ONE if row % 4 else other_strand(ONE)
        start = int(rng.integers(0, 60 - len(ONE)))  # also at the ends
        numbers = [DNA.index(letter) for letter in letters]
        ids[row, start : start + len(ONE)] = numbers
        attributions[row, start : start + len(ONE)] -= 0.3
        attributions[row, np.arange(start, start + len(ONE)), numbers] += 1.3
        planted[row] = start, letters == ONE
    found = modisco(np.eye(4)[ids], attributions)
    pattern = aligned_sites(found[0], np.arange(600))
    sites = pattern.sites
    begins, _ = sites.spans(0, pattern.width)
    assert len(sites) > 100 and len(found) == 1
    # the motif is at one place of all windows
    away = [
        start - begin if is_forward else begin + pattern.width - start - len(ONE)
        for begin, (start, is_forward) in zip(
            begins, map(planted.__getitem__, sites.rows), strict=True
        )
    ]
    turned = [
        (direction == 1) != planted[row][1]
        for row, direction in zip(sites.rows, sites.directions, strict=True)
    ]
    assert len(set(turned)) == 1
    if turned[0]:
        away = [pattern.width - len(ONE) - one for one in away]
    assert len(set(away)) == 1


def certain(motif: str) -> np.ndarray:
    return np.array([[0.94 if DNA[i] == letter else 0.02 for i in range(4)] for letter in motif])


def others() -> list[Pattern]:
    rng = np.random.default_rng(0)
    return [Pattern(f"made {i}", rng.dirichlet([0.2] * 4, 14)) for i in range(60)]
