"""The beginning of one sequence and the end of another."""

from seqexp.decode.join import join


def test_a_right_beginning_and_a_right_end_make_the_whole() -> None:
    truth = "ACGTTGCAACGGATCTTAGC"
    forward = truth[:14] + "GGG"  # goes wrong towards its end
    backward = "TTT" + truth[5:]  # and this one towards its beginning
    assert truth in join(forward, backward)


def test_two_that_are_equal_join_to_the_same() -> None:
    assert join("ACGTACGT", "ACGTACGT") == ["ACGTACGT"] * 3


def test_an_empty_one_joins_with_nothing() -> None:
    assert join("", "ACGT") == join("ACGT", "") == []


def test_the_place_of_a_cut_follows_insertions_and_deletions() -> None:
    # the second lacks the G before the cut at half of the first, and has a T more after it
    (_, half, _) = join("ACGTAAAA", "ACTATAAA")
    assert half == "ACGT" + "ATAAA"
