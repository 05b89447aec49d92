"""Where the evidence is: a network whose every response is known by hand."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seqexp.dataset.motif import Motif
from seqexp.interpret.filters.windows import effects_on_output
from seqexp.interpret.panels import HeatMap, Logo
from seqexp.interpret.saliency.figure import called, panels_of, planted, where_figure, window_of
from seqexp.interpret.saliency.mutagenesis import Trace, agreement, mutagenesis, trace
from seqexp.model.cnn1d import CNN1D
from seqexp.model.lstm import LSTM
from seqexp.spec import TaskSpec
from seqexp.utils.panels import Curves

DNA = ("A", "C", "G", "T")


def tokens(text: str) -> torch.Tensor:
    return torch.tensor(["-ACGT".index(letter) for letter in text])


def detector(spec: TaskSpec, site: str, strands: Any = "forward") -> CNN1D:
    """The logit of the second output is how many letters of the best window agree, less two."""
    spec = replace(spec, length=None)
    model = CNN1D(spec, num_filters=1, filter_width=len(site), strands=strands)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for place, letter in enumerate(site):
            model.conv.weight[0, DNA.index(letter), place] = 1
        model.conv.bias.fill_(-2)
        model.head.output.weight[1] = 1
    return model.eval()


def test_changes_are_what_each_replacement_does(dna_spec: TaskSpec) -> None:
    found = trace(detector(dna_spec, "ACG"), tokens("TTTTACGTTT---"), DNA, output=1)
    assert found.letters == "TTTTACGTTT" and found.margin == 1
    expected = np.zeros((10, 4))
    for place, letter in ((4, 0), (5, 1), (6, 2)):
        expected[place] = -1  # two of three agree: the logit is 0
        expected[place, letter] = 0
    np.testing.assert_array_equal(found.changes, expected)
    np.testing.assert_array_equal(found.importance, [0, 0, 0, 0, 1, 1, 1, 0, 0, 0])
    assert found.tracks.tolist() == [[0, 0, 0, 0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(found.covered(np.ones(1)), found.importance)


def test_a_letter_that_stands_in_the_way_has_a_negative_importance(dna_spec: TaskSpec) -> None:
    found = trace(detector(dna_spec, "ACGA"), tokens("TTTTACGTTT"), DNA, output=1)
    assert found.margin == 1 and found.changes[7].tolist() == [1, 0, 0, 0]
    assert found.importance[7] == pytest.approx(-1 / 3)


def test_one_output_is_traced_as_the_two_it_stands_for(dna_spec: TaskSpec) -> None:
    two = detector(dna_spec, "ACG")
    one = CNN1D(replace(dna_spec, length=None, num_outputs=1), num_filters=1, filter_width=3)
    with torch.no_grad():
        one.conv.load_state_dict(two.conv.state_dict())
        one.head.output.weight.fill_(1)
        one.head.output.bias.fill_(0)
    text = tokens("TTTTACGTTT")
    for output in (0, 1):
        expected, found = (trace(model.eval(), text, DNA, output) for model in (two, one))
        assert found.margin == expected.margin == (1 if output == 1 else -1)
        np.testing.assert_array_equal(found.changes, expected.changes)
    for expected, found in zip(
        effects_on_output(two, text[None]), effects_on_output(one, text[None]), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_the_other_strand_is_traced_to_where_it_stands(dna_spec: TaskSpec) -> None:
    found = trace(detector(dna_spec, "AAC", "both"), tokens("CCCCGTTCCC"), DNA, output=1)
    assert found.margin == 1  # GTT is AAC on the other strand
    np.testing.assert_array_equal(found.importance > 0.9, np.isin(np.arange(10), (4, 5, 6)))
    assert found.tracks[0].argmax() == 4


def test_any_classifier_can_be_traced_in_parts(
    dna_spec: TaskSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = LSTM(dna_spec, hidden_size=4).double().eval()
    row = tokens("ACGTACGTAC")
    whole = mutagenesis(model, row, 4, 1)
    monkeypatch.setattr("seqexp.interpret.saliency.mutagenesis.TOGETHER", 70)
    np.testing.assert_allclose(mutagenesis(model, row, 4, 1), whole, atol=1e-12)
    changed = row.clone()
    changed[3] = 1
    logits = [model(tokens_[None])[0][0, 0] for tokens_ in (changed, row)]
    margins = [(logit[1] - logit[0]).item() for logit in logits]
    assert whole[3, 0] == pytest.approx(margins[0] - margins[1])
    found = trace(model, row, DNA, 1)
    assert found.tracks.size == 0 and where_figure([found], DNA, [], "motif")


def test_sequences_shorter_than_a_filter_have_no_track(dna_spec: TaskSpec) -> None:
    found = trace(detector(dna_spec, "ACGTACGT"), tokens("ACG-------"), DNA, output=1)
    assert found.tracks.shape == (1, 0) and len(found.importance) == 3


def test_agreement_with_what_was_planted_is_an_area_over_all_letters() -> None:
    planted = np.array([False, True, True, False])
    changes = np.zeros((4, 4))
    changes[1:3] = -1
    one = Trace("ACGT", 1.0, changes, np.array([[0.0, 0, 1]]), 2, planted)
    # importance finds both; the filter's window covers the last two, of which one is planted:
    # of four pairs one is right, one wrong and two are ties
    found = agreement([one], np.ones(1))
    assert found == {"motif/mutagenesis_auroc": 1.0, "motif/activation_auroc": 0.5}
    assert agreement([replace(one, planted=None)], np.ones(1)) == {}
    assert agreement([one], np.zeros(0)) == {"motif/mutagenesis_auroc": 1.0}


def test_a_figure_shades_what_was_planted(dna_spec: TaskSpec) -> None:
    mask = torch.zeros(13, dtype=torch.bool)
    mask[4:7] = True
    found = trace(detector(dna_spec, "ACG"), tokens("TTTTACGTTT---"), DNA, 1, mask)
    assert planted(found) == [(5, 7)] and planted(replace(found, planted=None)) == []
    png = where_figure([found, found], DNA, [0], "motif")
    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert image.shape == (2 * (50 + 3 * 200), 1200, 3)
    shaded = (image == (0xFD, 0xF0, 0xD5)).all(axis=2)
    columns = np.flatnonzero(shaded.any(axis=0))
    letter = (1140 - 95) / 10.2  # ten, and 0.1 at each side
    assert columns.min() == pytest.approx(95 + 4.1 * letter, abs=2)
    assert columns.max() == pytest.approx(95 + 7.1 * letter, abs=2)


def test_panels_of_a_sequence_are_what_was_measured(dna_spec: TaskSpec) -> None:
    found = trace(detector(dna_spec, "ACG"), tokens("TTTTACGTTT"), DNA, 1)
    curves, changes, importance = panels_of(found, (2, 8), 6, DNA, [0])
    assert isinstance(curves, Curves) and list(curves.points) == ["filter 0"]
    where, values = curves.points["filter 0"]
    assert where[0] == 2 and where[np.argmax(values)] == 6  # middles of windows
    assert isinstance(changes, HeatMap) and isinstance(importance, Logo)
    assert changes.places == importance.places == (3, 8) and curves.across == (2.4, 8.6)
    assert changes.first == importance.first == 3
    np.testing.assert_array_equal(changes.weights, found.changes[2:8])
    assert importance.heights.argmax(axis=1)[2:5].tolist() == [0, 1, 2]  # A, C, G
    np.testing.assert_allclose(importance.heights.sum(axis=1), found.importance[2:8])


def test_the_simulated_data_say_where_the_motif_is() -> None:
    data = Motif(num_train=3, num_valid=0, num_test=50, placement="uniform").load()
    planted = data.test.planted
    assert planted is not None
    assert planted[:50].sum(dim=1).tolist() == [18] * 50 and not planted[50:].any()
    starts = planted[:50].int().argmax(dim=1)
    letters = torch.stack(
        [row[s : s + 18] for row, s in zip(data.test.tokens, starts, strict=False)]
    )
    # the first letter of MA0149.1 is always G
    assert (letters[:, 0] == 3).all()
    assert len(starts.unique()) > 5


def test_a_long_sequence_is_shown_in_a_window_around_its_evidence(dna_spec: TaskSpec) -> None:
    text = "T" * 150 + "ACG" + "T" * 87
    name = "chr2:1000-1240(-)"
    found = trace(detector(dna_spec, "ACG"), tokens(text), DNA, 1, name=name)
    assert where_figure([found], DNA, [0], "motif")
    start, stop = window_of(found)
    assert stop - start == 80 and start < 150 and stop > 153
    place = f"chr2:{1240 - stop}-{1240 - start}(-)"
    letters = f"letters {start + 1} to {stop} of 240"
    assert called(found, 0, start, stop) == f"test sequence 1, {name}, {letters} ({place})"
    short = trace(detector(dna_spec, "ACG"), tokens(text[:100]), DNA, 1)
    assert window_of(short) == (0, 100)
