"""DNA from files: what is read, how it is split, and what is refused."""

import gzip
import random
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SHARED

from seqexp.dataset.dna.labelled import records_of_fasta
from seqexp.dataset.fasta import Fasta
from seqexp.errors import InputError
from seqexp.formats.dna import reverse_complement
from seqexp.inference.text import encode

SITE = "TGACGTCATTGC"


def random_dna(count: int, length: int = 40, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    return ["".join(generator.choices("ACGT", k=length)) for _ in range(count)]


def fasta(path: Path, sequences: list[str], prefix: str = "s") -> str:
    content = "".join(f">{prefix}{i} some text\n{s}\n" for i, s in enumerate(sequences))
    path.write_text(content)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    return {
        "positives": fasta(tmp_path / "pos.fa", random_dna(50, seed=1), "chr1:"),
        "negatives": fasta(tmp_path / "neg.fa", random_dna(50, seed=2), "chr2:"),
    }


def rows(sequences: Any) -> list[str]:
    return ["".join("-ACGT"[token] for token in row) for row in sequences.tokens.tolist()]


def every_row(data: Any) -> list[str]:
    return [row for split in data.splits().values() for row in rows(split)]


# --- reading ----------------------------------------------------------------------------------


def test_letters_are_read_by_the_stated_rule(tmp_path: Path) -> None:
    """Lower case is upper case, U is T, open letters are padding; lines are joined."""
    file = tmp_path / "x.fa"
    file.write_text(">a first\r\nACGTacgt\r\nUuNnRY\r\n\r\n>b\nGATTACA\n")
    records, _ = records_of_fasta(file)
    assert [(r.name, r.sequence) for r in records] == [("a", "ACGTACGTTTNNNN"), ("b", "GATTACA")]


def test_gzipped_files_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.fa.gz"
    file.write_bytes(gzip.compress(b">a\nACGT\n", mtime=0))
    assert records_of_fasta(file)[0][0].sequence == "ACGT"


def test_unknown_letters_and_what_follows_a_short_sequence_are_padding(tmp_path: Path) -> None:
    positives = ["ACGTN" * 8 + "ACG", *random_dna(9, 43, seed=3)]
    data = Fasta(
        fasta(tmp_path / "p.fa", positives),
        fasta(tmp_path / "n.fa", random_dna(10)),
        valid_share=0.0,
    ).load()
    assert data.spec.length is None
    assert "ACGT-" * 8 + "ACG" in every_row(data)
    assert {row + "---" for row in random_dna(10)} < set(every_row(data))
    assert any("8 of 830 letters are unknown" in note for note in data.notes)


def test_the_three_ways_of_giving_sequences_agree(files: dict[str, Any], tmp_path: Path) -> None:
    both = [
        *records_of_fasta(Path(files["positives"]))[0],
        *records_of_fasta(Path(files["negatives"]))[0],
    ]
    labels = [(r.name, int(r.name.startswith("chr1"))) for r in both]
    (tmp_path / "all.fa").write_text("".join(f">{r.name}\n{r.sequence}\n" for r in both))
    (tmp_path / "labels.csv").write_text("id,label\n" + "".join(f"{n},{i}\n" for n, i in labels))
    lines = [f"{r.sequence}\t{i}\t{n}\n" for r, (n, i) in zip(both, labels, strict=True)]
    (tmp_path / "all.tsv").write_text("sequence\tlabel\tid\n" + "".join(reversed(lines)))
    apart = Fasta(**files).load()
    labelled = Fasta(sequences=str(tmp_path / "all.fa"), labels=str(tmp_path / "labels.csv")).load()
    table = Fasta(table=str(tmp_path / "all.tsv")).load()
    assert apart.digest() == labelled.digest() == table.digest()
    assert apart.spec.length == 40 and apart.spec.output_names == ("negative", "positive")


def test_names_that_are_the_same_are_told_apart_where_no_table_has_values_by_them(
    tmp_path: Path,
) -> None:
    sequences = random_dna(40)
    layouts = {
        "peak {}": ("peak 3", "names are whole headers: .* 'peak'"),
        ".": (". (4)", "1 names stand more than once, as '.': numbered"),
    }
    for header, (fourth, says) in layouts.items():
        file = tmp_path / "p.fa"
        file.write_text("".join(f">{header.format(i)}\n{s}\n" for i, s in enumerate(sequences)))
        records, notes = records_of_fasta(file)
        assert [record.sequence for record in records] == sequences
        assert records[3].name == fourth and len({record.name for record in records}) == 40
        assert re.match(says, notes[0]) and notes[0] in Fasta(str(file)).load().notes
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\n.,1\n")
    with pytest.raises(InputError, match="as '.' .a name ends at the first blank of its header"):
        Fasta(sequences=str(file), labels=str(labels)).load()


def test_whole_headers_may_be_looked_up_in_a_table(tmp_path: Path) -> None:
    sequences = random_dna(40)
    (tmp_path / "s.fa").write_text("".join(f">peak {i}\n{s}\n" for i, s in enumerate(sequences)))
    lines = "".join(f"peak {i},{i % 2}\n" for i in range(40))
    (tmp_path / "l.csv").write_text("id,label\n" + lines)
    data = Fasta(sequences=str(tmp_path / "s.fa"), labels=str(tmp_path / "l.csv")).load()
    assert labelled(data) == {s: i % 2 for i, s in enumerate(sequences)}
    (tmp_path / "l.csv").write_text("id,label\n" + lines + "peak 3,0\n")
    with pytest.raises(InputError, match="line 42: 'peak 3' has the label '0', but '1' before"):
        Fasta(sequences=str(tmp_path / "s.fa"), labels=str(tmp_path / "l.csv")).load()


def labelled(data: Any) -> dict[str, int]:
    found = {}
    for split in data.splits().values():
        found |= dict(zip(rows(split), split.targets[:, 0].tolist(), strict=True))
    return found


@pytest.mark.parametrize("forms", [("0", "1"), ("0.0", "1.0"), ("false", "TRUE"), (" 0", "True ")])
def test_a_table_needs_no_id_and_says_labels_as_pandas_and_r_do(
    tmp_path: Path, forms: tuple[str, str]
) -> None:
    sequences = random_dna(40)
    lines = "".join(f'{forms[i % 2]},"{s}",""\n' for i, s in enumerate(sequences))
    (tmp_path / "T.CSV").write_text("label, sequence ,note\n" + lines)
    data = Fasta(table=str(tmp_path / "T.CSV")).load()
    assert labelled(data) == {s: i % 2 for i, s in enumerate(sequences)}
    for label in ("", "nan", "NA", "null"):
        (tmp_path / "T.CSV").write_text(f"label,sequence,x\n{label},{sequences[0]},\n{lines}")
        with pytest.raises(InputError, match="1 of 41 sequences have no label: .*line 2"):
            Fasta(table=str(tmp_path / "T.CSV")).load()


# --- splits -----------------------------------------------------------------------------------


def test_splits_are_stratified_and_a_function_of_the_seed(files: dict[str, Any]) -> None:
    data = Fasta(**files).load()
    # 20 % of 50 for the test, 10 % of the remaining 40 for validation
    for split, count in (("train", 36), ("valid", 4), ("test", 10)):
        targets = data.splits()[split].targets[:, 0].tolist()
        assert Counter(targets) == {1: count, 0: count}
    assert len(set(every_row(data))) == 100
    assert data.digest() == Fasta(**files).load().digest()
    assert set(rows(data.test)) != set(rows(Fasta(**files, seed=1).load().test))


def test_splits_by_name_put_whole_chromosomes_aside(tmp_path: Path) -> None:
    sequences = random_dna(120)
    lines = [f"chr{i % 12}:{i}\t{i % 5 % 2}\t{sequence}\n" for i, sequence in enumerate(sequences)]
    file = tmp_path / "t.tsv"
    file.write_text("id\tlabel\tsequence\n" + "".join(lines))
    data = Fasta(table=str(file), test_names="^chr(8|9):", valid_names="^chr7:").load()
    expected = {
        "test": {s for i, s in enumerate(sequences) if i % 12 in (8, 9)},
        "valid": {s for i, s in enumerate(sequences) if i % 12 == 7},
        "train": {s for i, s in enumerate(sequences) if i % 12 not in (7, 8, 9)},
    }
    assert {name: set(rows(split)) for name, split in data.splits().items()} == expected
    with pytest.raises(InputError, match="test_names is 'chrX', which is found in none of 120"):
        Fasta(table=str(file), test_names="chrX").load()


def test_splits_by_a_table(files: dict[str, Any], tmp_path: Path) -> None:
    names = [f"chr{c}:{i}" for c in (1, 2) for i in range(50)]
    lines = [f"{n}\t{'test' if n.endswith('0') else 'all'}\n" for n in names]
    (tmp_path / "splits.tsv").write_text("id\tsplit\n" + "".join(lines))
    data = Fasta(**files, splits=str(tmp_path / "splits.tsv")).load()
    # 45 of each class are left, of which a tenth is 4.5, rounded to even
    assert [len(data.test), len(data.valid), len(data.train)] == [10, 8, 82]
    (tmp_path / "splits.tsv").write_text("id\tsplit\n" + "".join(lines[:-1]))
    with pytest.raises(InputError, match="has no split for 1 of .*'chr2:49'"):
        Fasta(**files, splits=str(tmp_path / "splits.tsv")).load()


def test_a_sequence_in_two_splits_is_removed_from_the_one_that_learns(tmp_path: Path) -> None:
    sequences = random_dna(60)
    lines = [f"{i}\t{i % 2}\ttrain\t{s}\n" for i, s in enumerate(sequences)]
    lines += [
        f"v\t0\tvalid\t{sequences[3]}\n",  # also in training
        f"w\t1\tvalid\t{random_dna(1, seed=7)[0]}\n",
        f"x\t1\ttest\t{reverse_complement(sequences[5])}\n",  # the other strand is in training
        f"y\t0\ttest\t{random_dna(1, seed=8)[0]}\n",
    ]
    (tmp_path / "t.tsv").write_text("id\tlabel\tsplit\tsequence\n" + "".join(lines))
    data = Fasta(table=str(tmp_path / "t.tsv")).load()
    assert set(rows(data.train)) == set(sequences) - {sequences[3], sequences[5]}
    assert len(data.valid) == len(data.test) == 2
    notes = " ".join(data.notes)
    assert "2 of 64 sequences repeat another" in notes
    assert "2 sequences removed from train: they stand in valid and test too" in notes
    assert "1 sequences are labelled both positive and negative" in notes  # 3 is a positive


def test_other_strands_are_added_to_training_alone(files: dict[str, Any]) -> None:
    plain, both = Fasta(**files).load(), Fasta(**files, reverse_complement=True).load()
    turned = {reverse_complement(row) for row in rows(plain.train)}
    assert set(rows(both.train)) == set(rows(plain.train)) | turned
    assert len(both.train) == 2 * len(plain.train)
    assert torch.equal(both.valid.tokens, plain.valid.tokens)
    assert torch.equal(both.test.tokens, plain.test.tokens)
    held_out = {*rows(plain.valid), *rows(plain.test)}
    assert not held_out & set(rows(both.train))


def test_shuffled_negatives_stand_in_the_split_of_their_positive(files: dict[str, Any]) -> None:
    data = Fasta(files["positives"]).load()
    for split in data.splits().values():
        found = rows(split)
        half = len(found) // 2
        assert split.targets[:, 0].tolist() == [1] * half + [0] * half
        for positive, negative in zip(found[:half], found[half:], strict=True):
            assert positive != negative
            assert Counter(pairwise(positive)) == Counter(pairwise(negative))


# --- what is asked ----------------------------------------------------------------------------


def table(path: Path, columns: dict[str, list[Any]], sequences: list[str]) -> str:
    names = "\t".join([*columns, "sequence"])
    values = zip(*columns.values(), sequences, strict=True)
    path.write_text(names + "\n" + "".join("\t".join(map(str, row)) + "\n" for row in values))
    return str(path)


def by_sequence(data: Any) -> dict[str, list[float]]:
    found = {}
    for split in data.splits().values():
        found |= dict(zip(rows(split), split.targets.tolist(), strict=True))
    return found


def test_classes_may_be_any_number_of_names(tmp_path: Path) -> None:
    sequences = random_dna(60)
    kinds = [("owl", "cat", "dog")[i % 3] for i in range(60)]
    data = Fasta(table=table(tmp_path / "t.tsv", {"label": kinds}, sequences)).load()
    assert data.spec.output == "sequence_class" and data.spec.num_outputs == 3
    assert data.spec.output_names == ("cat", "dog", "owl")
    names = data.spec.output_names
    assert {s: names[i] for s, i in labelled(data).items()} == dict(
        zip(sequences, kinds, strict=True)
    )
    assert all(len(split.targets.unique()) == 3 for split in data.splits().values())


def test_classes_that_are_numbers_stand_in_their_order(tmp_path: Path) -> None:
    stages = [(10, 2, "2.0")[i % 3] for i in range(60)]
    path = table(tmp_path / "t.tsv", {"stage": stages}, random_dna(60))
    data = Fasta(table=path, targets=["stage"]).load()
    assert data.spec.output_names == ("2", "10")
    assert "stage: one column of 3 different values, so dataset.task is sequence_class" in (
        data.notes
    )


def test_numbers_with_fractions_are_a_regression_and_stay_what_they_are(tmp_path: Path) -> None:
    sequences = random_dna(60)
    strengths: list[Any] = [0.525 + i / 7 for i in range(60)]
    strengths[:3] = ["NA", "", "-1.5e-3"]
    path = table(tmp_path / "t.tsv", {"strength": strengths}, sequences)
    data = Fasta(table=path, targets=["strength"]).load()
    assert data.spec.output == "regression" and data.spec.output_names == ("strength",)
    assert "strength: numbers with fractions, so dataset.task is regression" in data.notes
    found = by_sequence(data)
    assert all(split.targets.dtype is torch.float32 for split in data.splits().values())
    assert all(found[s][0] != found[s][0] for s in sequences[:2])  # nan
    assert found[sequences[2]] == [torch.tensor(-1.5e-3).item()]
    assert found[sequences[9]] == [torch.tensor(0.525 + 9 / 7).item()]
    assert [len(split) for split in data.splits().values()] == [43, 5, 12]


def test_a_column_may_list_labels(tmp_path: Path) -> None:
    sequences = random_dna(60)
    columns = {"cells": [("liver,brain", "brain", ",", "NA")[i % 4] for i in range(60)]}
    path = table(tmp_path / "t.tsv", columns, sequences)
    data = Fasta(table=path, targets=["cells"], task="multi_label").load()
    assert data.spec.output_names == ("brain", "liver")
    expected = [[1, 1], [1, 0], [0, 0], [-100, -100]]
    assert by_sequence(data) == {s: expected[i % 4] for i, s in enumerate(sequences)}


def test_several_columns_are_labels_or_numbers(tmp_path: Path) -> None:
    sequences = random_dna(60)
    columns: dict[str, list[Any]] = {
        "a": [i % 2 for i in range(60)],
        "b": [("true", "False", "null")[i % 3] for i in range(60)],
        "x": [i / 2 for i in range(60)],
        "y": list(range(60)),
    }
    path = table(tmp_path / "t.tsv", columns, sequences)
    data = Fasta(table=path, targets=["a", "b"]).load()
    assert data.spec.output == "multi_label" and data.spec.output_names == ("a", "b")
    expected = {s: [i % 2, (1, 0, -100)[i % 3]] for i, s in enumerate(sequences)}
    assert by_sequence(data) == expected
    data = Fasta(table=path, targets=["x", "y"]).load()
    assert data.spec.output == "regression" and data.spec.num_outputs == 2
    assert by_sequence(data) == {s: [i / 2, i] for i, s in enumerate(sequences)}
    with pytest.raises(InputError, match="targets names a .0 and 1. and x .other numbers.; are"):
        Fasta(table=path, targets=["a", "x"]).load()
    both = Fasta(table=path, targets=["a", "x"], task="regression").load()
    assert by_sequence(both) == {s: [i % 2, i / 2] for i, s in enumerate(sequences)}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("1,5", "decimal point"),
        ("1,234.5", "nothing between thousands"),
        ("3.5 nM", "without its unit"),
        ("7mM", "without its unit"),
        ("inf", "finite"),
        ("-Infinity", "finite"),
        ("1e39", "above 3.403e.38"),
        ("high", "give a number"),
    ],
)
@pytest.mark.parametrize("task", [None, "regression"])
def test_what_is_no_number_is_named_with_its_line(
    tmp_path: Path, value: str, says: str, task: Any
) -> None:
    values: list[Any] = [i / 4 for i in range(30)]
    values[4] = value
    path = table(tmp_path / "t.tsv", {"strength": values}, random_dna(30))
    with pytest.raises(InputError, match=f"line 6: strength is '{re.escape(value)}'.*{says}"):
        Fasta(table=path, targets=["strength"], task=task).load()


