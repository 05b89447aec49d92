"""Motif files: what is sound is read as its tool means it, what is not is refused by line."""

import gzip
import logging
import math
import os
import time
from pathlib import Path

import numpy as np
import pytest

from seqexp.errors import InputError
from seqexp.formats.motif_text import jaspar_text, meme_text
from seqexp.formats.motifs import MAX_BYTES, PositionFrequencyMatrix, load_motifs, read_motifs

COUNTS = np.array([[1, 0, 3, 0], [2, 0, 2, 0], [3, 0, 1, 0]])
"""Of the motif that all formats below hold: three positions, A C G T."""

JASPAR = """>MA1 one
A [ 1 2 3 ]
C [ 0 0 0 ]
G [ 3 2 1 ]
T [ 0 0 0 ]
>MA2 two
A [ 4 0 ]
C [ 0 4 ]
G [ 0 0 ]
T [ 0 0 ]
"""
MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA1 one
letter-probability matrix: alength= 4 w= 3 nsites= 4 E= 0
 0.25 0.00 0.75 0.00
 0.50 0.00 0.50 0.00
 0.75 0.00 0.25 0.00
"""
TRANSFAC = """ID  one
XX
P0      A      C      G      T
01      1      0      3      0      G
02      2      0      2      0      R
03      3      0      1      0      A
XX
//
"""
ROWS = "1 0 3 0\n2 0 2 0\n3 0 1 0\n"
SHARES = "0.25\t0\t0.75\t0\n0.5\t0\t0.5\t0\n0.75\t0\t0.25\t0\n"


def written(folder: Path, text: str, name: str = "motifs.txt") -> Path:
    file = folder / name
    file.write_bytes(text.encode())
    return file


def ppms(folder: Path, text: str) -> list[np.ndarray]:
    return [motif.ppm() for motif in read_motifs(written(folder, text))]


def names(folder: Path, text: str) -> list[str]:
    return [motif.name for motif in read_motifs(written(folder, text))]


FULL_MEME = MEME.replace(
    "MOTIF",
    "strands: + -\n\nBackground letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\n\nMOTIF",
)
NUMBERED = "".join(f"{i}\t{row}\n" for i, row in enumerate(SHARES.splitlines(), 1))

ALL = {
    "JASPAR": JASPAR,
    "JASPAR with tight brackets": ">MA1\tone\nA [1 2 3]\nC [0 0 0]\nG [3  2 1]\nT [0 0 0]\n",
    "JASPAR in one line": ">MA1 one\nA [1 2 3 ] C [0 0 0 ] G [3 2 1] T [0 0 0]\n",
    "JASPAR without brackets": ">MA1\nT 0 0 0\nG 3 2 1\nC 0 0 0\nA 1 2 3\n",
    "JASPAR without letters": ">MA1 one\n\n1 2 3\n0 0 0\n3.0 2.0 1e0\n0 0 0\n",
    "RNA in JASPAR": ">MA1\na [1 2 3]\nc [0 0 0]\ng [3 2 1]\nu [0 0 0]",
    "FlyFactorSurvey": "A |  1  2  3\nC |  0  0  0\nG |  3  2  1\nT |  0  0  0\n",
    "UniPROBE": "# Motif: G\nProtein: one  Seed k-mer: GAGA\n\nPO\t1\t2\t3\n"
    "A:\t.25\t.5\t.75\nC:\t0\t0\t0\nG:\t.75\t.5\t.25\nT:\t0\t0\t0\n",
    "bare PFM": "1 2 3\n0 0 0\n3 2 1\n0 0 0\n",
    "zinc fingers": "base 1 2 3\n a 1 2 3\n c 0 0 0\n g 3 2 1\n t 0 0 0\n",
    "a blank line between all lines": JASPAR.split(">MA2")[0].replace("\n", "\n\n"),
    "HOMER": f">GRG\tone\t3.5\t-12.5\t0\tT:40.0(10.0%),B:3.0(0.1%),P:1e-52\n{SHARES}",
    "HOMER with blanks": f">GRG one/ChIP 3.5 -12.5 0\n{SHARES}",
    "HOMER without consensus": f">\tone\t3.5\n{ROWS}",
    "HOCOMOCO": f"> MA1_HUMAN.A\n{ROWS}",
    "Cluster-Buster": f">MA1\n# WEIGHT: 3.0\n# GAP: 10.0\n{ROWS}",
    "CIS-BP": f"Pos\tA\tC\tG\tT\n{NUMBERED}",
    "CIS-BP with fields": "TF\tT1_1.02\nTF Name\tANT\nGene\tAT4\nMotif\tM1_1.02\nFamily\tAP2\n"
    f"Species\tX\nPos\tA\tC\tG\tT\n{NUMBERED}\n\n",
    "CIS-BP of RNA": f"RBP\tT1\nMotif\tM1\nPos\tA\tC\tG\tU\n{NUMBERED}",
    "other order of columns": "T A G C\n0 1 3 0\n0 2 2 0\n0 3 1 0\n",
    "a table of R": '"A" "C" "G" "T"\n"1" 1 0 3 0\n"2" 2 0 2 0\n"3" 3 0 1 0\n',
    "ENCODE": ">one x\nG 0.25 0 0.75 0\nR 0.5 0 0.5 0\nA 0.75 0 0.25 0\n",
    "a title without mark": f"MA1_one\n{SHARES}",
    "a consensus letter behind": ">MA1\n1 .25 0 .75 0 G\n2 .5 0 .5 0 R\n3 .75 0 .25 0 A\n",
    "MEME": MEME,
    "full MEME": FULL_MEME,
    "MEME without alphabet": MEME.replace("ALPHABET= ACGT\n", ""),
    "MEME of RNA": MEME.replace("ACGT", "ACGU"),
    "MEME without keys": MEME.replace(" alength= 4 w= 3 nsites= 4 E= 0", ""),
    "MEME without blanks": MEME.replace("= ", "="),
    "MEME with blanks": MEME.replace("= ", " =  "),
    "MEME without version": MEME.split("\n", 2)[2],
    "MEME with tabs": MEME.replace("= ", "=\t").replace("MOTIF ", "MOTIF\t").replace(" 0", "\t0"),
    "TRANSFAC": TRANSFAC,
    "TRANSFAC with one blank": " ".join(TRANSFAC.replace("\n", " \n ").split(" ")),
    "TRANSFAC of JASPAR": "AC MA1\nXX\nID one\nXX\nDE MA1 one ; From JASPAR\nPO\tA\tC\tG\tT\n"
    "01\t1.0\t0.0\t3.0\t0.0\n02\t2.0\t0\t2.0\t0\n03\t3.0\t0\t1.0\t0\nXX\nCC tax_group:x\nXX\n//\n",
    "TRANSFAC of RSAT": "AC  M1\nXX\nID  one\nXX\nP0       a     c     g     t\n"
    "1 1 0 3 0\n2 2 0 2 0\n3 3 0 1 0\nXX\nCC  program: transfac\nXX\n//\n",
    "TRANSFAC with a head": f"VV  TRANSFAC MATRIX TABLE\nXX\nCC 1 of 1\nXX\n//\n{TRANSFAC}",
    "SwissRegulon": "//\nNA  one.p2\nPO  A   C   G   T cons inf\n1 1 0 3 0 G 1.1\n2 2 0 2 0 R 1.0\n"
    "3 3 0 1 0 A 1.2\n//\n",
    "STAMP": "DE one\n01 1 0 3 0 G\n02 2 0 2 0 R\n03 3 0 1 0 A\nXX\n",
    "SOMBRERO": "DE\tone\n.25\t0\t0.75\t0\tG\t1.3\n.5\t0\t.5\t0\tR\t1.0\n.75\t0\t.25\t0\tA\t1\n",
}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("kind", ALL)
def test_the_same_motif_is_read_from_each_format(tmp_path: Path, kind: str, end: str) -> None:
    text = ALL[kind]
    for shape in (text, f"\ufeff{text}", text.rstrip("\n"), f"\n\n{text}\n\n"):
        first = read_motifs(written(tmp_path, shape.replace("\n", end), f"{len(shape)}.x"))[0]
        np.testing.assert_allclose(first.ppm(), COUNTS / 4, atol=1e-12)
        assert first.width == 3
    titled = " ".join(sorted(first.keys))
    assert any(name in titled for name in ("MA1", "one", "M1", ".x", str(len(shape)))), titled


@pytest.mark.parametrize("kind", ["JASPAR", "MEME", "TRANSFAC"])
def test_counts_are_those_of_the_file(tmp_path: Path, kind: str) -> None:
    (first, *_) = read_motifs(written(tmp_path, ALL[kind]))
    np.testing.assert_array_equal(first.pfm, COUNTS)


def test_the_built_in_motif_is_the_one_of_the_notebook() -> None:
    (motif,) = load_motifs("MA0149.1")
    assert motif.width == 18
    assert "".join("ACGT"[i] for i in motif.pfm.argmax(axis=1)) == "GGAAGGAAGGAAGGAAGG"
    assert motif.pfm.sum(axis=1).tolist() == [105] * 18
    assert motif.pfm[10].tolist() == [99, 4, 2, 0]


# --- names ------------------------------------------------------------------------------------


def test_motifs_are_chosen_by_id_or_name(tmp_path: Path) -> None:
    file = str(written(tmp_path, JASPAR))
    assert [m.name for m in load_motifs(file)] == ["MA1 one", "MA2 two"]
    assert [m.name for m in load_motifs(file, ["MA2"])] == ["MA2 two"]
    assert [m.name for m in load_motifs([file, "MA0149.1"], ["one", "MA0149.1"])] == [
        "MA1 one",
        "MA0149.1 EWSR1-FLI1",
    ]
    with pytest.raises(InputError, match="no motif MA9; did you mean MA2, MA1"):
        load_motifs(file, ["MA9"])
    with pytest.raises(InputError, match="no motif xyz; it has MA1 one, MA2 two"):
        load_motifs(file, ["MA1", "xyz"])


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("MEME", ["MA1", "one"]),
        ("HOMER", ["one", "GRG"]),
        ("CIS-BP with fields", ["M1_1.02", "ANT", "T1_1.02", "AT4"]),
        ("TRANSFAC of JASPAR", ["one", "MA1"]),
        ("HOCOMOCO", ["MA1_HUMAN.A"]),
        ("STAMP", ["one"]),
    ],
)
def test_each_format_has_ids_and_names(tmp_path: Path, kind: str, keys: list[str]) -> None:
    file = str(written(tmp_path, ALL[kind]))
    for key in keys:
        assert [m.name for m in load_motifs(file, [key])] == keys[:1]


def test_names_keep_their_blanks_and_files_name_what_has_none(tmp_path: Path) -> None:
    title = JASPAR.split("\n")[0]
    assert names(tmp_path, JASPAR.replace(title, ">ID7\tmade  up name"))[0] == "ID7 made up name"
    assert names(tmp_path, JASPAR.replace(title, ">"))[0] == "motif 1"
    assert names(tmp_path, MEME.replace("MA1 one", "")) == ["motif 1"]
    bare = "A 1 1\nC 1 2\nG 1 2\nT 1 2\n"
    assert names(tmp_path, f"{bare}\n{bare}") == ["motifs", "motifs 2"]


def test_motifs_of_one_name_are_told_apart_where_they_are_loaded(tmp_path: Path) -> None:
    file = str(written(tmp_path, JASPAR.replace("MA2 two", "MA1 one")))
    assert [m.name for m in load_motifs([file, file])] == [
        "MA1 one", "MA1 one (2)", "MA1 one (3)", "MA1 one (4)",
    ]  # fmt: skip
    assert len(load_motifs(file, ["one"])) == 2


# --- MEME -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", ["1", "7", "1000.0", "1e3", "12.5", "none", "0", "-3", "nan", ""])
def test_sites_do_not_change_probabilities(tmp_path: Path, sites: str) -> None:
    shares = [[0.7, 0.1, 0.1, 0.1], [0.05, 0.85, 0.05, 0.05], [0.26, 0.24, 0.25, 0.25]]
    rows = "".join(f" {' '.join(map(str, row))}\n" for row in shares)
    head = MEME.replace("nsites= 4", f"nsites= {sites}" if sites else "").partition(" 0.25")[0]
    (motif,) = read_motifs(written(tmp_path, head + rows))
    np.testing.assert_allclose(motif.ppm(), shares, atol=1e-12)
    counts = {"1": 1, "7": 7, "1000.0": 1000, "1e3": 1000, "12.5": 12.5}.get(sites, 20)
    np.testing.assert_allclose(motif.pfm.sum(axis=1), counts)


def test_a_motif_without_matrix_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    matrix = MEME.partition("letter")[2]
    text = MEME + f"\nMOTIF gone x\n\nMOTIF third y\nletter{matrix}MOTIF last\nURL http://x\n"
    file = written(tmp_path, text)
    with caplog.at_level(logging.WARNING, "seqexp"):
        assert [m.name for m in read_motifs(file)] == ["MA1", "third"]
    assert "2 motifs have no matrix and are left out: gone (line 11), last (line 18)" in caplog.text
    assert names(tmp_path, f">gone\n{JASPAR}>last\n") == ["MA1 one", "MA2 two"]
    assert names(tmp_path, f"ID gone\nXX\n//\n{TRANSFAC}") == ["one"]
    fields = "TF\tT{0}\nMotif\tM{0}\nPos\tA\tC\tG\tT\n"
    text = f"{fields.format(1)}\n{fields.format(2)}{NUMBERED}\nTF\tT3\nMotif\tM3\n"
    assert names(tmp_path, text) == ["M2"]
    with pytest.raises(InputError, match=r"holds no motif; x \(line 2\) has no matrix"):
        read_motifs(written(tmp_path, "MEME version 4\nMOTIF x\n"))


STARS, DASHES = "*" * 80, "-" * 80
OUTPUT = f"""{STARS}
MEME - Motif discovery tool
{STARS}
MEME version 5.4.1 (Release date: made up)

