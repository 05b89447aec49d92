"""Regular expressions of others: those that are sound find what `re` finds, others end in words."""

import re
import time
from pathlib import Path

import pytest

from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError
from seqexp.formats import expressions
from seqexp.formats.expressions import expression_fault, found_in

NAMES = ["chr8:1", "chr7:22", "chrX", "", "a" * 40 + "!", "gène ü", "name\nof two\nlines"]


@pytest.mark.parametrize(
    "pattern", ["chr", "^chr(8|9):", "chr[0-9]+", ".*X$", "è", "(?i)CHRX", r"\d{2}", "^$", "a{3}b?"]
)
def test_what_is_found_is_what_re_finds(pattern: str) -> None:
    assert found_in(pattern, NAMES, "key") == [bool(re.search(pattern, name)) for name in NAMES]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x$", "^([a-z]+)*$"])
def test_an_expression_without_end_is_told_within_seconds(
    monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 1.0)
    began = time.monotonic()
    with pytest.raises(InputError, match="dataset.test_names is '.*, which was not found or miss"):
        found_in(pattern, NAMES, "dataset.test_names")
    assert time.monotonic() - began < 4
    assert expressions.LETTERS_A_SECOND >= 100_000


@pytest.mark.parametrize("pattern", ["(", "a{99999999999999}", "(" * 400, "a" * 1001, "*", "[b-a]"])
def test_what_is_no_expression_is_told(pattern: str) -> None:
    assert expression_fault(pattern) is not None
    with pytest.raises(InputError, match="key is '.*, which (is no regular expression|has 1,001)"):
        found_in(pattern, NAMES, "key")


def test_a_split_by_such_an_expression_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "SECONDS", 1.0)
    rows = [f"{'a' * 40}!{n}\t{n % 2}\t{'ACGT' * 6}" for n in range(8)]
    file = tmp_path / "table.tsv"
    file.write_text("id\tlabel\tsequence\n" + "\n".join(rows) + "\n")
    for key in ("test_names", "valid_names"):
        with pytest.raises(InputError, match=rf"dataset.{key} is '\(a\+\)\+\$'"):
            Fasta(table=str(file), **{key: "(a+)+$"}).load()
