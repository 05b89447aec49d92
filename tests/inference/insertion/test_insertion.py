"""Motifs in random backgrounds: what they add is what the filters of a made model give."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from interpret.filters.test_extraction import detector

from seqexp.cli.spacing import distances_of
from seqexp.data import Sequences
from seqexp.dataset.dna.shuffle import dinucleotide_shuffle
from seqexp.errors import InputError
from seqexp.inference.insertion.backgrounds import backgrounds, rows_of_test
from seqexp.inference.insertion.effects import (
    ORIENTATIONS,
    Inserting,
    marginal,
    mean_of,
    refuse_other_models,
    scores,
    shown_outputs,
    spaced,
)
from seqexp.inference.insertion.figure import spacing_figure
from seqexp.inference.insertion.motifs import Motif, motifs_of
from seqexp.inference.saved_model import SavedModel
from seqexp.model.cnn1d import CNN1D
from seqexp.spec import Output, TaskSpec, Vocabulary

DNA = ("A", "C", "G", "T")
SITE, OTHER = "ACCGGAAGTG", "TGACTCAGCA"


def rows(count: int = 12, time: int = 60) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(1, 5, (count, time)))


def saved(both_strands: bool = False, weights: tuple[float, float] = (2.0, 1.0)) -> SavedModel:
    """A filter a site, which gives 2 where it stands and nothing elsewhere; maxima add up."""
    spec = TaskSpec(Vocabulary(DNA), 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    model: CNN1D = detector(spec, SITE, OTHER)
    model.both_strands = both_strands
    with torch.no_grad():
        model.head.output.weight.zero_()  # type: ignore[union-attr, operator]
        model.head.output.weight[1] = torch.tensor(weights)  # type: ignore[union-attr, index]
    return SavedModel(model.eval(), spec, {})


@pytest.mark.parametrize("kind", ["shuffle", "composition"])
def test_backgrounds_keep_what_they_are_to_keep(kind: str) -> None:
    given = [np.concatenate([np.zeros(3, int), row, np.zeros(5, int)]) for row in rows()]
    found = backgrounds(given, kind, 30, 20, 4, seed=1)  # type: ignore[arg-type]
    assert len(found) == 30
    for one in found:
        assert (one.start, one.stop) == (3, 63) and not one.tokens[:3].any()
        assert (one.tokens[3:63] > 0).all() and not one.tokens[63:].any()
    again = backgrounds(given, kind, 30, 20, 4, seed=1)  # type: ignore[arg-type]
    assert all((a.tokens == b.tokens).all() for a, b in zip(found, again, strict=True))
    if kind == "shuffle":
        pairs = {tuple(np.bincount(r[:-1] * 5 + r[1:], minlength=25)) for r in rows()}
        own = [one.tokens[3:63] for one in found]
        assert {tuple(np.bincount(r[:-1] * 5 + r[1:], minlength=25)) for r in own} <= pairs
    assert dinucleotide_shuffle("ACGT", 0) == "ACGT"


def test_a_motif_adds_its_filter_times_the_weight_and_its_interval_is_students() -> None:
    model = saved(both_strands=True)
    found = backgrounds(rows(), "shuffle", 20, 10, 4, seed=0)
    inserting = Inserting(model, found, seed=0)
    (motif,) = motifs_of(SITE, "motif")
    adds = marginal(inserting, motif)[:, 1]
    # a filter gives 2 where its site is: a logit of 4, log-odds of 4, less what was there before
    assert np.allclose(adds, 4 - inserting.without[:, 1] + _other(model, found), atol=1e-5)
    mean = mean_of(np.array([1.0, 2.0, 3.0]))
    # t of 2 degrees of freedom at 97.5%: 4.302653
    assert mean.value == 2 and mean.high - 2 == pytest.approx(4.302653 / math.sqrt(3))
    assert math.isnan(mean_of(np.array([1.0])).low)


def _other(model: SavedModel, found: list) -> np.ndarray:  # type: ignore[type-arg]
    """What the second filter gives with the first motif there, on average of both strands."""
    (motif,) = motifs_of(SITE, "motif")
    without_first = SavedModel(saved(True, (0.0, 1.0)).model, model.spec, {})
    inserting = Inserting(without_first, found, seed=0)
    both = [inserting.scored((one, -5))[:, 1] for one in (motif, motif.turned())]
    mean: np.ndarray = (both[0] + both[1]) / 2
    return mean


def test_motifs_of_other_filters_add_up_and_two_of_one_do_not() -> None:
    found = backgrounds(rows(), "composition", 10, 40, 4, seed=0)
    inserting = Inserting(saved(both_strands=True), found, seed=0)
    (site,), (other,) = motifs_of(SITE, "motifs"), motifs_of(OTHER, "motifs")
    pairs = spaced(inserting, site, other, [0, 3])
    assert [(one.distance, one.orientation) for one in pairs[:4]] == [
        (0, orientation) for orientation in ORIENTATIONS
    ]
    for one in pairs:
        # 4 of the one and 2 of the other, less what backgrounds have
        assert np.allclose(one.together[:, 1], 6 - inserting.without[:, 1], atol=1e-5)
    twice = spaced(inserting, site, site, [0, 3])
    assert all((one.together < one.single - 1)[:, 1].all() for one in twice)
    curves = {name: np.ones((2, 2)) for name in ORIENTATIONS}
    intervals = {name: [mean_of(np.arange(3.0))] * 2 for name in ORIENTATIONS}
    assert len(spacing_figure("A, B", "nats", [0, 3], curves, curves, intervals).axes) == 4


def test_the_first_motif_stays_and_the_second_is_as_far_as_is_said() -> None:
    found = backgrounds(rows(1), "composition", 1, 30, 4, seed=0)
    seen: list[np.ndarray] = []

    class Looking(Inserting):
        def scored(self, *placed: tuple[Motif, int]) -> np.ndarray:
            if len(placed) == 2:
                seen.append(np.array([away for _, away in placed]))
            return super().scored(*placed)

    inserting = Looking(saved(), found, seed=0)
    spaced(inserting, motifs_of(SITE, "m")[0], motifs_of(OTHER, "m")[0], [0, 4, 9])
    assert {int(first) for first, _ in seen} == {-14}
    assert [int(second - first) - len(SITE) for first, second in seen[::4]] == [0, 4, 9]


def test_open_letters_are_drawn_and_n_leaves_what_is_there() -> None:
    (motif,) = motifs_of("TGASTCAn", "motif")
    drawn = {tuple(motif.drawn(np.random.default_rng(seed), Vocabulary(DNA))) for seed in range(20)}
    assert drawn == {(4, 3, 1, 2, 4, 2, 1, 0), (4, 3, 1, 3, 4, 2, 1, 0)}
    assert motif.letters == "TGASTCAN" and motif.turned().letters == "NTGASTCA"
    assert motifs_of("RYKMBDHV", "m")[0].turned().letters == "BDHVKMRY"


def test_of_a_matrix_letters_that_tell_are_put_in(tmp_path: Path) -> None:
    file = tmp_path / "one.jaspar"
    file.write_text(
        ">M1 one\nA [ 25 97 0 25 1 25 ]\nC [ 25 1 0 25 97 25 ]\n"
        "G [ 25 1 50 25 1 25 ]\nT [ 25 1 50 25 1 25 ]\n"
    )
    (motif,) = motifs_of(str(file), "motif")
    assert (motif.letters, len(motif)) == ("AGNC", 4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("TGAXTCA", "'X'"),
        ("NNNN", "leaves every letter open"),
        ("", "is empty; give a consensus"),
        ("there_is/none.meme", "there is no such file"),
    ],
)
def test_what_is_no_motif_is_refused(given: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        motifs_of(given, "motif")


@pytest.mark.parametrize(
    ("given", "found"),
    [("0-3", [0, 1, 2, 3]), ("3,1,5", [1, 3, 5]), ("0-20:10,5", [0, 5, 10, 20])],
)
def test_distances_are_ranges_and_numbers(given: str, found: list[int]) -> None:
    assert distances_of(given) == found


@pytest.mark.parametrize("given", ["", "a", "5-3", "0-5:0", "-3", "0-100000", "1.5"])
def test_other_distances_are_refused(given: str) -> None:
    with pytest.raises(InputError, match="distances is"):
        distances_of(given)


def test_a_motif_that_does_not_fit_is_refused_with_both_lengths() -> None:
    with pytest.raises(InputError, match="70 letters are put in, but the longest sequence has 60"):
        backgrounds(rows(), "shuffle", 5, 70, 4, seed=0)


def test_scores_are_log_odds_of_each_class() -> None:
    spec = TaskSpec(Vocabulary(DNA), 3, Output.SEQUENCE_CLASS, ("a", "b", "c"))
    model = detector(spec, SITE)
    found = scores(SavedModel(model.eval(), spec, {}), rows(2))
    shares = 1 / (1 + np.exp(-found))
    assert np.allclose(shares.sum(axis=1), 1) and shown_outputs(spec) == [0, 1, 2]


def test_padding_stays_only_where_a_model_reads_one_length() -> None:
    tokens = torch.tensor([[1, 2, 3, 0, 0], [1, 2, 3, 4, 1]])
    spec = TaskSpec(Vocabulary(DNA), 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    found = rows_of_test(Sequences(tokens, torch.zeros(2, 1, dtype=torch.long)), spec)
    assert [len(row) for row in found] == [3, 5]


def test_models_that_predict_at_each_position_are_refused() -> None:
    spec = TaskSpec(Vocabulary(DNA), 4, Output.NEXT_TOKEN, DNA)
    with pytest.raises(InputError, match="no one prediction a sequence"):
        refuse_other_models(spec)
    words = TaskSpec(Vocabulary(("a", "b")), 2, Output.SEQUENCE_CLASS, ("no", "yes"))
    with pytest.raises(InputError, match="put into DNA"):
        refuse_other_models(words)
