"""Motif files: what is sound is read, what is not is refused by name."""

import math
from pathlib import Path

import numpy as np
import pytest

from seqexp.errors import InputError
from seqexp.formats.motifs import load_motifs, read_motifs

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


def written(folder: Path, text: str, name: str = "motifs.txt") -> Path:
    file = folder / name
    file.write_text(text)
    return file


FULL_MEME = MEME.replace(
    "MOTIF",
    "strands: + -\n\nBackground letter frequencies\nA 0.3 C 0.2 G 0.2 T 0.3\n\nMOTIF",
)
BARE_MEME = MEME.replace("ALPHABET= ACGT\n", "")


@pytest.mark.parametrize(
    "text",
    [JASPAR, MEME, FULL_MEME, BARE_MEME, TRANSFAC],
    ids=["jaspar", "meme", "full meme", "bare meme", "transfac"],
)
def test_the_same_motif_is_read_from_each_format(tmp_path: Path, text: str) -> None:
    first = read_motifs(written(tmp_path, text))[0]
    np.testing.assert_array_equal(first.pfm, [[1, 0, 3, 0], [2, 0, 2, 0], [3, 0, 1, 0]])
    assert first.name in ("MA1 one", "MA1", "one")
    assert first.width == 3


def test_the_built_in_motif_is_the_one_of_the_notebook() -> None:
    (motif,) = load_motifs("MA0149.1")
    assert motif.width == 18
    assert "".join("ACGT"[i] for i in motif.pfm.argmax(axis=1)) == "GGAAGGAAGGAAGGAAGG"
    assert motif.pfm.sum(axis=1).tolist() == [105] * 18
    assert motif.pfm[10].tolist() == [99, 4, 2, 0]


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


def test_pseudocounts_are_shared_out_as_the_background() -> None:
    (motif,) = load_motifs("MA0149.1")
    ppm = motif.ppm(pseudocount=15.0, background=[0.1, 0.2, 0.3, 0.4])
    # the first column counts G 105 times of 105; 15 more make 120
    np.testing.assert_allclose(ppm[0], [1.5 / 120, 3 / 120, (105 + 4.5) / 120, 6 / 120])
    assert math.isclose(motif.ppm().sum(), 18)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty; expected are JASPAR"),
        ("   \n\n", "is empty"),
        ("hello\nworld\n", "begins with 'hello'; expected are JASPAR"),
        (">just a header\n", "holds no motif|is not sound|ragged"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 2 ]"), "is not sound as a jaspar file.*inconsistent"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 -2 3 ]"), "MA1 one has -2 for A at position 2"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 nan 3 ]"), "nan"),
        (JASPAR.replace("[ 1 2 3 ]", "[ 1 x 3 ]"), "is not sound as a jaspar file"),
        (JASPAR.replace("A [ 4 0 ]", "A [ 0 0 ]"), "MA2 two counts nothing at position 1"),
        (
            MEME.replace(" 0.50 0.00 0.50 0.00", " 0.50 0.00 0.50"),
            "declares w= 3, but row 2 of its matrix",
        ),
        (MEME.replace("0.75 0.00\n", "-0.75 0.00\n"), "-"),
        (TRANSFAC.replace("      2      0", "     -2      0"), "-2 for A at position 2"),
    ],
)
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
    import gzip

    packed = gzip.compress(JASPAR.encode())
    file = tmp_path / "motifs.jaspar.gz"
    file.write_bytes(packed)
    assert [motif.name for motif in read_motifs(file)] == ["MA1 one", "MA2 two"]
    file.write_bytes(packed[:-12])
    with pytest.raises(InputError, match="motifs.jaspar.gz: cannot be read"):
        read_motifs(file)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    import os

    file = written(tmp_path, JASPAR)
    assert len(read_motifs(file)) == 2
    file.write_text(TRANSFAC)
    os.utime(file, ns=(1, 1))
    assert len(read_motifs(file)) == 1
