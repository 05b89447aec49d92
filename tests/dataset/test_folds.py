"""Folds: each record is the test of one run; classes, groups and equal records are respected."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqexp.data import Data
from seqexp.dataset.captions import Captions
from seqexp.dataset.fasta import Fasta
from seqexp.dataset.folds import Fold, dealt, whole_groups
from seqexp.dataset.frames import Frames
from seqexp.dataset.noisy_reads import NoisyReads
from seqexp.dataset.pairs import Pairs
from seqexp.dataset.questions import Questions
from seqexp.dataset.tagging import Tagging
from seqexp.dataset.text import Text
from seqexp.errors import InputError

FOLDS = 3

DATASETS: dict[Any, dict[str, Any]] = {
    Text: {"num_made": 60},
    Tagging: {"num_made": 50},
    Frames: {"num_made": 31, "task": "sequence_class"},
    Pairs: {"num_made": 40},
    Captions: {"num_train": 5, "num_valid": 5, "num_test": 5},
    Questions: {"num_train": 30, "num_valid": 5, "num_test": 30},
    NoisyReads: {"view": "clusters", "num_clusters": 10, "length": 30, "num_reads": 3},
}


def rows(data: Data, split: str) -> set[bytes]:
    part = data.splits()[split]
    return {row.numpy().tobytes() for row in part.tokens}


@pytest.mark.parametrize("seed", range(5))
def test_folds_of_single_records_differ_by_one_at_most_in_size_and_in_each_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    classes = random.choice(4, size=random.integers(20, 200), p=[0.5, 0.3, 0.15, 0.05]).tolist()
    folds = dealt(range(len(classes)), classes, 7, seed, "records")
    sizes = Counter(folds)
    assert {*sizes} == {*range(7)} and max(sizes.values()) - min(sizes.values()) <= 1
    for one in set(classes):
        of_class = [folds[i] for i, found in enumerate(classes) if found == one]
        counts = [of_class.count(fold) for fold in range(7)]
        assert max(counts) - min(counts) <= 1


def test_folds_do_not_depend_on_the_order_of_records_but_on_the_seed() -> None:
    names, classes = [f"r{i}" for i in range(40)], [i % 3 for i in range(40)]
    first = dict(zip(names, dealt(names, classes, 4, 0, ""), strict=True))
    back = dict(zip(names[::-1], dealt(names[::-1], classes[::-1], 4, 0, ""), strict=True))
    other = dict(zip(names, dealt(names, classes, 4, 1, ""), strict=True))
    assert first == back != other


def test_groups_stay_together_and_folds_of_them_are_nearly_equal() -> None:
    random = np.random.default_rng(0)
    groups = random.integers(0, 30, 600).tolist()
    classes = random.integers(0, 2, 600).tolist()
    folds = dealt(groups, classes, 4, 0, "groups")
    assert len({*zip(groups, folds, strict=True)}) == 30
    sizes = Counter(folds)
    assert max(sizes.values()) - min(sizes.values()) < 20  # the size of a group


def test_too_few_groups_for_the_folds_are_refused() -> None:
    with pytest.raises(InputError, match=r"dataset.folds is 5, but there are 2 chromosomes"):
        dealt(["a", "b", "a"], [0, 0, 0], 5, 0, "chromosomes")


def test_about_a_share_of_records_is_held_out_as_whole_groups_and_never_all() -> None:
    groups = [i // 10 for i in range(100)]
    assert len(whole_groups(groups, 0.2, 0)) == 2
    assert len(whole_groups(groups, 0.01, 0)) == 1 and not whole_groups(groups, 0.0, 0)
    assert len(whole_groups([0] * 9 + [1], 0.9, 0)) == 1


@pytest.mark.parametrize("kind", DATASETS)
def test_each_record_of_a_dataset_is_in_the_test_of_one_fold(kind: Any) -> None:
    found = [kind(**DATASETS[kind], folds=FOLDS, fold=fold).load() for fold in range(FOLDS)]
    again = kind(**DATASETS[kind], folds=FOLDS, fold=0).load()
    assert rows(again, "test") == rows(found[0], "test")
    assert any("fold 1 of the folds 0 to 2" in note for note in found[1].notes)
    for data in found:
        assert not (kind is not Questions and rows(data, "train") & rows(data, "test"))
        assert len(data.valid)
    if kind not in (Captions, Questions):  # which are composed of the scans of a split
        whole = [sum(len(part) for part in data.splits().values()) for data in found]
        assert sum(len(data.test) for data in found) == whole[0] == whole[1] == whole[2]
    sizes = [len(data.test) for data in found]
    assert max(sizes) - min(sizes) <= (3 if kind is NoisyReads else 1)  # reads of a cluster


@pytest.mark.parametrize("kind", DATASETS)
def test_a_fold_that_is_not_there_is_refused(kind: Any) -> None:
    with pytest.raises(InputError, match=r"dataset.fold is 3, and dataset.folds is 3"):
        kind(**DATASETS[kind], folds=FOLDS, fold=3).load()


# --- DNA ------------------------------------------------------------------------------------------


def table(file: Path, rows: list[dict[str, Any]]) -> str:
    lines = ["\t".join(rows[0]), *("\t".join(map(str, row.values())) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def sequences(count: int) -> list[str]:
    random = np.random.default_rng(0)
    return ["".join(random.choice(list("ACGT"), 25)) for _ in range(count)]


def peaks(count: int = 60) -> list[dict[str, Any]]:
    return [
        {"id": f"chr{i % 6}:{100 * i}-{100 * i + 25}", "label": "ab"[i % 3 == 0], "sequence": one}
        for i, one in enumerate(sequences(count))
    ]


def test_folds_of_sequences_have_the_same_share_of_each_class(tmp_path: Path) -> None:
    file = table(tmp_path / "t.tsv", peaks())
    seen: Counter[bytes] = Counter()
    for fold in range(4):
        data = Fasta(table=file, folds=4, fold=fold).load()
        assert Counter(data.test.targets.flatten().tolist()) == {0: 10, 1: 5}
        seen.update(rows(data, "test"))
        assert not rows(data, "test") & rows(data, "train") and len(data.valid) == 5
    assert len(seen) == 60 and {*seen.values()} == {1}


def test_whole_chromosomes_and_groups_are_held_out_and_validated(tmp_path: Path) -> None:
    given = peaks()
    file = table(tmp_path / "t.tsv", given)
    name_of = {row["sequence"]: row["id"].partition(":")[0] for row in given}
    grouped = [{**row, "id": f"r{i}", "group": i % 6} for i, row in enumerate(given)]
    other = table(tmp_path / "g.tsv", grouped)

    def names(data: Data, split: str) -> set[str]:
        spec = data.spec
        letters = [
            "".join(spec.vocabulary.decode(row)) for row in data.splits()[split].tokens.tolist()
        ]
        return {name_of[one] for one in letters}

    for by, path in (("chromosome", file), ("group", other)):
        tested = []
        for fold in range(3):
            data = Fasta(table=path, folds=3, fold=fold, fold_by=by).load()  # type: ignore[arg-type]
            parts = [names(data, split) for split in ("train", "valid", "test")]
            assert [len(part) for part in parts] == [3, 1, 2]
            assert not parts[0] & parts[1] and not (parts[0] | parts[1]) & parts[2]
            tested += parts[2]
        assert sorted(tested) == sorted({*name_of.values()})


def test_equal_sequences_of_either_strand_are_in_one_fold(tmp_path: Path) -> None:
    one = "ACGTTTGACCATTGCAAGTCCATGA"
    other = one[::-1].translate(str.maketrans("ACGT", "TGCA"))
    extra = [{"id": f"x{i}", "label": "a", "sequence": s} for i, s in enumerate((one, other) * 4)]
    file = table(tmp_path / "t.tsv", [*peaks(40), *extra])
    held = [len(Fasta(table=file, folds=4, fold=fold).load().test) for fold in range(4)]
    assert sum(held) == 48 and max(held) - min(held) <= 1


def test_folds_of_data_with_splits_or_without_groups_are_refused(tmp_path: Path) -> None:
    split = table(tmp_path / "s.tsv", [{**row, "split": "test"} for row in peaks()])
    with pytest.raises(InputError, match=r"s.tsv, line 2: the split is 'test', but dataset.folds"):
        Fasta(table=split, folds=2).load()
    plain = table(tmp_path / "p.tsv", [{**row, "id": f"r{i}"} for i, row in enumerate(peaks())])
    with pytest.raises(InputError, match=r"fold_by is chromosome, but the name 'r0' says none"):
        Fasta(table=plain, folds=2, fold_by="chromosome").load()
    with pytest.raises(InputError, match=r"fold_by is group, but .*line 2 has none"):
        Fasta(table=plain, folds=2, fold_by="group").load()
    with pytest.raises(InputError, match=r"there are 6 chromosomes"):
        Fasta(table=table(tmp_path / "c.tsv", peaks()), folds=7, fold_by="chromosome").load()


def test_folds_of_other_data_with_splits_are_refused(tmp_path: Path) -> None:
    pairs = [{"source": f"{i}", "target": "x", "split": "train"} for i in range(9)]
    with pytest.raises(InputError, match=r"line 2: the split is 'train'"):
        Pairs(path=table(tmp_path / "pairs.tsv", pairs), folds=3).load()
    frames = [{"x": i % 7, "label": "ab"[i % 2], "g": i // 5, "split": "train"} for i in range(30)]
    file = table(tmp_path / "frames.tsv", frames)
    with pytest.raises(InputError, match=r"the split is 'train'"):
        Frames(path=file, group_column="g", folds=3).load()


def test_texts_of_the_same_words_are_in_one_fold(tmp_path: Path) -> None:
    texts = [f"word{i % 20} {'good' if i % 2 else 'bad'}" for i in range(80)]  # each four times
    file = tmp_path / "t.csv"
    file.write_text("text,label\n" + "".join(f"{one},{one[-3:]}\n" for one in texts))
    for fold in range(4):
        data = Text(path=str(file), folds=4, fold=fold).load()
        assert len(data.test) == 20
        assert not any("removed from" in note for note in data.notes)


def test_a_fold_says_what_is_tested() -> None:
    assert Fold(1, 5, 0).note(20, 100, "texts") == (
        "the test is fold 1 of the folds 0 to 4: 20 of 100 texts"
    )
