"""Tables and JSON lines: every row as an independent writer wrote it, or a refusal in words."""

import csv
import gzip
import io
import json
import random
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats.records import read_json_lines, read_table, text_value


def rows(folder: Path, content: str | bytes, name: str = "t.tsv") -> list[list[str]]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [row.fields for row in read_table(file)]


def written(records: list[list[str]], separator: str, quoting: int) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, quoting=quoting, lineterminator="\n").writerows(records)
    return out.getvalue()


ODD = [
    'a "quoted" field',
    '"all of it"',
    "a\ttab, and a comma",
    "two\nlines",
    "two\n\nparagraphs, the second\twith a tab",
    '"',
    '""',
    'ends with "',
    "",
    " blanks ",
    "x" * 200_000,
    "nul\x00",
]


@pytest.mark.parametrize(("name", "separator"), [("t.csv", ","), ("t.tsv", "\t")])
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_pandas_and_excel_write_is_read(
    tmp_path: Path, name: str, separator: str, quoting: int, end: str
) -> None:
    wanted = [["", "text", "label"], *([str(i), text, "1"] for i, text in enumerate(ODD))]
    content = written(wanted, separator, quoting).replace("\n", end)
    assert rows(tmp_path, content, name) == wanted
    assert (
        rows(tmp_path, gzip.compress(b"\xef\xbb\xbf" + content.encode(), mtime=0), name) == wanted
    )


def test_random_fields_are_read_as_they_were_written(tmp_path: Path) -> None:
    generator = random.Random(1)
    pieces = ["a", '"', '""', ",", "b c", "\n", 'x"', "é"]
    for _ in range(300):
        width = generator.randint(2, 4)
        wanted = [[f"c{i}" for i in range(width)]]
        for _ in range(4):
            texts = ("".join(generator.choices(pieces, k=5)) for _ in range(width - 1))
            wanted.append(["k", *texts])
        assert rows(tmp_path, written(wanted, ",", csv.QUOTE_MINIMAL), "t.csv") == wanted


def test_stray_quotes_of_a_tab_separated_table_swallow_no_row(tmp_path: Path) -> None:
    records = [["id", "note", "n"], *([f"s{i}", "note", str(i)] for i in range(40))]
    for place, note in ((5, '"open'), (9, 'clos"'), (20, '"open'), (30, '"'), (39, '"at the end')):
        records[place][1] = note
    records[12][2] = '"last'
    content = "".join("\t".join(row) + "\n" for row in records)
    assert rows(tmp_path, content) == records


def test_a_stray_quote_of_a_comma_separated_table_is_refused_or_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for content, says in (
        ('a,b\n1,"open\n2,x\n', "line 2: is malformed .a quotation mark opens a field here that"),
        ('a,b\n1,"open\n2,"open\n', "line 2: is malformed"),
    ):
        with pytest.raises(InputError, match=says):
            rows(tmp_path, content, "t.csv")
    assert not caplog.text
    rows(tmp_path, 'a,b,c\n1,x,"open\n2,x,y\n3,x,closed"\n', "t.csv")  # by RFC 4180, one row
    assert "line 2: a quoted field goes on to line 4, over lines that look like rows" in caplog.text


def test_blank_lines_and_rows_are_omitted_and_names_have_no_blanks(tmp_path: Path) -> None:
    content = "\n a , b \n\n1,2\n,\n   \n3,4"
    assert rows(tmp_path, content, "t.csv") == [["a", "b"], ["1", "2"], ["3", "4"]]


