"""Data that users bring themselves: where each file is had, its terms and its layout.

An experiment names its file as `${paths.data}/NAME`, and the key may be given another path. A
message about a file that is not there uses `missing`, or `found`, which raises it: for a name of
`ABOUT` it says all that is needed to get the file. Imports no torch.
"""

from fnmatch import fnmatchcase
from pathlib import Path

from seqexp.errors import InputError

ABOUT = {
    "promoters_lafleur.tsv*": (
        "13,481 promoters of E. coli with measured strength, from the supplement of LaFleur et al."
        " 2022 (doi:10.1038/s41467-022-32829-5; open access); one table with tabs and a header:"
        " sequence, value (log of transcription), split (train or test), and perhaps id and the"
        " parts UP m35 spacer m10 disc ITR"
    ),
    "protein_structure.*": (
        "secondary structure of 111 + 17 proteins of Qian and Sejnowski 1988 ((c) Sejnowski;"
        " non-commercial research; in the UCI repository as Molecular Biology, Protein Secondary"
        " Structure); tables with tabs and the header id sequence labels, of which the last two"
        " are of equal length (h helix, e strand, _ other), one for train and one for test"
    ),
    "pos_danish.*": (
        "Danish sentences with parts of speech, Universal Dependencies Danish-DDT (CC BY-SA 4.0;"
        " universaldependencies.org); files for train, dev and test, without header: a word, a tab"
        " and its tag a line, a blank line between sentences"
    ),
    "sounds_*": (
        "spelling and sounds of words, SIGMORPHON 2021 task 1 (from Wiktionary; CC BY-SA 3.0;"
        " github.com/sigmorphon/2021-task1); tables with tabs and the header source target, sounds"
        " separated by blanks, for train, dev and test"
    ),
    "multi30k_de_en.*": (
        "descriptions of pictures in German and English, Multi30k (non-commercial research and"
        " education; github.com/multi30k/dataset); tables with tabs and the header source target,"
        " in lower case, words separated by blanks, for train, val and test (2016, flickr)"
    ),
    "gestures*": (
        "seven videos of gestures, Gesture Phase Segmentation of the UCI repository (CC BY 4.0);"
        " the raw tables a1.csv ... c3.csv (18 coordinates of hands, head, spine and wrists,"
        " timestamp, phase), one a video, in a folder gestures or packed as gestures.tar.gz"
    ),
    "tinyshakespeare.txt*": (
        "Tiny Shakespeare, 1.1 million characters, Karpathy's selection (public domain;"
        " github.com/karpathy/char-rnn, data/tinyshakespeare/input.txt); a text file, as it is"
    ),
    "easy_vqa*": (
        "pictures of one shape and questions on them, easy-VQA (MIT;"
        " github.com/vzhou842/easy-VQA); a folder easy_vqa, or easy_vqa.tar.gz of it, with"
        " {train,test}/images/N.png and {train,test}/questions.json, a list of"
        " [question, answer, number of the image]"
    ),
}
"""By patterns of names of files: what they are, where they are had, terms and layout."""


def missing(key: str, path: str | Path) -> str:
    """Message that a file or folder is not there; for a known name, how it is had.

    Args:
        key: that names the path, as `dataset.path`.
        path: that was looked for.
    """
    said = f"{key} is {path}: there is no such file or folder"
    name = Path(path).name
    about = next((text for pattern, text in ABOUT.items() if fnmatchcase(name, pattern)), None)
    if about is None:
        return said
    return f"{said}. It is not shipped: {about}. Put it there, or give {key}=PATH"


def found(key: str, path: str | Path) -> Path:
    """The path of a file or folder that is there.

    Raises:
        InputError: if there is none, with what `missing` says.
    """
    if not Path(path).exists():
        raise InputError(missing(key, path))
    return Path(path)
