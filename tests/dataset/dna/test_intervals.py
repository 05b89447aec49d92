"""Intervals of a genome as sequences: letters, windows, what is left out, and what is asked."""

import random
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from made_genome import CONTIGS, bed, made_genome, places

from seqexp.dataset.dna.homology import with_families
from seqexp.dataset.dna.labelled import Record
from seqexp.dataset.dna.peaks import Peaks
from seqexp.dataset.dna.regions import Regions
from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement

pytest.importorskip("pyfaidx")


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("genome")
    return folder / "genome.fa", made_genome(folder)


def peaks(genome: Path, intervals: Any, **given: Any) -> Peaks:
    settings: dict[str, Any] = {
        "width": None,
        "centre": None,
        "negatives": "shuffle",
        "blacklist": None,
        "max_unknown": 0.1,
        "min_length": 20,
        "targets": None,
        "task": None,
        "seed": 0,
    }
    return Peaks(intervals, str(genome), **{**settings, **given})


# --- letters ----------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("bedtools") is None, reason="bedtools is not installed")
def test_letters_are_those_of_bedtools(genome: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    draw = random.Random(3)
    rows = [(*place, f"n{i}", 0, draw.choice("+-")) for i, place in enumerate(places(1000, 2, 90))]
    path = bed(tmp_path / "x.bed", list(dict.fromkeys(rows)))
    command = ["bedtools", "getfasta", "-s", "-fi", str(genome[0]), "-bed", path]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    theirs = dict(zip(lines[:-1:2], lines[1::2], strict=True))
    ours = {f">{r.name}": r.sequence for r in peaks(genome[0], path).read().records}
    assert len(ours) > 990
    assert ours == {name: letters.upper() for name, letters in theirs.items()}


def test_a_window_lies_about_the_summit_or_the_middle(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    path, contigs = genome
    rows = [
        ("chr1", 2000, 2101, "a", 0, "-", 5.0, 1, 1, 90),
        ("chr2", 3000, 3200, "b", 0, ".", *"111", -1),
    ]
    file = bed(tmp_path / "x.narrowPeak", rows)
    about = {
        None: (2090, 3100),
        "middle": (2050, 3100),
        "summit": (2090,),
    }
    said = {
        None: "lie about the summits of the intervals, of 1 of 2, which have none, the middles",
        "middle": "windows of 41 letters lie about the middles",
        "summit": "lie about the summits",
    }
    for centre, centres in about.items():
        found = peaks(path, file, width=41, centre=centre).read()
        starts = [record.window.start for record in found.records if record.window]
        assert starts == [middle - 20 for middle in centres]
        first = contigs["chr1"][centres[0] - 20 : centres[0] + 21]
        assert found.records[0].sequence == reverse_complement(first)
        assert ("has no summit" in str(found.files)) == (centre == "summit")
        assert any(said[centre] in note for note in found.notes)
    assert found.records[0].name == "chr1:2070-2111(-)"


def test_files_in_any_order_form_or_convention_of_names_give_the_same(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows = places(60)
    plain = bed(tmp_path / "x.bed", rows)
    with_others = bed(tmp_path / "y.bed", [(c.removeprefix("chr"), *place) for c, *place in rows])
    windows = tmp_path / "z.bed"
    windows.write_text("track name=x\r\n" + Path(plain).read_text().replace("\n", "\r\n"))
    backward = bed(tmp_path / "b.bed", rows[::-1])
    found = [
        [(r.name, r.sequence) for r in peaks(genome[0], str(file)).read().records]
        for file in (plain, with_others, windows, backward)
    ]
    assert found[0] == found[1] == found[2] == found[3][::-1]


# --- what is left out -------------------------------------------------------------------------


def test_each_row_that_is_left_out_is_told_with_its_reason(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows: list[tuple[object, ...]] = [
        ("chrUn", 5, 100),
        ("chr8", 29_990, 30_001),
        ("chr8", 5, 15),
        ("chr1", 100, 200),
        ("chr1", 5000, 5100),
        ("chr2", 7000, 7100),
        ("chr2", 7000, 7100),
        *places(20),
    ]
    black = bed(tmp_path / "black.bed", [("1", 5050, 5060), ("other", 1, 2)])
    found = peaks(genome[0], bed(tmp_path / "x.bed", rows), width=60, blacklist=black).read()
    table = found.files["skipped_intervals.tsv"].splitlines()
    assert [line.split("\t")[1:] for line in table[1:]] == [
        ["1", "chrUn:5-100", "'chrUn' is no contig of the genome"],
        ["2", "chr8:29990-30001", "ends after chr8, which has 30,000 letters"],
        ["3", "chr8:5-15", "its window, -20 to 40, leaves chr8, which has 30,000 letters"],
        ["4", "chr1:100-200", "60 of 60 letters are not known; dataset.max_unknown is 0.1"],
        ["5", "chr1:5000-5100", "overlaps dataset.blacklist"],
        ["7", "chr2:7000-7100", "is the same window as line 6: chr2:7020-7080(.)"],
    ]
    kinds = "2 off the end, 1 other contigs, 1 blacklist, 1 twice, 1 unknown letters"
    assert any(f"6 rows of intervals are left out ({kinds})" in note for note in found.notes)
    assert len(found.records) == 21


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("scaffold1", 5, 100)] * 3, r"3 of 3 rows of .*x.bed are not on .* line 1: 'scaffold1'"),
        ([("chr1", 99_000, 99_100)] * 3, "same assembly. .its contigs are chr1, chr2, chr8"),
        ([("chr1", 0, 100)], "none of 1 rows of .* can be used, as line 1: 100 of 100 letters"),
        ([("chr1", 700, 600)], "line 1: start is 700 and end is 600"),
    ],
)
def test_intervals_of_another_genome_are_refused(
    genome: tuple[Path, dict[str, str]], tmp_path: Path, rows: Any, said: str
) -> None:
    with pytest.raises(InputError, match=said):
        peaks(genome[0], bed(tmp_path / "x.bed", rows)).read()