def test_what_the_values_leave_open_is_asked(tmp_path: Path) -> None:
    sequences = random_dna(60)
    columns: dict[str, list[Any]] = {
        "count": list(range(60)),
        "float": [0.5 * (i % 4) for i in range(60)],
        "name": [f"gene {i}" for i in range(60)],
        "empty": ["NA"] * 60,
        "gaps": [("a", "b", "")[i % 3] for i in range(60)],
        "one": ["yes"] * 60,
        "five": [5.5] * 60,
    }
    path = table(tmp_path / "t.tsv", columns, sequences)
    asked = [
        ({"targets": ["count"]}, "60 different integers in 60 rows; are they numbers or classes"),
        ({"targets": ["float"], "task": "sequence_class"}, "'0.5', a number .* which is meant"),
        ({"targets": ["name"]}, "look like names of the sequences.*dataset.targets right"),
        ({"targets": ["empty"]}, "empty is missing here and in all of 60 rows"),
        ({"targets": ["gaps"]}, "20 of 60 sequences have no gaps: .*line 4 .nothing."),
        ({"targets": ["one"]}, "all 60 sequences have the label 'yes'; at least two"),
        ({"targets": ["five"]}, "five is 5.5 for all sequences of train.* nothing to learn"),
        ({"targets": ["count", "name"]}, "name is 'gene 0'; several columns .* are labels"),
        ({"targets": ["count"], "task": "multi_label"}, "line 4: count is '2'; a label is 0"),
        ({"targets": ["cuont"]}, "did you mean 'count' for 'cuont'.*dataset.targets"),
        ({"targets": ["count"], "sequence_column": "dna"}, "dataset.sequence_column"),
    ]
    for keys, says in asked:
        with pytest.raises(InputError, match=says):
            Fasta(table=path, **keys).load()
    data = Fasta(table=path, targets=["count"], task="regression").load()
    assert data.spec.output == "regression" and data.train.targets.dtype is torch.float32


