"""Sequences larger than memory: mapped from files, and equal to those in memory."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from made_genome import bed, made_genome, places

from seqexp.data import Data
from seqexp.dataset import fasta, mapped
from seqexp.dataset.dna import columns, fasta_blocks, mapped_rows, pool, windows
from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError


def records(kind: str, count: int, seed: int, doubled: int = 0) -> str:
    """Of two lengths, some with unknown letters, in lines of 30; the last are the first again."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        letters = "ACGTacgtNU" if number % 7 == 0 else "ACGT"
        made.append("".join(draw.choices(letters, k=draw.choice((40, 55)))))
    made += made[:doubled]
    lines = (
        f">{kind}{number % 50} chr{number % 3}:{number}\n{letters[:30]}\n{letters[30:]}\n"
        for number, letters in enumerate(made)
    )
    return "".join(lines)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    positives, negatives = tmp_path / "p.fa", tmp_path / "n.fa"
    positives.write_text(records("p", 90, 0, doubled=10))
    negatives.write_text(records("n", 60, 1) + records("p", 4, 0).replace("\n", "\r\n"))
    return {"positives": str(positives), "negatives": str(negatives)}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """All is large, and in small blocks."""
    monkeypatch.setattr(fasta, "LARGE", 0)
    monkeypatch.setattr(mapped, "MANY", 60)
    for module in (mapped_rows, pool):
        monkeypatch.setattr(module, "PART", 40)
        monkeypatch.setattr(module, "MANY", 700)
    monkeypatch.setattr(columns, "cut", lambda file, path: fasta_blocks.cut(file, path, 900))
    for module in (columns, mapped_rows):
        monkeypatch.setattr(module, "cores", lambda: 1)


def same(a: Data, b: Data) -> bool:
    splits = all(
        torch.equal(one.tokens, other.tokens)
        and torch.equal(one.targets, other.targets)
        and [*one.names] == [*other.names]
        and one.digest() == other.digest()
        for one, other in zip(a.splits().values(), b.splits().values(), strict=True)
    )
    return splits and (a.digest(), a.spec, a.notes) == (b.digest(), b.spec, b.notes)


CHOICES: dict[str, dict[str, Any]] = {
    "two files": {},
    "shuffled negatives, both strands": {"negatives": "shuffle", "reverse_complement": True},
    "padded on the left": {"length": 60, "pad": "left", "reverse_complement": True},
    "named splits": {"test_names": "chr1:", "valid_names": "chr[12]:"},
    "protein": {"alphabet": "protein", "seed": 3, "min_length": 1},
}


@pytest.mark.parametrize("choices", CHOICES.values(), ids=CHOICES)
def test_sequences_from_files_equal_those_in_memory(
    files: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest, choices: dict[str, Any]
) -> None:
    given = files | choices
    in_memory = Fasta(**given).load()
    request.getfixturevalue("large")
    for cache in (str(tmp_path / "cache"), str(tmp_path / "cache"), None):
        found = Fasta(cache=cache, **given).load()
        assert same(found, in_memory)
    left = [*(tmp_path / "cache").glob("*.done"), *(tmp_path / "cache").glob("*.parts")]
    assert not left and [*(tmp_path / "cache").glob("dna-*.json")]


