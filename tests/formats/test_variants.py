"""Variants: what VCF and tables may hold, and why a row is left out."""

import gzip
from pathlib import Path

import pytest

from seqexp.errors import InputError
from seqexp.formats.variants import Variant, read_variants

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def read(folder: Path, text: str | bytes, name: str = "a.vcf") -> list[Variant]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read_variants(str(file)))


def rows(*alleles: str) -> str:
    return HEADER + "".join(f"chr1\t{9 + i}\trs{i}\t{a}\t.\t.\t.\n" for i, a in enumerate(alleles))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_of_vcf_are_read(tmp_path: Path, packed: bool, end: str) -> None:
    text = rows("A\tG", "ac\tA").replace("\n", end).encode()
    found = read(tmp_path, gzip.compress(text) if packed else text, "any name")
    assert found == [
        Variant(3, "chr1", 9, "rs0", "A", "G"),
        Variant(4, "chr1", 10, "rs1", "AC", "A"),
    ]


def test_alternatives_of_a_row_are_parted(tmp_path: Path) -> None:
    found = read(tmp_path, rows("A\tG,<DEL>,AT"))
    assert [(one.line, one.alt, one.reason is None) for one in found] == [
        (3, "G", True),
        (3, "<DEL>", False),
        (3, "AT", True),
    ]


@pytest.mark.parametrize(
    ("alleles", "kind"),
    [
        ("A\t<DEL>", "symbolic allele"),
        ("A\t<*>", "symbolic allele"),
        ("A\tG]17:198982]", "breakend"),
        ("A\t[13:123457[C", "breakend"),
        ("A\tG.", "breakend"),
        ("A\t.T", "breakend"),
        ("A\t*", "overlapping deletion"),
        ("A\t.", "no alternative"),
        (".\tA", "no reference"),
        ("A\tR", "other letters"),
        ("N\tA", "other letters"),
        ("A\t-", "other letters"),
        ("a\tA", "nothing differs"),
        ("A\t\x27x", "other letters"),
    ],
)
def test_what_no_sequence_can_be_made_of_has_its_reason(
    tmp_path: Path, alleles: str, kind: str
) -> None:
    (found,) = read(tmp_path, rows(alleles))
    assert found.reason is not None and found.reason.startswith(f"{kind}: ")
    assert [found.ref, found.alt] == alleles.split("\t")  # as they stand


def test_a_position_before_the_first_letter_is_no_place(tmp_path: Path) -> None:
    (found,) = read(tmp_path, f"{HEADER}chr1\t0\t.\tA\tG\t.\t.\t.\n")
    assert found.reason is not None and found.reason.startswith("off the end: position 0")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", 'id,contig,position,ref,alt\nrs1,chr1,9,A,"G,T"\n'),
        ("a.tsv", "#CHROM\tPOS\tREF\tALT\tID\nchr1\t9\tA\tG,T\trs1\n"),
        ("a.txt", "Chromosome\tPosition\tReference\tAlternate\trsID\nchr1\t9\ta\tg,t\trs1\n"),
    ],
)
def test_a_table_says_the_same(tmp_path: Path, name: str, text: str) -> None:
    expected = [Variant(2, "chr1", 9, "rs1", "A", alt) for alt in "GT"]
    assert read(tmp_path, text, name) == expected


def test_a_table_needs_no_ids(tmp_path: Path) -> None:
    assert read(tmp_path, "contig,position,ref,alt\n1,2,A,G\n", "a.csv")[0].id == "."


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.vcf", f"{HEADER}chr1 9 . A G\n", "line 3: .*with 1 of .* parts columns by tabs"),
        ("a.vcf", f"{HEADER}chr1\t9\t.\tA\n", "line 3: .*with 4 of the first five"),
        ("a.vcf", f"{HEADER}chr1\tnine\t.\tA\tG\n", "line 3: the position is 'nine'"),
        ("a.vcf", f"{HEADER}chr1\t-9\t.\tA\tG\n", "line 3: the position is '-9'"),
        ("a.vcf", f"{HEADER}\t9\t.\tA\tG\n", "line 3: names no contig"),
        ("a.vcf", "", "is empty; expected is VCF"),
        ("a.bcf", gzip.compress(b"BCF\2\2\0", mtime=0), "is BCF, .*bcftools view"),
        ("a.csv", "contig,ref,alt\n1,A,G\n", "no column position .there are contig, ref, alt"),
        ("a.csv", "contig,chrom,pos,ref,alt\n1,1,2,A,G\n", "contig and chrom, which say the same"),
        ("a.csv", "contig;pos;ref;alt\n1;2;A;G\n", "semicolons"),
        ("a.fa", ">chr1\nACGT\n", "no column contig"),
    ],
)
def test_a_file_that_is_neither_is_refused(
    tmp_path: Path, name: str, text: str | bytes, said: str
) -> None:
    with pytest.raises(InputError, match=f"(?s){name}.*{said}"):
        read(tmp_path, text, name)