def test_a_column_of_letters_may_have_another_name(tmp_path: Path) -> None:
    sequences = random_dna(30)
    lines = [f"{i % 2}\t{s}\n" for i, s in enumerate(sequences)]
    (tmp_path / "t.tsv").write_text("label\tpromoter\n" + "".join(lines))
    data = Fasta(table=str(tmp_path / "t.tsv"), sequence_column="promoter").load()
    assert labelled(data) == {s: i % 2 for i, s in enumerate(sequences)}


def test_labels_of_a_second_table_may_be_numbers(tmp_path: Path) -> None:
    sequences = random_dna(30)
    source = fasta(tmp_path / "s.fa", sequences)
    (tmp_path / "l.csv").write_text("id,value\n" + "".join(f"s{i},{i / 4}\n" for i in range(30)))
    labels = str(tmp_path / "l.csv")
    data = Fasta(sequences=source, labels=labels, targets=["value"]).load()
    assert by_sequence(data) == {s: [i / 4] for i, s in enumerate(sequences)}
    (tmp_path / "l.csv").write_text(
        "id,value\n" + "".join(f"s{i},{i / 4} s\n" for i in reversed(range(30)))
    )
    with pytest.raises(InputError, match="l.csv, line 31: value is '0.0 s': .*without its unit"):
        Fasta(sequences=source, labels=labels, targets=["value"], task="regression").load()


