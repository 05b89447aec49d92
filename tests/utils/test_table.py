"""Tables of text."""

from seqexp.utils.table import markdown, pairs


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
