"""Sequences larger than memory: mapped from files, and equal to those in memory."""

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from made_genome import bed, made_genome, places

from seqexp.data import Data
from seqexp.dataset import fasta, mapped
from seqexp.dataset.dna import columns, fasta_blocks, homology, mapped_rows, pool, windows
from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError
from seqexp.formats.dna import either_strand, reverse_complement


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
        and torch.equal(one.targets.nan_to_num(-1), other.targets.nan_to_num(-1))
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
    "folds": {"folds": 3, "fold": 1, "negatives": "shuffle"},
    "families in folds": {"folds": 4, "keep_together": 11, "valid_share": 0.2},
    "families": {"keep_together": 10, "negatives": "shuffle", "length": 60},
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
    tmp_path: Path, large: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "seqexp")
    rows = (f"{'ACGT'[i % 4] * 9}{'ACGTT' * 6}{'GT' * i}\t{i % 2}\n" for i in range(40))
    file = tmp_path / "t.tsv"
    file.write_text("sequence\tlabel\n" + "".join(rows))
    Fasta(table=str(file)).load()
    assert "with dataset.table, all sequences are held in memory" in caplog.text


@pytest.mark.parametrize("most", [2**22, 500])
def test_words_in_files_are_shared_as_those_in_memory(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    draw = random.Random(2)
    sequences = ["".join(draw.choices("ACGTN", (9, 9, 9, 9, 1), k=60)) for _ in range(60)]
    sequences += [one[20:50] + "A" for one in sequences[:20]] + [
        reverse_complement(one[5:40]) for one in sequences[30:40]
    ]
    expected: dict[str, list[int]] = {}
    for number, sequence in enumerate(sequences):
        for at in range(len(sequence) - 7):
            word = either_strand(sequence[at : at + 8])
            if "N" not in word and len({word[:-p] == word[p:] for p in (1, 2, 3, 4)}) == 1:
                expected.setdefault(word, []).append(number)
    linked = {(a, b) for rows in expected.values() for a, b in zip(rows, rows[1:], strict=False)}
    monkeypatch.setattr(homology, "_WORDS", most)
    monkeypatch.setattr(homology, "_BLOCK", 300)
    found = homology.shared_words(sequences, 8)
    assert {(a, b) for a, b in found.tolist()} == {pair for pair in linked if pair[0] != pair[1]}


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

    def more() -> tuple[object, ...]:  # name, score, strand, signalValue
        strand, signal = draw.choice("+-."), draw.choice(("NA", f"{draw.random():.3f}"))
        return draw.choice("ab;c").replace(";", "a;b"), draw.randrange(4), strand, signal

    rows: list[tuple[object, ...]] = [(*place, *more()) for place in places(90, 4)]
    rows += [
        (contig, int(str(start)) + 20, int(str(end)) + 20, *more())
        for contig, start, end, *_ in rows[:9]
    ]
    rows += [
        *(rows[3], ("chr1", 470, 530, *more()), ("chr2", 0, 60), ("chrUn", 5, 90)),
    ]
    draw.shuffle(rows)
    near = [(contig, int(str(start)) + 25, end) for contig, start, end, *_ in rows[:30]]
    others = [*places(60, 9), rows[5][:3], *rows[30:40], *near]
    names = [f"{contig}:{start}-{end}({m[2] if m else '.'})" for contig, start, end, *m in rows]
    splits = "".join(f"{name}\t{draw.choice(SPLITS)}\n" for name in {**dict.fromkeys(names)})
    (folder / "s.tsv").write_text(f"id\tsplit\n{splits}")
    return {
        "intervals": bed(folder / "p.bed", rows),
        "others": bed(folder / "n.bed", others),
        "blacklist": bed(folder / "b.bed", [("1", 20_000, 23_000)]),
        "splits": str(folder / "s.tsv"),
    }


SPLITS = ("train", "train", "valid", "test", "all")
BOTH = {"intervals": {"a": "intervals", "b": "others"}}
CLASSES = BOTH | {"task": "sequence_class"}
LABELS = BOTH | {"task": "multi_label"}


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
    "a table of splits": {"splits": "splits", "alphabet": "auto"},
    "families of letters": {"negatives": "gc-matched", "keep_together": 12, "seed": 2},
    "classes": CLASSES | {"reverse_complement": True},
    "classes in folds": CLASSES | {"negatives": "gc-matched", "folds": 3, "fold": 2},
    "classes and FASTA": CLASSES | {"negatives": "fasta", "keep_together": 11, "folds": 3},
    "labels": LABELS | {"test_names": "^chr8"},
    "labels and negatives": LABELS | {"negatives": "gc-matched", "blacklist": "blacklist"},
    "labels by chromosome": LABELS | {"folds": 2, "fold_by": "chromosome", "valid_share": 0.4},
    "a number": {"targets": ["score"], "task": "regression", "folds": 4},
    "numbers": {"targets": ["signalValue", "score"], "task": "regression", "width": 50},
    "numbers that tell": {"targets": ["signalValue"], "splits": "splits"},
    "names": {"targets": ["name"], "folds": 3, "reverse_complement": True},
    "lists of labels": {"targets": ["name"], "task": "multi_label"},
}