def test_the_first_line_says_what_parts_columns_that_the_name_does_not(tmp_path: Path) -> None:
    for name in ("t.csv", "T.TSV", "t.txt", "t"):
        assert rows(tmp_path, "a\tb\n1\t2\n", name) == [["a", "b"], ["1", "2"]]
        assert rows(tmp_path, "a,b\n1,2\n", name) == [["a", "b"], ["1", "2"]]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("text;label\na;1\n", "line 1: is 'text;label': columns parted by semicolons; save"),
        ("text|label\na|1\n", "parted by vertical bars"),
        ("sep=;\ntext;label\n", "line 1: is 'sep=;', which Excel writes for itself; remove"),
        ("a,b\n1,2\n3\n", "line 3: has 1 fields, but the first line names 2 columns"),
        ("a,b\nx,1,2\n", "name the first column too .R: row.names=FALSE"),
        ('a,b\n"x\ny",1\nx,1,2\n', "line 4: has 3 fields.*a comma needs quotes"),
        ('a,b\n"x"y,1\n', "line 2: is malformed"),
        (b"a,b\n\xff,1\n", "line 2: is not UTF-8"),
        (b"PK\x03\x04", "is a ZIP archive or a spreadsheet"),
    ],
)
def test_a_table_that_is_not_sound_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        rows(tmp_path, content, "t.csv")


def test_a_field_that_is_opened_needs_its_end_within_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqexp.formats.records.MAX_LINE", 100)
    endless = "x" * 60 + "\n"
    for name, separator in (("t.csv", ","), ("t.tsv", "\t")):
        with pytest.raises(InputError, match="line 2: .*longer than 100 characters"):
            rows(tmp_path, f'a{separator}b\n1{separator}"{endless * 9}', name)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv"])
def test_columns_without_end_are_refused_before_they_are_parted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("seqexp.formats.records.MAX_COLUMNS", 50)
    many = {"t.csv": ",", "t.tsv": '"x\t'}[name] * 100
    with pytest.raises(InputError, match="names more than 50 columns"):
        rows(tmp_path, many, name)
    with pytest.raises(InputError, match="line 2: (has 101 fields|.*more than 50 tabs)"):
        rows(tmp_path, f"a{many[-1]}b\n{many}x", name)


# --- JSON lines -------------------------------------------------------------------------------


def values(folder: Path, content: str) -> list[dict[str, object]]:
    file = folder / "t.jsonl"
    file.write_text(content, encoding="utf-8", newline="")
    return [row.values for row in read_json_lines(file)]


def test_objects_are_read_a_line_each(tmp_path: Path) -> None:
    wanted = [{"text": "é \U0001f600 \u2028 x", "n": 1}, {"text": "", "n": None, "more": [{}]}]
    for ascii_only in (True, False):
        lines = [json.dumps(one, ensure_ascii=ascii_only) for one in wanted]
        assert values(tmp_path, "\ufeff" + "\r\n\n".join(lines)) == wanted


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": 1}\n{"a"\n', "line 2: is no JSON"),
        ('[{"a": 1},\n{"a": 2}]\n', "line 1: is no JSON by itself; give one object a line"),
        ('[{"a": 1}]\n', "line 1: is no JSON object.*an array; give one object a line"),
        ('{\n"a": 1\n}\n', "line 1: is no JSON by itself"),
        ("3\n", "line 1: is no JSON object"),
        ('{"a": 1, "a": 2}\n', "line 1: has the key 'a' twice"),
        ("[" * 100_000 + "\n", "line 1: is nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}\n", "line 1: holds a number that is too long"),
    ],
)
def test_lines_that_are_no_objects_are_refused_in_words(
    tmp_path: Path, content: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        values(tmp_path, content)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"text": "a \\ud83d"}', "text has .ud83d, half of a surrogate pair, at character 3"),
        ('{"text": null}', "text is null, which is no text"),
        ('{"text": NaN}', "text is NaN, which is no text"),
        ('{"text": ["a"]}', "which is no text"),
        ('{"txt": "a"}', "has no column 'text'; did you mean 'txt'"),
    ],
)
def test_a_value_that_is_no_text_is_refused(tmp_path: Path, line: str, says: str) -> None:
    (record,) = values(tmp_path, line)
    with pytest.raises(InputError, match=says):
        text_value(record, "text", "t.jsonl, line 1")


def test_keys_within_values_may_repeat_those_of_the_line(tmp_path: Path) -> None:
    assert values(tmp_path, '{"a": {"a": 1}, "b": [{"a": 2}, {"a": 3}]}')
