"""Pieces of a genome, its index, and files that are none."""

import gzip
import os
from pathlib import Path

import pytest

from seqexp.errors import InputError

pytest.importorskip("pyfaidx")
bgzf = pytest.importorskip("Bio.bgzf")

from seqexp.formats.genome import Genome  # noqa: E402

CONTIGS = {"chr1": "ACGTNacgtn" * 13 + "ACG", "2": "TTTTGGGGCC" * 7, "chrM": "GATTACA"}
TEXT = "".join(
    f">{name} of a test\n"
    + "\n".join(letters[at : at + 10] for at in range(0, len(letters), 10))
    + "\n"
    for name, letters in CONTIGS.items()
)


def written(folder: Path, text: str = TEXT, name: str = "genome.fa") -> Path:
    path = folder / name
    path.write_bytes(text.encode())
    return path


def packed(folder: Path) -> Path:
    path = folder / "genome.fa.gz"
    with bgzf.BgzfWriter(str(path)) as file:
        file.write(TEXT)
    return path


@pytest.mark.parametrize("form", ["plain", "CRLF", "bgzip"])
def test_letters_are_those_of_the_file_in_upper_case(tmp_path: Path, form: str) -> None:
    text = TEXT.replace("\n", "\r\n") if form == "CRLF" else TEXT
    path = packed(tmp_path) if form == "bgzip" else written(tmp_path, text)
    with Genome(path) as genome:
        assert genome.contigs == {name: len(letters) for name, letters in CONTIGS.items()}
        for name, letters in CONTIGS.items():
            for start in range(len(letters)):
                for end in (start, start + 1, min(start + 11, len(letters)), len(letters)):
                    assert genome.letters(name, start, end) == letters[start:end].upper()


def test_the_index_is_made_once_beside_the_file_and_again_if_the_file_changes(
    tmp_path: Path,
) -> None:
    path = written(tmp_path)
    Genome(path).close()
    index = path.with_name("genome.fa.fai")
    first = index.stat()
    Genome(path).close()
    assert index.stat().st_mtime_ns == first.st_mtime_ns
    assert sorted(file.name for file in tmp_path.iterdir()) == ["genome.fa", "genome.fa.fai"]
    path.write_text(">other\nACGTACGT\n")
    os.utime(path, (0, 0))  # the index looks newer, but is of another file
    with Genome(path) as genome:
        assert genome.contigs == {"other": 8}


def test_without_leave_to_write_the_index_is_elsewhere(tmp_path: Path) -> None:
    path = written(tmp_path)
    with Genome(path, keep_index=False) as genome:
        assert genome.letters("2", 0, 4) == "TTTT"
    assert [file.name for file in tmp_path.iterdir()] == ["genome.fa"]


def test_a_child_process_reads_by_a_file_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Genome(written(tmp_path)) as genome:
        parent = genome._reader.file
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert genome.letters("2", 4, 8) == "GGGG"
        assert genome._reader.file is not parent
        parent.close()


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("chr1", "chr1"),
        ("1", "chr1"),
        ("Chr1", "chr1"),
        ("chr2", "2"),
        ("MT", "chrM"),
        ("M", "chrM"),
    ],
)
def test_names_of_another_convention_are_found(tmp_path: Path, asked: str, found: str) -> None:
    with Genome(written(tmp_path)) as genome:
        assert genome.name_of(asked) == found and genome.has(asked)


def test_a_contig_that_is_not_there_is_named_with_near_ones(tmp_path: Path) -> None:
    with Genome(written(tmp_path)) as genome:
        with pytest.raises(InputError, match=r"'chrN' is no contig .*did you mean chr.*3: chr1, 2"):
            genome.name_of("chrN")
        with pytest.raises(InputError, match=r"chr1:130-134 is not in .*: chr1 has 133"):
            genome.letters("chr1", 130, 134)
        with pytest.raises(InputError, match=r"'9' is no contig"):
            genome.letters("9", 0, 1)


def test_two_contigs_of_one_alias_are_both_found_by_their_own_names(tmp_path: Path) -> None:
    with Genome(written(tmp_path, ">chr1\nAC\n>1\nGT\n")) as genome:
        assert genome.name_of("1") == "1" and genome.name_of("chr1") == "chr1"
        with pytest.raises(InputError, match="'Chr1'"):
            genome.name_of("Chr1")


def test_the_digest_follows_the_file(tmp_path: Path) -> None:
    with Genome(written(tmp_path)) as one, Genome(written(tmp_path, TEXT, "b.fa")) as same:
        assert one.digest == same.digest and len(one.digest) == 64
    with Genome(written(tmp_path, TEXT.replace("TACA", "TACC"), "c.fa")) as other:
        assert other.digest != one.digest


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (gzip.compress(TEXT.encode(), mtime=0), "g.fa.gz", "gunzip g.fa.gz && bgzip g.fa"),
        (TEXT.encode(), "g.fa.gz", r"not packed; remove \.gz"),
        (b"chr1\t0\t10\n", "g.fa", "begins with 'chr1"),
        (b"", "g.fa", "is empty"),
        (b"BZh91AY&SY" + b"0" * 20, "g.fa", "bzip2"),
        (b">a\nACGT\nAC\nACGT\n", "g.fa", "cannot be indexed.*consistent"),
        (b">a\nAC\n>a\nGT\n", "g.fa", "cannot be indexed.*Duplicate"),
        (b">\nAC\n", "g.fa", "cannot be indexed"),
        (b">a\n", "g.fa", "no letters"),
    ],
)
def test_what_is_no_genome_is_refused_in_words(
    tmp_path: Path, content: bytes, name: str, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"dataset.genome is .*{said}|{said}"):
        Genome(path, "dataset.genome")


def test_a_missing_package_is_said_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyfaidx", None)
    with pytest.raises(InputError, match=r"pyfaidx.*pip install 'seqexp\[genome\]'"):
        Genome(written(tmp_path))