def test_names_are_numbered_as_in_memory(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    names = ["a", "a", "b", "a(2)", "a", "b", "a(2)", "a", "c"]
    file = tmp_path / "p.fa"
    made = (
        f">{name.replace(' ', '')}\n{'ACGT' * 9}{'ACGT'[i % 4] * 9}\n"
        for i, name in enumerate(names)
    )
    file.write_text("".join(made))
    given: dict[str, Any] = {"positives": str(file), "valid_share": 0.0, "test_share": 0.3}
    in_memory = Fasta(**given).load()
    request.getfixturevalue("large")
    assert same(Fasta(**given).load(), in_memory)
    assert "numbered" in in_memory.notes[0]


WRONG = {
    "E": r"position 40; this looks like protein",
    "-": r"a gap",
    "\n;x": r"line \d+: is a comment",
    "\n>\nACGT": r"line \d+: record 92 has no name",
    "\n>last": "has no sequence",
}


@pytest.mark.parametrize("end", WRONG)
def test_a_wrong_record_is_named_as_in_memory(
    files: dict[str, str], request: pytest.FixtureRequest, end: str
) -> None:
    file = Path(files["positives"])
    file.write_text(records("p", 90, 0) + ">more\n" + "A" * 39 + end)
    with pytest.raises(InputError) as in_memory:
        Fasta(**files).load()
    request.getfixturevalue("large")
    with pytest.raises(InputError, match=WRONG[end]) as found:
        Fasta(**files).load()
    assert str(found.value) == str(in_memory.value)


def test_a_split_without_a_class_and_short_sequences_are_refused_as_in_memory(
    files: dict[str, str], request: pytest.FixtureRequest
) -> None:
    cases: tuple[dict[str, Any], ...] = (
        {"min_length": 50},
        {"length": 50},
        {"test_names": "^p"},
        {"test_names": "nowhere"},
    )
    said = []
    for case in cases:
        with pytest.raises(InputError) as error:
            Fasta(**files, **case).load()
        said.append(str(error.value))
    request.getfixturevalue("large")
    for case, message in zip(cases, said, strict=True):
        with pytest.raises(InputError) as error:
            Fasta(**files, **case).load()
        assert str(error.value) == message


def test_shuffles_that_were_killed_resume(
    files: dict[str, str], tmp_path: Path, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {"positives": files["positives"], "cache": str(tmp_path / "cache")}
    done: list[Path] = []
    shuffle_into, limit = mapped_rows.shuffle_into, [2]

    def shuffle(place: Path, *arguments: Any) -> bool:
        if len(done) == limit[0]:
            raise KeyboardInterrupt
        done.append(place)
        return shuffle_into(place, *arguments)

    monkeypatch.setattr(mapped_rows, "shuffle_into", shuffle)
    with pytest.raises(KeyboardInterrupt):
        Fasta(**given).load()
    assert not [*(tmp_path / "cache").glob("dna-*.json")]
    limit[0] = 10**6
    found = Fasta(**given).load()
    assert len(done) == len(set(done)) > 2
    assert same(found, Fasta(positives=files["positives"]).load())


def test_what_needs_all_sequences_in_memory_says_so(
    files: dict[str, str], large: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "seqexp")
    Fasta(**files, keep_together=24).load()
    assert "with dataset.keep_together, all sequences are held in memory" in caplog.text


def test_blocks_hold_whole_records(tmp_path: Path) -> None:
    text = records("p", 20, 0).encode()
    file = tmp_path / "p.fa"
    file.write_bytes(text)
    for size in (1, 50, 200, 10**6):
        found = fasta_blocks.cut(file, file, size)
        pieces = [text[block.start : block.stop] for block in found]
        assert b"".join(pieces) == text and all(piece.startswith(b">") for piece in pieces)


# --- intervals ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def genome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("genome")
    made_genome(folder)
    return folder / "genome.fa"


def peaks_and_others(folder: Path) -> dict[str, str]:
    """Some on either strand, some that overlap, one twice, one of unknown letters."""
    draw = random.Random(5)
    rows: list[tuple[object, ...]] = [
        (contig, start, end, "x", 0, draw.choice("+-.")) for contig, start, end in places(90, 4)
    ]
    rows += [
        (contig, int(str(start)) + 20, int(str(end)) + 20) for contig, start, end, *_ in rows[:9]
    ]
    rows += [rows[3], ("chr1", 470, 530), ("chr2", 0, 60), ("chrUn", 5, 90)]
    draw.shuffle(rows)
    others = [*places(60, 9), rows[5][:3]]
    return {
        "intervals": bed(folder / "p.bed", rows),
        "others": bed(folder / "n.bed", others),
        "blacklist": bed(folder / "b.bed", [("1", 20_000, 23_000)]),
    }


INTERVALS: dict[str, dict[str, Any]] = {
    "shuffled": {"blacklist": "blacklist", "reverse_complement": True, "width": 50},
    "gc-matched": {"negatives": "gc-matched", "blacklist": "blacklist"},
    "of a file": {"negatives": "others", "max_unknown": 0.6},
    "of FASTA": {"negatives": "fasta", "test_names": "^chr8:|^n1", "valid_share": 0.2},
    "named splits": {
        "negatives": "gc-matched",
        "test_names": "^chr8",
        "valid_names": r":\d*[0-4]\d-",
    },
    "apart": {"intervals": "others", "negatives": "gc-matched", "width": 20, "seed": 1},
}


@pytest.mark.parametrize("choices", INTERVALS.values(), ids=INTERVALS)
def test_intervals_from_files_equal_those_in_memory(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict[str, Any]
) -> None:
    pytest.importorskip("pyfaidx")
    files = peaks_and_others(tmp_path)
    files["fasta"] = str(tmp_path / "n.fa")
    Path(files["fasta"]).write_text(records("n", 60, 1))
    chosen = {key: files.get(str(value), value) for key, value in choices.items()}
    given: dict[str, Any] = {"intervals": files["intervals"], "genome": str(genome), **chosen}
    in_memory = Fasta(**given).load()
    monkeypatch.setattr(fasta, "MANY_INTERVALS", 0)
    monkeypatch.setattr(windows, "_BLOCK", 40)
    monkeypatch.setattr(windows, "Record", None)  # none is made
    found = Fasta(**given).load()
    assert same(found, in_memory) and found.files == in_memory.files
    assert not isinstance(found.train.names, mapped.Strings)  # of rows, not of records
    overlaps = any("they overlap, or share letters" in note for note in found.notes)
    assert overlaps == ("test_names" in choices and choices["negatives"] == "gc-matched")
