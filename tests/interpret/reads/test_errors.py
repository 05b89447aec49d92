"""Errors of reads by alignment, and the pictures of them."""

import numpy as np
import pytest

from seqexp.interpret.reads.errors import Column, align_all, columns, error_profile
from seqexp.interpret.reads.figures import alignment_figure, profile_figure


def test_an_alignment_names_the_place_of_each_error() -> None:
    assert list(columns("AGT", "ACGT")) == [
        Column(0, "A", "A"),
        Column(1, "-", "C"),
        Column(2, "G", "G"),
        Column(3, "T", "T"),
    ]
    assert [column for column in columns("ACGTA", "ACGT") if column.truth == "-"] == [
        Column(4, "A", "-")
    ]
    assert list(columns("", "AC")) == [Column(0, "-", "A"), Column(1, "-", "C")]
    assert list(columns("A", "")) == [Column(0, "A", "-")]


def test_rows_are_equally_long_and_spell_their_sequences() -> None:
    truth, sequences = "ACGT", ["ACGT", "AGT", "GGACGT", "ACGTC", "ATCGT", ""]
    aligned = align_all(sequences, truth)
    assert {len(row) for row in aligned.rows} == {len(aligned.truth)} == {len(aligned.is_place)}
    assert [row.replace("-", "") for row in aligned.rows] == sequences
    assert aligned.truth == "--A-CGT-"
    assert aligned.rows[2] == "GGA-CGT-"
    assert sum(aligned.is_place) == 4


def test_a_profile_counts_errors_where_they_are() -> None:
    # a letter lost at the second place; G for the last T; a letter too many before the first
    pairs = [("AGT", "ACGT"), ("ACGG", "ACGT"), ("TACGT", "ACGT")]
    profile = error_profile(pairs, num_parts=4)
    np.testing.assert_array_equal(profile.deleted, [0, 1, 0, 0])
    np.testing.assert_array_equal(profile.wrong, [0, 0, 0, 1])
    np.testing.assert_array_equal(profile.inserted, [1, 0, 0, 0])
    np.testing.assert_array_equal(profile.bases, [3, 3, 3, 3])
    expected = np.diag([3.0, 2.0, 3.0, 2.0])
    expected[3, 2] = 1
    np.testing.assert_array_equal(profile.substituted, expected)
    rates = profile.rates()
    assert rates == pytest.approx(
        dict.fromkeys(("insertions", "deletions", "substitutions"), 1 / 12)
    )


@pytest.mark.parametrize("truth", ["ACGT" * 40, None])
def test_the_alignment_is_drawn_with_what_is_wrong(truth: str | None) -> None:
    decoded = "ACGT" * 39 + "ACTT"
    reads = ["ACGT" * 39, "ACGT" * 20 + "C" + "ACGT" * 20, decoded]
    figure = alignment_figure(reads, decoded, truth, [0.5] * len(decoded), "three reads")
    figure.canvas.draw()
    first, strip, second, _ = figure.axes
    names = [label.get_text() for label in first.get_yticklabels()]
    own = ["truth", "decoded"] if truth else ["decoded"]
    assert names == [*own, "read 1", "read 2", "read 3"]
    # own sequences are written out, of the reads only what is wrong: here one C too many
    written = [text.get_text() for axes in (first, second) for text in axes.texts]
    assert len(written) >= sum(len(s) for s in (truth or "", decoded)) + 1
    assert len(strip.patches) == 120  # one bar a column


def test_profiles_are_drawn_before_and_after_on_one_scale() -> None:
    before = [("AGT" * 10, "ACGT" * 10), ("ACGG" * 10, "ACGT" * 10)]
    figure = profile_figure(before, [("ACGT" * 10, "ACGT" * 10)], "before and after")
    figure.canvas.draw()
    titles = [axes.get_title() for axes in figure.axes]
    # 10 deletions and 10 substitutions in 80 letters
    assert titles[0] == "reads: 25 errors a hundred letters"
    assert titles[2] == "decoded: 0 errors a hundred letters"
    assert figure.axes[0].get_ylim() == figure.axes[2].get_ylim()