def test_a_class_that_training_lacks_is_refused_and_one_that_the_test_lacks_is_said(
    tmp_path: Path,
) -> None:
    kinds = ["ab"[i % 2] for i in range(40)] + ["c"]
    splits = ["train"] * 30 + ["test"] * 11
    columns: dict[str, list[Any]] = {"label": kinds, "split": splits}
    sequences = random_dna(41)
    path = table(tmp_path / "t.tsv", columns, sequences)
    with pytest.raises(InputError, match="class 'c' has no sequence in the train split"):
        Fasta(table=path).load()
    columns["split"] = ["train"] * 29 + ["test"] * 11 + ["train"]
    data = Fasta(table=table(tmp_path / "t.tsv", columns, sequences)).load()
    assert "1 classes have no sequence in test: 'c'" in data.notes


# --- alphabets --------------------------------------------------------------------------------

ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def random_letters(letters: str, count: int, length: int = 30) -> list[str]:
    generator = random.Random(0)
    return ["".join(generator.choices(letters, k=length)) for _ in range(count)]


def test_protein_has_twenty_letters_and_open_ones_are_padding(tmp_path: Path) -> None:
    sequences = [f"{s[:-2]}{'XBZJUO*'[i % 7]}w" for i, s in enumerate(random_letters(ACIDS, 40))]
    path = table(tmp_path / "t.tsv", {"label": [i % 2 for i in range(40)]}, sequences)
    data = Fasta(table=path, alphabet="protein").load()
    assert data.spec.vocabulary.symbols == tuple(ACIDS)
    read = {
        "".join(f"-{ACIDS}"[token] for token in row)
        for split in data.splits().values()
        for row in split.tokens.tolist()
    }
    assert read == {f"{s[:-2]}-W" for s in sequences}
    assert encode("acX*w", data.spec) == [1, 2, 0, 0, 19]
    told = Fasta(table=path, alphabet="auto").load()
    assert told.digest() == data.digest()
    assert "dataset.alphabet is protein, as the letters tell" in told.notes
    with pytest.raises(InputError, match="looks like protein.*give dataset.alphabet=protein"):
        Fasta(table=path).load()
    with pytest.raises(InputError, match="reverse_complement is true, but .* no DNA or RNA"):
        Fasta(table=path, alphabet="protein", reverse_complement=True).load()


