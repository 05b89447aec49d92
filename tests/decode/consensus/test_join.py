"""The beginning of one sequence and the end of another."""

from collections.abc import Sequence

from seqexp.decode.consensus.baselines import edit_distance
from seqexp.decode.consensus.join import best_join, join
from seqexp.decode.consensus.rank import Ranked


def test_a_right_beginning_and_a_right_end_make_the_whole() -> None:
    truth = "ACGTTGCAACGGATCTTAGC"
    forward = truth[:14] + "GGG"  # goes wrong towards its end
    backward = "TTT" + truth[5:]  # and this one towards its beginning
    assert truth in join(forward, backward)


def test_two_that_are_equal_join_to_the_same() -> None:
    assert join("ACGTACGT", "ACGTACGT") == ["ACGTACGT"] * 7


def test_an_empty_one_joins_with_nothing() -> None:
    assert join("", "ACGT") == join("ACGT", "") == []


def test_the_place_of_a_cut_follows_insertions_and_deletions() -> None:
    # the second lacks the G before the cut at half of the first, and has a T more after it
    half = join("ACGTAAAA", "ACTATAAA")[3]
    assert half == "ACGT" + "ATAAA"


def test_joins_of_joins_mend_what_no_candidate_has_right() -> None:
    truth = "ACGTTGCAACGGATCTTAGCTTACGGATCCAT"
    wrong = [
        truth[:3] + "A" + truth[4:20] + truth[21:],  # right in the middle only
        truth[:12] + "T" + truth[12:],  # right but for the middle
        "G" + truth[:28] + truth[29:],
    ]

    def ranked(candidates: Sequence[str]) -> list[Ranked]:
        scores = {one: -float(edit_distance(one, truth)) for one in candidates}
        return [Ranked(*pair) for pair in sorted(scores.items(), key=lambda pair: -pair[1])]

    assert best_join(wrong, ranked)[0].candidate == truth
    assert best_join([truth], ranked)[0].candidate == truth