# --- what is asked ----------------------------------------------------------------------------


def fasta(genome: Path, intervals: Any, **given: Any) -> Fasta:
    return Fasta(intervals=intervals, genome=str(genome), **given)


def test_contigs_are_held_out_by_name(genome: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    rows = list(dict.fromkeys(places(80)))
    data = fasta(genome[0], bed(tmp_path / "x.bed", rows), test_names="^chr8:").load()
    held_out = sum(contig == "chr8" for contig, *_ in rows)
    assert len(data.test) == 2 * held_out  # and their shuffles
    assert any(note.startswith("genome.fa has the SHA-256 ") for note in data.notes)


def test_a_score_is_a_number_and_a_name_is_a_class(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows = [(*place, "ab"[i % 2], i + 0.5) for i, place in enumerate(dict.fromkeys(places(60)))]
    file = bed(tmp_path / "x.bed", rows)
    data = fasta(genome[0], file, task="regression").load()
    values = torch.cat([split.targets for split in data.splits().values()])[:, 0]
    assert data.spec.output_names == ("score",)
    assert sorted(values.tolist()) == [i + 0.5 for i in range(len(rows))]
    data = fasta(genome[0], file, targets=["name"]).load()
    assert data.spec.output_names == ("a", "b")


def test_several_files_are_classes_or_labels(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    first, second = (
        [("chr1", at, at + 60) for at in range(1000, 7000, 200)],
        [
            *[("chr1", at + 30, at + 90) for at in range(1000, 3000, 200)],  # half of it
            *[("chr1", at + 31, at + 91) for at in range(3000, 5000, 200)],  # less
            *[("chr2", at, at + 60) for at in range(1000, 3000, 200)],
        ],
    )
    files = {"A": bed(tmp_path / "a.bed", first), "B": bed(tmp_path / "b.bed", second)}
    found = peaks(genome[0], files, task="multi_label").read()
    counts = {values: 0 for values in ((1, 0), (0, 1), (1, 1))}
    for record in found.records:
        counts[record.values] += 1
    assert counts == {(1, 1): 20, (1, 0): 20, (0, 1): 20}
    assert found.question.names == ("A", "B")
    assert any("no negatives" in note for note in found.notes)
    data = fasta(genome[0], [*files.values()], task="sequence_class", negatives="gc-matched").load()
    assert data.spec.output_names == ("a", "b", "negative")


def test_negatives_may_be_a_file_of_either_form(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows = list(dict.fromkeys(places(60)))
    positives, others = bed(tmp_path / "p.bed", rows[:30]), bed(tmp_path / "n.bed", rows[30:])
    from_bed = peaks(genome[0], positives, negatives=others).read()
    assert [r.label for r in from_bed.records] == [1] * 30 + [0] * (len(rows) - 30)
    text = "".join(f">{r.name}\n{r.sequence}\n" for r in from_bed.records[30:])
    (tmp_path / "n.fa").write_text(text)
    from_fasta = peaks(genome[0], positives, negatives=str(tmp_path / "n.fa")).read()
    assert [r.sequence for r in from_fasta.records] == [r.sequence for r in from_bed.records]


# --- negatives of the genome ------------------------------------------------------------------


@pytest.mark.parametrize("width", [None, 60])
def test_matched_negatives_have_the_gc_of_the_positives_and_lie_beside_them(
    genome: tuple[Path, dict[str, str]], tmp_path: Path, width: int | None
) -> None:
    path, contigs = genome
    rows = list(dict.fromkeys(places(200)))
    file = bed(tmp_path / "x.bed", rows)
    black = bed(tmp_path / "black.bed", [("chr1", 500, 9000)])
    found = peaks(path, file, width=width, negatives="gc-matched", blacklist=black)
    records = found.read().records
    positives, negatives = ([r for r in records if r.label == label] for label in (1, 0))
    assert len(positives) == len(negatives) > 100
    counts = [sorted(map(gc_percent, part)) for part in (positives, negatives)]
    histograms = [[part.count(bin) / len(part) for bin in range(101)] for part in counts]
    difference = sum(abs(a - b) for a, b in zip(*histograms, strict=True))
    assert difference <= 0.02
    assert sorted(len(r.sequence) for r in positives) == sorted(len(r.sequence) for r in negatives)
    taken = Regions(r.window[:3] for r in positives if r.window)
    windows = sorted(r.window[:3] for r in negatives if r.window)
    assert not any(taken.overlaps(*window) for window in windows)
    assert not any(a[0] == b[0] and a[2] > b[1] for a, b in pairwise(windows))
    for record in negatives:
        contig, start, end, _ = record.window  # type: ignore[misc]
        assert record.sequence == contigs[contig][start:end] and "N" not in record.sequence
        assert contig != "chr1" or start >= 9000
    again = found.read().records
    assert [r.name for r in again] == [r.name for r in records]
    other = peaks(path, file, width=width, negatives="gc-matched", blacklist=black, seed=1).read()
    assert [r.name for r in other.records] != [r.name for r in records]


def gc_percent(record: Record) -> int:
    return 100 * sum(map(record.sequence.count, "GC")) // len(record.sequence)


def test_a_genome_that_is_too_small_for_all_negatives_says_so(tmp_path: Path) -> None:
    letters = "".join(random.Random(0).choices("ACGT", k=1000))
    (tmp_path / "genome.fa").write_text(f">chr1\n{letters}\n")
    rows: list[tuple[object, ...]] = [("chr1", at, at + 50) for at in range(0, 800, 50)]
    found = peaks(tmp_path / "genome.fa", bed(tmp_path / "x.bed", rows), negatives="gc-matched")
    assert any("of 16 positives have no negative" in note for note in found.read().notes)


# --- families ---------------------------------------------------------------------------------


def test_sequences_that_share_letters_on_either_strand_are_of_one_family() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("ACGT", k=40)) for _ in range(4)]
    around = ["".join(draw.choices("ACGT", k=60)) for _ in range(12)]
    repeat = "AC" * 20
    sequences = [
        around[0] + words[0] + around[1],
        around[2] + reverse_complement(words[0]) + around[3],
        words[1][:23] + around[4],
        around[5] + words[1][:23],
        repeat + around[6],
        around[7] + repeat,
        words[2][:20] + "N" + words[2][21:30] + around[8],
        words[2][:30] + around[9],
    ]
    for letters in (24, 40):  # by their letters, and by a hash of them
        families = [r.family for r in with_families([Record("", s) for s in sequences], letters)]
        assert families[0] == families[1]
        assert len(set(families)) == 7
    families = [r.family for r in with_families([Record("", s) for s in sequences], 23)]
    assert families[2] == families[3] and len(set(families)) == 6


def test_families_are_in_one_split_and_classes_keep_their_shares(
    genome: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    rows = [("chr1", at, at + 100) for at in range(1000, 41_000, 80)]  # each overlaps the next...
    rows = [row for number, row in enumerate(rows) if number % 5 != 4]  # ...of four
    kept = fasta(genome[0], bed(tmp_path / "x.bed", rows), targets=["name"])
    records = peaks(genome[0], bed(tmp_path / "x.bed", rows)).read().records
    labelled = [Record(r.name, r.sequence, label=1, window=r.window) for r in records]
    with_family = with_families(labelled, None)
    parts = kept._split(with_family, str)
    owners: dict[int | None, set[str]] = {}
    for name, part in parts.items():
        for record in part:
            owners.setdefault(record.family, set()).add(name)
    assert len(owners) == 100 and all(len(names) == 1 for names in owners.values())
    assert len(parts["test"]) == 80 and len(parts["valid"]) == 32
    held_out = Fasta(
        intervals=bed(tmp_path / "x.bed", rows), genome=str(genome[0]), test_names=":1(0|1)..-"
    ).load()
    assert any("they overlap, or share letters" in note for note in held_out.notes)


def test_contigs_are_all_used() -> None:
    assert {contig for contig, *_ in places(200)} == CONTIGS.keys()