def test_dna_that_is_called_protein_is_said(tmp_path: Path) -> None:
    path = table(tmp_path / "t.tsv", {"label": [i % 2 for i in range(40)]}, random_dna(40))
    notes = Fasta(table=path, alphabet="protein").load().notes
    assert "all letters are A, C, G, T or unknown: this looks like DNA, not protein" in notes


def test_rna_is_dna_with_another_letter(tmp_path: Path) -> None:
    labels = {"label": [i % 2 for i in range(40)]}
    sequences = random_dna(40)
    dna = Fasta(table=table(tmp_path / "t.tsv", labels, sequences)).load()
    rna = [s.replace("T", "U") for s in sequences]
    path = table(tmp_path / "u.tsv", labels, rna)
    assert Fasta(table=path).load().digest() == dna.digest()
    for alphabet in ("rna", "auto"):
        data = Fasta(table=path, alphabet=alphabet, reverse_complement=True).load()
        assert data.spec.vocabulary.symbols == ("A", "C", "G", "U")
        assert torch.equal(data.test.tokens, dna.test.tokens)
        assert len(data.train) == 2 * len(dna.train)


def test_an_alphabet_of_ones_own_takes_its_letters_and_no_other(tmp_path: Path) -> None:
    sequences = [*random_letters("HPé", 39), "HPHPHPHPHPHPHPHPHPHPHP"]
    path = table(tmp_path / "t.tsv", {"label": [i % 2 for i in range(40)]}, sequences)
    data = Fasta(table=path, alphabet="HPé").load()
    assert data.spec.vocabulary.symbols == ("H", "P", "é")
    read = {
        "".join("-HPé"[token] for token in row).rstrip("-")
        for split in data.splits().values()
        for row in split.tokens.tolist()
    }
    assert read == set(sequences)
    with pytest.raises(
        InputError, match="has 'é' at position .*letters of dataset.alphabet are HP"
    ):
        Fasta(table=path, alphabet="HP").load()
    with pytest.raises(InputError, match="is auto, but some of the letters, as é, are neither"):
        Fasta(table=path, alphabet="auto").load()


