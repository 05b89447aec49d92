"""The small files that advertised commands read, the runs that they look at, and a shell."""

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from conftest import ROOT
from small_pictures import below, in_archive, part_of_captions, part_of_questions

LETTERS = "ACGT"

MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA0001.1 first
letter-probability matrix: alength= 4 w= 8 nsites= 20 E= 0
{rows}
"""

TIMEOUT = 240
"""Seconds for a command; the slowest takes some twenty on an idle core."""


def write_files(folder: Path) -> None:
    """A file of each name that the advertised commands read."""
    draw = random.Random(0)

    def dna(length: int, motif: str = "") -> str:
        letters = [draw.choice(LETTERS) for _ in range(length)]
        start = draw.randrange(length - len(motif))
        letters[start : start + len(motif)] = motif
        return "".join(letters)

    peaks = "".join(
        f">chr{1 + i % 9}:{100 * i}-{100 * i + 60}\n{dna(60, 'GGAAGGAA')}\n" for i in range(90)
    )
    rows = ["0.97 0.01 0.01 0.01", "0.01 0.01 0.97 0.01"] * 4
    for name in ("my_motifs.meme", "jaspar.meme"):
        (folder / name).write_text(MEME.format(rows="\n".join(rows)))
    (folder / "peaks.fa").write_text(peaks)
    (folder / "sources.txt").write_text("4 2\n7 0 1\n")
    (folder / "sentences.txt").write_text("the old cat sees Ada .\n")
    (folder / "peaks.fa.gz").write_bytes(gzip.compress(peaks.encode()))
    table = [f"s{i}\t{i % 2}\t{dna(60, 'GGAAGGAA' if i % 2 else '')}" for i in range(80)]
    (folder / "table.tsv").write_text("\n".join(["id\tlabel\tsequence", *table]) + "\n")
    strengths = [f"{i / 7:.3f}\t{dna(60)}" for i in range(80)]
    (folder / "strengths.tsv").write_text("\n".join(["strength\tsequence", *strengths]) + "\n")
    others = "".join(f">{i}\n{dna(60)}\n" for i in range(90))
    (folder / "others.fa").write_text(others)

    contigs = {f"chr{number}": dna(3000) for number in range(1, 10)}
    genome = "".join(f">{name}\n{letters}\n" for name, letters in contigs.items())
    (folder / "hg38.fa").write_text(genome)
    for name, shift in (("peaks.narrowPeak", 0), ("others.bed", 35)):
        rows = [
            (contig, at + shift, at + shift + 60, "x", 9, "+", at / 7, 1, 1, 30)
            for contig in contigs
            for at in range(100, 2900, 280)
        ]
        (folder / name).write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))

    truth = dna(60)
    reads = [truth[:i] + truth[i + 1 :] for i in range(5, 50, 5)]
    fastq = "".join(f"@r{i}\n{r}\n+\n{'I' * len(r)}\n" for i, r in enumerate(reads))
    for name in ("my_reads.fastq.gz", "reads.fastq.gz"):
        (folder / name).write_bytes(gzip.compress(fastq.encode()))

    clusters = [f"{(truth := dna(40))}\n{truth[1:]}\n{truth[:-1]}\n{truth}\n" for _ in range(12)]
    (folder / "clusters.txt").write_text("\n".join(clusters))

    words = {"bad": ("dull", "silly", "poor"), "good": ("great", "moving", "fine")}
    texts = [
        (f"a {draw.choice(words[label])} film with {draw.choice('abcdefgh')} {i}", label)
        for i in range(80)
        for label in words
    ]
    for name in ("my_texts.csv", "reviews.csv"):  # columns of all names that commands give
        lines = ["text,label,review,stars"]
        lines += [f"{text},{label},{text},{label}" for text, label in texts]
        (folder / name).write_text("\n".join(lines) + "\n")
    for name, part in (("train.jsonl", texts[:120]), ("test.jsonl", texts[120:])):
        records = [json.dumps({"text": text, "label": label}) for text, label in part]
        (folder / name).write_text("\n".join(records) + "\n")
    for name, part_of in (
        ("easy_vqa", part_of_questions),
        ("my_questions", part_of_questions),
        ("my_pictures", part_of_captions),
    ):
        parts = {**below("train", part_of(12)), **below("test", part_of(6, 12))}
        in_archive(folder / f"{name}.tar.gz", below(name, parts))
    for number, (text, label) in enumerate(texts):
        file = folder / "a_folder_with_a_folder_a_class" / label / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    pairs = [f"{i} {i % 7}\tword{i % 7} word{i % 5}" for i in range(60)]
    for name in ("my_pairs.tsv", "my_words.tsv"):
        (folder / name).write_text("\n".join(["source\ttarget", *pairs]) + "\n")
    prose = " ".join(text for text, _ in texts)
    for name in ("my_text.txt", "tinyshakespeare.txt"):
        (folder / name).write_text(f"the cat sat. {prose}\n")
    (folder / "sequences.json").write_text(json.dumps({"inputs": [dna(60)]}))
    write_genome(folder, dna(2000))


def write_genome(folder: Path, letters: str) -> None:
    """A genome of one contig, and variants of it."""
    (folder / "genome.fa").write_text(f">chr1\n{letters}\n")
    (folder / "peaks.bed").write_text("chr1\t100\t400\nchr1\t900\t1000\n")
    rows = [
        ("chr1", i, f"rs{i}", letters[i - 1], LETTERS[LETTERS.index(letters[i - 1]) - 1])
        for i in range(200, 1800, 20)
    ]
    for name, head in (
        ("variants.tsv", "contig\tposition\tid\tref\talt\n"),
        ("variants.vcf.gz", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n"),
    ):
        text = head + "".join("\t".join(map(str, row)) + "\n" for row in rows)
        packed = gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(packed)


@dataclass(frozen=True)
class Shell:
    """Types commands in a folder that holds the small files, through bash as they stand.

    `python` is the executable of `tools/forked.py`, unless a command is to import all by itself.
    """

    folder: Path
    data: Path
    python: Path = Path(sys.executable)

    def anew(self) -> "Shell":
        """The same with the Python that runs the tests, which imports all by itself."""
        return replace(self, python=Path(sys.executable))

    def environment(self) -> dict[str, str]:
        """The variables of a new terminal, with a Python and then that of the tests in PATH."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "HYDRA", "MLF"))}
        return {
            **kept,
            "PATH": os.pathsep.join(
                [str(self.python.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
            ),
            "PYTHONPATH": str(ROOT),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "OMP_NUM_THREADS": "1",
            "SEQEXP_DATA": str(self.data),
        }

    def type(self, line: str, status: int = 0) -> str:
        """All that a command prints; a failed assertion if it ends with another status."""
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
        )
        assert done.returncode == status, f"{line}\n{done.stdout}"
        assert "INFO mlflow" not in done.stdout, f"{line}\n{done.stdout}"  # words of a library
        assert "Traceback" not in done.stdout, f"{line}\n{done.stdout}"
        return done.stdout


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small files, made once."""
    folder = tmp_path_factory.mktemp("files")
    write_files(folder)
    return folder


@pytest.fixture
def shell(files: Path, data_folder: Path, tmp_path: Path, python: Path) -> Shell:
    """A shell in a folder of its own, where nothing was run before."""
    folder = tmp_path / "a folder"  # with a blank, as people have them
    shutil.copytree(files, folder)
    return Shell(folder, data_folder, python)


Trained = Callable[[str], Path]


@pytest.fixture(scope="session")
def trained(
    files: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory, python: Path
) -> Trained:
    """The outputs of a training command, which is typed once."""
    made: dict[str, Path] = {}

    def outputs(line: str) -> Path:
        if line not in made:
            folder = tmp_path_factory.mktemp("trained") / "a folder"
            shutil.copytree(files, folder)
            Shell(folder, data_folder, python).type(line)
            made[line] = folder / "outputs"
        return made[line]

    return outputs