def given_intervals(genome: Path, folder: Path, choices: dict[str, Any]) -> dict[str, Any]:
    """Choices with paths instead of their names."""
    files = peaks_and_others(folder)
    files["fasta"] = str(folder / "n.fa")
    Path(files["fasta"]).write_text(records("n", 60, 1))
    if "targets" in choices:  # rows that have all columns
        rows = Path(files["intervals"]).read_text().splitlines(keepends=True)
        Path(files["intervals"]).write_text("".join(r for r in rows if r.count("\t") == 6))
    found = {"intervals": "intervals", "genome": str(genome)} | choices
    for key, value in found.items():
        if key == "intervals" and isinstance(value, dict):
            found[key] = {name: files[file] for name, file in value.items()}
        elif isinstance(value, str):
            found[key] = files.get(value, value)
    return found


@pytest.mark.parametrize("choices", INTERVALS.values(), ids=INTERVALS)
def test_intervals_from_files_equal_those_in_memory(
    genome: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, choices: dict[str, Any]
) -> None:
    pytest.importorskip("pyfaidx")
    given = given_intervals(genome, tmp_path, choices)
    in_memory = Fasta(**given).load()
    monkeypatch.setattr(fasta, "MANY_INTERVALS", 0)
    monkeypatch.setattr(windows, "_BLOCK", 40)
    monkeypatch.setattr(windows, "Record", None)  # none is made
    found = Fasta(**given).load()
    assert same(found, in_memory) and found.files == in_memory.files
    assert not isinstance(found.train.names, mapped.Strings)  # of rows, not of records
    if choices == INTERVALS["named splits"]:
        assert any("they overlap, or share letters" in note for note in found.notes)


UNFIT: dict[str, tuple[str, dict[str, Any], tuple[str, str, str]]] = {
    "no group": ("group, but .*p.bed has none", {"folds": 3, "fold_by": "group"}, ("", "", "")),
    "two ways": ("but dataset.folds is 3", {"splits": "splits", "folds": 3}, ("", "", "")),
    "a narrow row": (
        "line .* has 3 columns, but score is column 5",
        {"targets": ["score"]},
        ("p.bed", r"\A", "chr1\t30000\t30060\n"),
    ),
    "nothing to learn": (
        "the train split has no sequences",
        CLASSES | {"test_names": "."},
        ("", "", ""),
    ),
    "splits of others": (
        "has no split for 1",
        {"splits": "splits"},
        ("s.tsv", r"chr\S+\t.*\n", ""),
    ),
    "two of one name": ("before", {"splits": "splits"}, ("s.tsv", r"(chr\S+\t)", r"\1x\n\1")),
    "no split": ("has the split 'vaild'", {"splits": "splits"}, ("s.tsv", "valid", "vaild")),
}


@pytest.mark.parametrize(("said", "choices", "change"), UNFIT.values(), ids=UNFIT)
def test_what_is_not_sound_of_intervals_is_refused_as_in_memory(
    genome: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    said: str,
    choices: dict[str, Any],
    change: tuple[str, str, str],
) -> None:
    pytest.importorskip("pyfaidx")
    given = given_intervals(genome, tmp_path, choices)
    if change[0]:
        file = tmp_path / change[0]
        file.write_text(re.sub(change[1], change[2], file.read_text(), count=1))
    messages = []
    for many in (fasta.MANY_INTERVALS, 0):
        monkeypatch.setattr(fasta, "MANY_INTERVALS", many)
        with pytest.raises(InputError, match=said) as error:
            Fasta(**given).load()
        messages.append(str(error.value))
    assert messages[0] == messages[1]