{STARS}
TRAINING SET
{STARS}
PRIMARY SEQUENCES= toy.fa
ALPHABET= ACGT
s1                       1.0000    100  s2                       1.0000    100
Letter frequencies in dataset:
A 0.295 C 0.205 G 0.205 T 0.295
Background letter frequencies (from file dataset with add-one prior applied):
A 0.295 C 0.205 G 0.205
T 0.295
Background model order: 0
{STARS}
MOTIF GRA MEME-1\twidth =   3  sites =   4  llr = 50  E-value = 1.0e-010
{STARS}
\tMotif GRA MEME-1 Description
Simplified        A  358
pos.-specific     C  :::
         bits    2.1
                 0.0 ---
Sequence name            Strand  Start   P-value               Site
632521                       +      7  1.71e-06     ATTTTG GGA ATTT
632521                            1.7e-06  6_[+1]_4
BL   MOTIF GRA width=3 seqs=4
632521                   (    7) GGA  1
//
{DASHES}
log-odds matrix: alength= 4 w= 3 n= 194 bayes= 5.5 E= 1.0e-010
    20   -176    194    -73
   -82   -250    147     40
  -124    -91    303    -32
{DASHES}
letter-probability matrix: alength= 4 w= 3 nsites= 4 E= 1.0e-010
 0.250000  0.000000  0.750000  0.000000
 0.500000  0.000000  0.500000  0.000000
 0.750000  0.000000  0.250000  0.000000
{DASHES}
\tMotif GRA MEME-1 regular expression
G[AG]A
{STARS}
Time  0.10 secs.
"""
BLOCK = """ALPHABET "DNA" DNA-LIKE
A "Adenine" CC0000 ~ T "Thymine" 008000
C "Cytosine" 0000CC ~ G "Guanine" FFB300
N "Any base" = ACGT
X = ACGT
U = T
END ALPHABET
"""


@pytest.mark.parametrize(
    "text",
    [
        OUTPUT,
        OUTPUT.replace("width =   3  sites", "width=3 sites"),
        OUTPUT.replace("ALPHABET= ACGT", f"{STARS}\n{BLOCK}{STARS}".replace("END ALPHABET\n", "")),
        OUTPUT.replace("ALPHABET= ACGT", f'ALPHABET "R" RNA-LIKE\n{STARS}\nA\nC\nG\nU\n{STARS}'),
        "# DREME 5.1.1\n#     command: dreme\n\n" + MEME.replace("ALPHABET= ACGT\n", BLOCK).replace(
            "letter", "#      Word  Pos  P-value\n# BEST GRA 922 6.7e-071\n\nletter").replace(
            "MA1 one", "GRA DREME-1") + "\n\n# Stopping reason: count\n#  Running time: 286.85 s\n",
        MEME.replace("MEME version 4", f"{STARS}\nSTREME - Sensitive\n{STARS}\nMEME version"
            " 5.5.6 (Release date: x)").replace("MA1 one", "1-GRA STREME-1").replace("E=", "P="),
    ],
)  # fmt: skip
def test_the_output_of_the_meme_suite_is_read(tmp_path: Path, text: str) -> None:
    (motif,) = read_motifs(written(tmp_path, text))
    np.testing.assert_allclose(motif.pfm, COUNTS)
    assert motif.name in ("GRA", "1-GRA")
    assert motif.other_names in (("MEME-1",), ("DREME-1",), ("STREME-1",))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("= ACGT", "= ACDEFGHIKLMNPQRSTVWY", "line 6: MA1 is over ACDEFGHIKLMNPQRSTVWY; motifs"),
        ("= ACGT", "= AGCT", "is over AGCT"),
        ("alength= 4", "alength= 20", "is over 20 letters"),
        ("ALPHABET= ACGT", 'ALPHABET "MethDNA" DNA-LIKE\nA ~ T\nC ~ G\nM "m=" ~ m\nEND ALPHABET',
         "is over ACGMTm"),
        ("letter-probability", "log-odds", "line 5: MA1 has a log-odds matrix alone; log-odds"),
        ("w= 3", "w= 2", "line 9: MA1 declares w= 2, but its matrix has more rows"),
        ("w= 3", "w= 4", "line 10: MA1 declares w= 4, but row 4 of its matrix is not four"),
        (" 0.50 0.00 0.50 0.00", " 0.50 0.00 0.50", "line 8: MA1 declares w= 3, but row 2"),
        (" 0.50 0.00 0.50 0.00", " 0.50 0.00 0.50 0 0", "line 8: MA1 declares w= 3, but row 2"),
        (" 0.50 0.00 0.50 0.00", " O.50 0.00 0.50 0.00", "line 8: MA1 declares w= 3, but row 2"),
        (" 0.50 0.00 0.50 0.00", " 5.0 0.00 5.0 0.00", "line 8: MA1 has prob.* that sum to 10"),
        ("0.75 0.00\n", "-0.75 0.00\n", "line 7: MA1 has -3 for G at position 1"),
        (" 0.50 0.00 0.50 0.00", " nan 0.00 0.50 0.00", "line 8: MA1 has nan for A at position 2"),
        (" 0.50 0.00 0.50 0.00", " 0 0 0 0", "line 8: MA1 has probabilities that sum to 0|nothing"),
        ("MOTIF MA1 one\n", "", "line 5: a letter-probability matrix stands below no MOTIF line"),
        (" 0.75 0.00 0.25 0.00\n", " 0.75 0 0.25 0\n\nletter-probability matrix: w= 1\n1 0 0 0\n",
         "line 11: MA1 has a second letter-probability matrix"),
    ],
)  # fmt: skip
def test_a_meme_file_that_is_not_sound_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    assert old in MEME
    with pytest.raises(InputError, match=says):
        read_motifs(written(tmp_path, MEME.replace(old, new)))


# --- which way a matrix lies ------------------------------------------------------------------

SQUARE = np.array([[8, 1, 1, 0], [0, 9, 1, 0], [2, 0, 8, 0], [5, 5, 0, 0]])
"""Four positions, whose letters count 10 each."""


def text_of(rows: np.ndarray) -> str:
    return "".join(f"{' '.join(map(str, row))}\n" for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        f">x\n{text_of(SQUARE)}",
        f">x\n{text_of(SQUARE.T)}",
        f">ACGW\tx\t5.5\n{text_of(SQUARE)}",
        f"A C G T\n{text_of(SQUARE)}",
        ">x\nA [ 8 0 2 5 ]\nC [ 1 9 0 5 ]\nG [ 1 1 8 0 ]\nT [ 0 0 0 0 ]\n",
        ">x\nA 8 1 1 0\nC 0 9 1 0\nG 2 0 8 0\nM 5 5 0 0\n",
    ],
)  # fmt: skip
def test_four_rows_of_four_lie_as_their_sums_and_letters_say(tmp_path: Path, text: str) -> None:
    (ppm,) = ppms(tmp_path, text)
    np.testing.assert_allclose(ppm, SQUARE / 10)


def test_four_rows_of_four_lie_as_the_other_matrices_of_the_file(tmp_path: Path) -> None:
    square = np.array([[8, 1, 1, 0], [0, 9, 3, 0], [2, 0, 8, 0], [5, 5, 0, 1]])  # sums tell nothing
    six = text_of(np.concatenate([SQUARE, SQUARE[:2]]))
    np.testing.assert_array_equal(
        read_motifs(written(tmp_path, f">x\n{text_of(square)}>y\n{six}"))[0].pfm, square
    )
    wide = text_of(np.concatenate([SQUARE, SQUARE[:2]]).T)
    np.testing.assert_array_equal(
        read_motifs(written(tmp_path, f">x\n{text_of(square)}>y\n{wide}"))[0].pfm, square.T
    )
    with pytest.raises(InputError, match="line 1: x is 4 by 4 without letters.*A C G T"):
        read_motifs(written(tmp_path, f">x\n{text_of(square)}"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f">x\n{text_of(SQUARE.T[:3])}", "line 1: x is 3 by 4 without letters"),
        (">x\n1 2 3 4\n", "line 1: x is 1 by 4 without letters"),
        (">x\n1 2 3\n1 2 3\n1 2 3\n", "line 2: x has 3 rows of 3 numbers; expected are four rows"),
        (f">x\n{text_of(SQUARE)}{text_of(SQUARE.T[:, :3])}", "line 6: x has ragged rows: 3"),
        (">x\nA 1 2\nC 1 2\nG 1 2\n", "line 2: x has rows for A, C, G; expected is one for each"),
        (">x\nA 1 2\nC 1 2\nC 1 2\nT 1 2\n", "x has rows for A, C, C, T"),
        (f"{ROWS}\n{ROWS}", "line 5: rows go on below a blank line; put a line '>name'"),
        (">x\nACGTTGCATG\n>y\nACGTTGCATG\n", "line 2: 'ACGTTGCATG' is not a row.*sites .FASTA."),
        (">x\n1 0.5 -0.2 0\n1 2 0.1 0.3\n", "line 2: x has numbers below 0; log-odds"),
        (">x\n" + "-1 1 0.5 -0.1\n" * 6, "line 2: x has numbers below 0; log-odds"),
        ("Pos\tA\tC\tG\tT\n1\t0.1\t0.2\t0.3\n", "line 2: '1.*' is not 4 numbers"),
        ("Pos\tA\tC\tG\tT\n1\t.1\t.2\t.3\t.4\n2\t.1\t.2\t.x\t.4\n", "line 3: '2.*' is not 4"),
        ("Pos\tA\tC\tG\tT\n1\t.1\t.2\t.3\t.4\t.5\n", "line 2: '1.*' is not 4 numbers"),
        (f"x\n{ROWS}O.1 0 0 1\n", "line 5: 'O.1 0 0 1' is not a row of numbers"),
        (">x\nA [ 1 2\nC [ 1 2 ]\n", r"line 2: the row has '\[' and '\]' not in pairs"),
        (">x\n1_0 2 3\n1 2 3\n1 2 3\n1 2 3\n", "line 2: '1_0 2 3' is not a row"),
        ("Pos\tA\tC\tG\tT\n1\t1\t0\t0\t0\n3\t1\t0\t0\t0\n", "line 3: position 3 stands behind"),
        (">x\n1 2 3 4 A 5 6\n" * 4, "line 2: '1 2 3 4 A 5 6' is not a row"),
        ("x y z t\n" + "1 2 30 4\n1 2 3 4\n" * 4, "line 2: x y z t has positions that count 10 to"),
        ("<?xml version='1.0'?>\n<MEME>\n", "of MEME's output give the text, meme.txt"),
    ],
)  # fmt: skip
def test_what_could_lie_either_way_or_is_cut_off_is_refused(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_motifs(written(tmp_path, text))


# --- what is not sound ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; expected are JASPAR"),
        ("   \n\n", "is empty"),
        ("# nothing\n", "is empty"),
        ("hello\nworld\n", "begins with 'hello'; expected are JASPAR"),
        (">just a header\n", r"holds no motif; just a header \(line 1\) has no matrix"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 2 ]"), "line 3: MA1 one has ragged rows: 3 numbers here"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 -2 3 ]"), "line 2: MA1 one has -2 for A at position 2"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 nan 3 ]"), "line 2: MA1 one has nan for A at position 2"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 inf 3 ]"), "line 2: MA1 one has inf for A"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 x 3 ]"), r"line 2: 'A \[ 1 x 3 \]' is not a row"),
        (JASPAR.replace("A [ 4 0 ]", "A [ 0 0 ]"), "line 7: MA2 two counts nothing at position 1"),
        (JASPAR.replace(" 3 ]", " 1e308 ]").replace(" 0 ]", " 1e308 ]"), "more than a number"),
        (TRANSFAC.replace("      2      0", "     -2      0"), "line 5: one has -2 for A at pos"),
        (TRANSFAC.replace("02      2", "02"), "line 5: row 2 of one has 3 counts in front of 'R'"),
        (TRANSFAC.replace("02      2", "02 7 2"), "line 5: row 2 of one has 5 counts"),
        (TRANSFAC.replace("02  ", "03  "), "line 5: one has row 03 behind row 1"),
        (TRANSFAC.replace("02  ", "O2  "), "line 5: one has a row that begins with 'O2'"),
        (TRANSFAC.replace("A      C", "A      R"), "line 3: one has the columns A R G T"),
        (TRANSFAC.replace("P0 ", "CC "), "line 4: one has numbers, but no line 'P0 A C G T'"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_sound_is_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(InputError, match=says) as caught:
        read_motifs(file)
    assert str(file) in str(caught.value)


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "motif.bin"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="UTF-16"):
        read_motifs(binary)
    with pytest.raises(InputError, match="is a folder"):
        load_motifs(str(tmp_path))
    with pytest.raises(InputError, match="nowhere.meme: there is no such file"):
        load_motifs("nowhere.meme")


def test_gzipped_files_are_read_and_damaged_ones_are_named(tmp_path: Path) -> None:
    packed = gzip.compress(JASPAR.encode(), mtime=0)
    file = tmp_path / "motifs.jaspar"
    file.write_bytes(packed)
    assert [motif.name for motif in read_motifs(file)] == ["MA1 one", "MA2 two"]
    file = tmp_path / "motifs.jaspar.gz"
    file.write_bytes(packed[:-12])
    with pytest.raises(InputError, match="motifs.jaspar.gz: cannot be read"):
        read_motifs(file)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = written(tmp_path, JASPAR)
    assert len(read_motifs(file)) == 2
    file.write_text(TRANSFAC)
    os.utime(file, ns=(1, 1))
    assert len(read_motifs(file)) == 1


def test_pseudocounts_are_shared_out_as_the_background() -> None:
    (motif,) = load_motifs("MA0149.1")
    ppm = motif.ppm(pseudocount=15.0, background=[0.1, 0.2, 0.3, 0.4])
    # the first column counts G 105 times of 105; 15 more make 120
    np.testing.assert_allclose(ppm[0], [1.5 / 120, 3 / 120, (105 + 4.5) / 120, 6 / 120])
    assert math.isclose(motif.ppm().sum(), 18)


# --- limits and time --------------------------------------------------------------------------

HOSTILE = {
    "blanks in a JASPAR row": ">m\nA [" + " " * 900_000 + "x",
    "MEME in a line": "MEME version 4\nMOTIF m\n" + "letter-probability matrix: w " * 30_000,
    "words of MEME": "MEME version 4\nMOTIF " + "width " * 150_000,
    "blanks in TRANSFAC": "ID m\nP0" + " " * 900_000 + "A C G T\n01 x",
    "brackets": ">m\n" + "[ ] " * 200_000,
    "blank lines": ">m\n" + "\n" * 100_000,
    "label rows": "A 1 2\n\n" * 20_000,
    "fields": "TF\tx\n" * 20_000 + "Pos A C G T\n",
    "symbols": 'MEME version 5\nALPHABET "X"\n' + "A ~ T\n" * 20_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_time_is_linear_in_a_hostile_file(tmp_path: Path, kind: str) -> None:
    """Five kB of the first took Biopython a minute, 10 kB seven."""
    file = written(tmp_path, HOSTILE[kind])
    began = time.process_time()
    with pytest.raises(InputError):
        read_motifs(file)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (">m\n" + "1 " * 600_000, "line 2: is longer than 1,048,576 characters"),
        (">m\n" + "1 1 1 1\n" * 100_001, "line 100002: the motif has over 100,000 positions"),
        (">\n" * 100_001, "line 100001: over 100,000 motifs have no matrix"),
    ],
    ids=["line", "positions", "motifs"],
)
def test_limits_are_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_motifs(written(tmp_path, text))


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "small.gz"
    line = b"x" * 500_000 + b"\n"
    comments = (b"#" + line) * (MAX_BYTES // len(line) + 1)
    file.write_bytes(gzip.compress(b">m\n1 1 1 1\n" + comments, 1, mtime=0))
    with pytest.raises(InputError, match="has more than 67,108,864 bytes"):
        read_motifs(file)


# --- what is written --------------------------------------------------------------------------


@pytest.mark.parametrize("write", [jaspar_text, meme_text])
@pytest.mark.parametrize(
    ("name", "read"),
    [("filter_7", "filter_7"), ("two words\nA [ 9 ]", "two_words_A_[_9_]"), ("", "motif_1"),
     ("#", "#"), (">x", ">x"), ("\u2028é\t=", "é_="), ("width =", "width_=")],
)  # fmt: skip
def test_what_is_written_is_read_back(tmp_path: Path, write, name: str, read: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(6)
    counts = rng.multinomial(1234, [0.7, 0.1, 0.1, 0.1], 12).astype(float)
    motifs = [PositionFrequencyMatrix(name, counts), PositionFrequencyMatrix("b", counts[:4] / 3)]
    first, second = read_motifs(written(tmp_path, write(motifs)))
    exact = write is jaspar_text
    np.testing.assert_allclose(first.pfm, counts, atol=0 if exact else 1e-4)
    np.testing.assert_allclose(second.ppm(), counts[:4] / 1234, atol=0 if exact else 1e-8)
    assert (first.name, second.name) == (read, "b")