@pytest.mark.parametrize(
    ("alphabet", "says"),
    [
        ("DNA", "did you mean dna"),
        ("H", "fewer than two letters"),
        ("HPH", "has 'H' twice"),
        ("H P", "has ' ', a blank"),
    ],
)
def test_an_alphabet_that_is_none_is_refused(alphabet: str, says: str) -> None:
    with pytest.raises(InputError, match=f"dataset.alphabet is '{alphabet}'.*{says}"):
        Fasta(table="t.tsv", alphabet=alphabet).load()


def test_letters_of_any_alphabet_are_shuffled(tmp_path: Path) -> None:
    positives = fasta(tmp_path / "p.fa", random_letters(ACIDS[:5], 40))
    data = Fasta(positives, alphabet="protein").load()
    half = len(data.train) // 2
    for one, other in zip(data.train.tokens[:half], data.train.tokens[half:], strict=True):
        assert Counter(pairwise(one.tolist())) == Counter(pairwise(other.tolist()))


def test_a_length_pads_all_splits_alike_and_cuts_nothing(tmp_path: Path) -> None:
    sequences = [s[: 30 + i % 5] for i, s in enumerate(random_dna(40))]
    path = table(tmp_path / "t.tsv", {"label": [i % 2 for i in range(40)]}, sequences)
    data = Fasta(table=path, length=36).load()
    assert data.spec.length == 36
    assert {split.tokens.shape[1] for split in data.splits().values()} == {36}
    assert {row.rstrip("-") for row in every_row(data)} == set(sequences)
    ends = Fasta(table=path, length=36, pad="left").load()
    assert {row.lstrip("-") for row in every_row(ends)} == set(sequences)
    for one in (data, ends):  # a trained model reads them alike
        row = one.test.tokens[0].tolist()
        assert encode("".join("-ACGT"[token] for token in row).strip("-"), one.spec) == row
        with pytest.raises(InputError, match="has 37 letters; the model was trained on 36 at most"):
            encode("A" * 37, one.spec)
    with pytest.raises(InputError, match="dataset.pad is left, but dataset.length is null"):
        Fasta(table=path, pad="left").load()
    with pytest.raises(InputError, match="dataset.length is 33, but 'line 6' has 34 letters"):
        Fasta(table=path, length=33).load()


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; expected is FASTA"),
        (b"  \n \n", "is empty"),
        (b"ACGT\n", "begins with 'ACGT'; expected is FASTA"),
        (bytes(range(256)), "is not UTF-8 text"),
        (gzip.compress(b">a\nACGT\n" * 99, mtime=0)[:-9], "cannot be read .*ended before"),
        (b">a\nMKTAYIAKQRQISFVKSHFSRQ\n", "a has 'I' at position 6; this looks like protein"),
        (b">a\nMKVSKVSDHMKVSDAKVYW\n", "18 of 19 letters that leave the nucleotide open.*protein"),
        (b">a\nAC GT7\n", "a has '7' at position 5; letters are ACGTUN"),
        (b">a\n>b\nACGT\n", "a has no sequence"),
        (b">\nACGT\n", "record 1 has no name"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_by_name(
    tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "x.fa"
    file.write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        Fasta(str(file)).load()
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            "id\tlabel\n",
            "has the columns id, label; expected is a table with the columns label, sequence and",
        ),
        ("id\tlabel\tsequence\n", "has no rows"),
        (
            "id\tlabel\tsequence\na\t2\tACGT\n",
            "line 2: all 1 sequences have the label '2'; at least two classes",
        ),
        ("id\tlabel\tsequence\na\t1\n", "line 2: has 2 fields, but the first line names 3 columns"),
        ("id\tlabel\tlabel\tsequence\na\t1\t1\tAC\n", "has 2 columns 'label'; rename one"),
        ('id\tlabel\tsequence\na\t1\t"AC', "a has '\"' at position 1"),
        (
            "id\tlabel\tsequence\na\t0.525\tACGT\n",
            "line 2: label is '0.525', a number with a fraction, but a class .* which is meant",
        ),
    ],
)
def test_a_table_that_is_not_sound_is_refused_by_name(
    tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "x.tsv"
    file.write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        Fasta(table=str(file)).load()
    assert str(file) in str(caught.value)


def test_sequences_shorter_than_a_filter_are_refused(tmp_path: Path, files: dict[str, Any]) -> None:
    short = fasta(tmp_path / "short.fa", ["ACGTACG", *random_dna(9)])
    with pytest.raises(InputError, match="min_length is 20, but 1 of 60 .* 's0' with 7 letters"):
        Fasta(short, files["negatives"]).load()


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    lines = [f"{i}\t0\t{s}\n" for i, s in enumerate(random_dna(20))]
    (tmp_path / "t.tsv").write_text("id\tlabel\tsequence\n" + "".join(lines))
    with pytest.raises(InputError, match="whole has 0 positives and 20 negatives"):
        Fasta(table=str(tmp_path / "t.tsv")).load()


def test_nothing_but_unknown_letters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="s0 has no A, C, G or T"):
        Fasta(fasta(tmp_path / "n.fa", ["N" * 30, *random_dna(9)])).load()


@pytest.mark.slow
def test_real_sets_are_read_whole() -> None:
    if not SHARED.is_dir():
        pytest.skip("the data for development are not here")
    planted = Fasta(table=str(SHARED / "dna/primer_planted.tsv.gz")).load()
    assert sum(map(len, planted.splits().values())) == 2000
    positives = [
        row
        for split in planted.splits().values()
        for row, label in zip(rows(split), split.targets[:, 0].tolist(), strict=True)
        if label
    ]
    assert len(positives) == 987 and all("CGACCGAACTCC" in row for row in positives)
    peaks = Fasta(table=str(SHARED / "dna/nfe2_gm12878.tsv.gz")).load()
    assert len(peaks.test) == 138 and peaks.spec.length is None
