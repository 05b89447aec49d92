"""Tables of text."""

from seqexp.utils.table import filled, fitted, markdown, pairs, wrapped


def test_columns_are_aligned() -> None:
    assert markdown(["a", "long name"], [["1", "x"], ["12345", ""]]).splitlines() == [
        "| a     | long name |",
        "| ---   | ---       |",
        "| 1     | x         |",
        "| 12345 |           |",
    ]
    assert markdown(["", ""], []) == "|     |     |\n| --- | --- |"


def test_values_stand_below_each_other() -> None:
    rows = [("run id", "abc"), ("x", "1")]
    assert pairs(rows) == "  run id  abc\n  x       1"
    assert pairs(rows, width=8) == "  run id    abc\n  x         1"
    assert pairs([]) == ""


LONG = ["model=lstm dataset.path=/data/reviews.csv trainer.epochs=4", "to run", "0.12 ± 0.01"]


def test_a_table_that_fits_stays_as_it_is() -> None:
    header, rows = ["run", "state", "loss"], [LONG]
    assert fitted(header, rows, None) == markdown(header, rows) == fitted(header, rows, 85)


def test_cells_of_a_wider_table_take_several_lines() -> None:
    assert fitted(["run", "state", "loss of the test"], [LONG], 60).splitlines() == [
        "| run                          | state  | loss of the test |",
        "| ---                          | ---    | ---              |",
        "| model=lstm dataset.path=/    | to run | 0.12 ± 0.01      |",
        "| data/reviews.csv             |        |                  |",
        "| trainer.epochs=4             |        |                  |",
    ]


def test_columns_that_have_no_room_follow_below_and_nothing_is_lost() -> None:
    header = [f"column {number}" for number in range(9)]
    rows = [[f"{row} value {number}" for number in range(9)] for row in "ab"]
    text = fitted(header, rows, 40)
    assert max(map(len, text.splitlines())) <= 40
    tables = text.split("\n\n")
    assert all(table.startswith("| column 0 ") for table in tables)
    for cell in [*header, *rows[0], *rows[1]]:
        assert text.count(cell) == (len(tables) if cell.endswith(" 0") else 1)


def test_a_line_ends_between_words_and_in_a_long_word_after_a_sign() -> None:
    assert wrapped("one two three", 8) == ["one two", "three"]
    assert wrapped("seed=0,1,2,3", 9) == ["seed=0,1,", "2,3"]
    assert wrapped("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrapped("", 4) == [""]
    assert filled("a sentence of words", 12) == "a sentence\n  of words"


def test_what_is_to_be_copied_is_not_cut() -> None:
    rows = [("note", "some words that are many"), ("page", "http://127.0.0.1:5000/#/runs/0123")]
    assert pairs(rows, most=28).splitlines() == [
        "  note  some words that are",
        "        many",
        "  page  http://127.0.0.1:5000/#/runs/0123",
    ]
