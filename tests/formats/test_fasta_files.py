"""FASTA and FASTQ as tools write them, letter by letter, and what is refused."""

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats import fasta
from seqexp.formats.dna import dna, either_strand, reverse_complement
from seqexp.formats.fasta import read_fasta, read_fastq

READS = {"a": "ACGTACGTAC", "b": "GGGTT", "c": ""}
QUALITIES = {"a": "@IIIII@III", "b": "+@@@@", "c": ""}


def fasta_of(width: int) -> str:
    lines = (
        f"> {name} of a test\n" + "".join(f"{s[i : i + width]}\n" for i in range(0, len(s), width))
        for name, s in READS.items()
    )
    return "".join(lines)


def fastq_of(width: int) -> str:
    def cut(text: str) -> str:
        return "\n".join(text[i : i + width] for i in range(0, len(text), width))

    return "".join(
        f"@{name} of a test\n{cut(s)}\n+{name if name == 'b' else ''}\n{cut(QUALITIES[name])}\n"
        for name, s in READS.items()
    )


@pytest.mark.parametrize("width", [3, 100])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_records_are_read_from_lines_of_every_kind(
    tmp_path: Path, width: int, end: str, mark: str
) -> None:
    for text, read in ((fasta_of(width), read_fasta), (fastq_of(width), read_fastq)):
        content = (mark + text.replace("\n", end)).encode()
        for packed in (
            content,
            gzip.compress(content[:9], mtime=0) + gzip.compress(content[9:], mtime=0),
        ):
            (tmp_path / "r").write_bytes(packed)
            found = list(read(tmp_path / "r"))
            assert {entry.name: entry.letters for entry in found} == READS
            assert [entry.header for entry in found] == [f"{name} of a test" for name in READS]
            assert [entry.number for entry in found] == [1, 2, 3]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("ACGT\n", "begins with 'ACGT'; expected is FASTA"),
        (";made by\n>a\nACGT\n", "begins with ';made by'"),
        (">a\nACGT\n;made by\n", "line 3: is a comment .* in the record 'a'"),
    ],
)
def test_a_file_that_is_no_fasta_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(InputError, match=says):
        list(read_fasta(tmp_path / "r"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("@a\nACGT\n+\nIII\n", "line 1: .* 'a' has 4 letters, but 3 qualities: it is cut off"),
        ("@a\nACGT\n+\nIII\n@b\nACGT\n+\nIIII\n", "line 1: .* 'a' has 4 letters, but another num"),
        ("@a\nACGT\n+\nIIIII\n", "'a' has 4 letters, but another number of qualities"),
        ("@a\nAC\n+\nII\n@b\nAC\n", "line 5: .* 'b' has no line that begins with '\\+'"),
        ("@a\nAC\n+\nII\nAC\n", "line 5: .* it begins with 'AC', not '@'"),
        ("@a\nAC\n+b\nII\n", "'a' is called 'b' after '\\+'"),
        ("@a\nACGT\n@b\nACGT\n", "'a' has no line that begins with '\\+'"),
        (">a\nACGT\n", "begins with '>a', not '@'"),
    ],
)
def test_a_record_of_fastq_that_is_not_whole_is_refused(
    tmp_path: Path, content: str, says: str
) -> None:
    (tmp_path / "r").write_text(content)
    with pytest.raises(InputError, match=says):
        list(read_fastq(tmp_path / "r"))


def test_a_record_without_end_is_refused_before_it_fills_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fasta, "MAX_LETTERS", 1000)
    for start, read in ((">a\n", read_fasta), ("@a\n", read_fastq)):
        (tmp_path / "r").write_text(start + "ACGT\n" * 1000)
        with pytest.raises(InputError, match="line 1: the record 'a' has more than 1,000 letters"):
            list(read(tmp_path / "r"))


def test_a_small_file_that_unpacks_to_an_endless_line_is_refused(tmp_path: Path) -> None:
    def blocks() -> Iterator[bytes]:
        yield b">a\n"
        yield from (b"A" * 2**20 for _ in range(64))

    with gzip.open(tmp_path / "r.gz", "wb", compresslevel=1) as file:
        for block in blocks():
            file.write(block)
    tracemalloc.start()
    with pytest.raises(InputError, match="has more than 4,194,304 bytes unpacked"):
        list(read_fasta(tmp_path / "r.gz", max_bytes=2**22))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24


# --- letters ----------------------------------------------------------------------------------


def test_every_code_is_read_in_either_case() -> None:
    assert dna("ACGTUacgtuAAAAAAAAANRYSWKMBDHVnry", "a", "f").startswith("ACGTTACGTTAAAAAAAAAN")
    with pytest.raises(InputError, match="5 of 9 letters that leave the nucleotide open"):
        dna("AAAAryswk", "a", "f")


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        ("AC-GT", "a has '-' at position 3, a gap; give sequences that are not aligned"),
        ("ACGT*", "a has '\\*' at position 5; this looks like protein"),
        ("ACGé", "a has 'é' at position 4; letters are ACGTUN"),
        ("AC\ud83d", "position 3"),
        ("", "a has no sequence"),
        ("NNNN", "a has no A, C, G or T; remove it"),
    ],
)
def test_other_letters_are_refused_with_their_place(letters: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        dna(letters, "a", "f")


def test_the_other_strand_of_the_other_strand_is_the_first() -> None:
    assert reverse_complement("AACGN") == "NCGTT"
    assert either_strand("AACG") == either_strand("CGTT") == "AACG"
