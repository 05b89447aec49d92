"""Files of a token and its label a line: which line begins a sequence, and what a header is."""

from pathlib import Path

from seqexp.formats.two_columns import Labelled, read_labelled


def test_sequences_know_their_first_line_and_quotation_marks_are_characters(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('token\tlabel\n\n"a\tX\nb"\tY\n\n\n"\tX\n')
    assert list(read_labelled(path)) == [
        Labelled(3, ('"a', 'b"'), ("X", "Y")),
        Labelled(7, ('"',), ("X",)),
    ]


def test_a_first_line_of_two_common_words_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("word\tNOUN\nhas spaces in\tX\n")
    (found,) = read_labelled(path)
    assert found.tokens == ("word", "has spaces in")
