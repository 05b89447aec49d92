"""How certain decoded letters are, and whether they are right as often."""

import numpy as np
import pytest

from seqexp.decode.consensus.reliability import (
    calibration_error,
    certainties,
    reliability,
    runs,
    same_letters,
)


def test_letters_that_another_sequence_has_too() -> None:
    assert same_letters("ACGT", "ACGT") == [0, 1, 2, 3]
    assert same_letters("ACGT", "ATGT") == [0, 2, 3]
    assert same_letters("ACGT", "ACT") == [0, 1, 3]
    assert same_letters("ACT", "ACGT") == [0, 1, 2]
    assert same_letters("ACT", "") == []


def test_a_bin_has_the_share_of_wrong_letters_and_what_was_expected() -> None:
    bins = reliability([("ACGT", [0.75] * 4, "ACGA"), ("GG", [1.0, 0.75], "GC")])
    some = [one for one in bins if one.letters]
    assert [(one.letters, one.expected, one.observed) for one in some] == [
        (1, 0.0, 0.0),
        (5, pytest.approx(0.25), pytest.approx(0.4)),
    ]
    assert calibration_error(bins) == pytest.approx(0.15 * 5 / 6)


def test_a_letter_is_as_certain_as_candidates_and_edits_leave_it() -> None:
    best, scores = "AAC", np.array([0.0, -3.0])
    is_same = np.array([[True, True, True], [True, True, False]])
    gains = np.full((4, 9), -np.inf)
    alone = certainties(best, scores, is_same, gains, has_length=False)
    assert alone[0] == alone[1] > 0.999 > alone[2] > 0.5
    gains[0, 4] = gains[1, 4] = -1.0  # one A too many, at whichever place
    less = certainties(best, scores, is_same, gains, has_length=False)
    assert less[0] == less[1] < 0.97 and less[2] == alone[2]
    # of a known length it would have to be mended by an insertion, which is impossible
    assert certainties(best, scores, is_same, gains, has_length=True) == alone
    assert runs("AACGGG") == [2, 2, 1, 3, 3, 3]
