"""Tokens with a label each: every form gives the same, and what is wrong is named with its line."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import SHARED

from seqexp.data import Data, Sequences
from seqexp.dataset.check import tagged_files_can_be_read
from seqexp.dataset.soundness import checked
from seqexp.dataset.tagged.reading import Tagged
from seqexp.dataset.tagged.splitting import split
from seqexp.dataset.tagged.units import pieces, shape, tokens_of
from seqexp.dataset.tagging import Tagging
from seqexp.errors import InputError
from seqexp.spec import IGNORE, Output, TaskSpec

NAME = "seqexp.dataset.tagging.Tagging"

SENTENCES = [
    [("a", "DET"), ('"', "PUNCT"), (name, "NOUN"), (verb, "VERB")]
    for name in ("cat", "dog", "owl", "emu")
    for verb in ("runs", "sees", "eats", "sits")
]


def two_columns(sentences: Any = SENTENCES, separator: str = "\t", end: str = "\n") -> str:
    blocks = (f"{end}".join(f"{w}{separator}{t}" for w, t in one) for one in sentences)
    return f"{end}{end}".join(blocks) + end


def table(sentences: Any = SENTENCES) -> str:
    rows = ("\t".join(" ".join(part) for part in zip(*one, strict=True)) for one in sentences)
    return "\n".join(["text\ttags", *rows])


def conllu(sentences: Any = SENTENCES) -> str:
    """With comments, ranges of words and empty nodes, which are no words."""
    blocks, blanks = [], "\t_" * 8
    for number, one in enumerate(sentences):
        lines = [f"# sent_id = s{number}", "# text = a cat"]
        for place, (word, tag) in enumerate(one, start=1):
            lines += [f"{place}-{place + 1}\taa{blanks}"] if place == 2 else []
            lines.append(f"{place}\t{word}\t_\t{tag}\t{tag.lower()}\t_\t0\tdep\t_\t_")
            lines += [f"{place}.1\tnone{blanks}"] if place == 3 else []
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def token_lists(sentences: Any = SENTENCES, key: str = "labels") -> str:
    rows = (
        json.dumps({"tokens": [w for w, _ in one], key: [t for _, t in one]}) for one in sentences
    )
    return "\n".join(rows)


def written(path: Path, content: str | bytes) -> str:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def texts(data: Data, split: str) -> list[list[tuple[str, str]]]:
    """Tokens and labels of a split, as the ids tell."""
    part: Sequences = data.splits()[split]
    names = data.spec.output_names
    return [
        [
            (data.spec.vocabulary.symbols[token - 1], names[target] if target != IGNORE else "")
            for token, target in zip(tokens.tolist(), targets.tolist(), strict=True)
            if token
        ]
        for tokens, targets in zip(part.tokens, part.targets, strict=True)
    ]


# --- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", two_columns()),
        ("a.txt", two_columns(separator=" ")),
        ("a.conll", two_columns(separator=" \t  ").replace("PUNCT", "PUNCT\t\t")),
        ("a.tsv", "\ufeff" + two_columns(end="\r\n")),
        ("a.tsv", "\n\n" + two_columns().replace("\n\n", "\n \n\n\t\n")),
        ("a.tsv", "word\ttag\n" + two_columns()),
        ("a.tsv", gzip.compress(two_columns().encode(), mtime=0)),
        ("a.txt", conllu()),
        ("a.tsv", gzip.compress(conllu().encode(), mtime=0)),
        ("a.conllu", "\n" + conllu().replace("\n", "\r\n")),
        ("a.txt", token_lists()),
        ("a.jsonl", "\ufeff" + token_lists() + "\n"),
        ("table.tsv", table()),
        ("table.csv", table().replace("\t", ",")),
    ],
)
def test_every_form_gives_the_same_tokens_and_labels(
    tmp_path: Path, name: str, content: str | bytes
) -> None:
    path = written(tmp_path / name, content)
    columns = {"text_column": "text", "labels_column": "tags"} if name.startswith("table") else {}
    data = Tagging(path, min_count=1, **columns).load()
    found = [one for split in ("train", "valid", "test") for one in texts(data, split)]
    assert sorted(found) == sorted(SENTENCES)
    assert data.spec.output is Output.TOKEN_CLASS
    assert data.spec.output_names == ("DET", "NOUN", "PUNCT", "VERB")
    checked(data, NAME)


def test_the_column_of_labels_is_chosen_by_name_or_number(tmp_path: Path) -> None:
    of_conllu = written(tmp_path / "a.conllu", conllu())
    for given in ("xpos", "XPOS", 5):
        data = Tagging(of_conllu, label_column=given, min_count=1).load()
        assert data.spec.output_names == ("det", "noun", "punct", "verb")
    four = written(tmp_path / "a.txt", two_columns().replace("\t", " x y "))
    assert Tagging(four, label_column=4, min_count=1).load().spec.output_names[0] == "DET"
    of_json = written(tmp_path / "a.jsonl", token_lists(key="ner_tags"))
    assert Tagging(of_json, label_column="ner_tags", min_count=1).load().spec.num_outputs == 4


WRONG_FORMS = [
    (conllu().replace("\t_\t_\n", "\t_\n", 1), None, "line 3: has 9 columns"),
    (conllu().replace("3\tcat", "4\tcat"), None, "line 6: the ID is '4', and 3 is the next one"),
    (conllu().replace("\n\n", "\n"), None, "line 11: the ID is '1', and 5 is the next one"),
    (conllu().replace("\tcat\t", "\t\t"), None, r"line 6: the word \(FORM\) is empty"),
    (conllu().replace("\tnoun\t", "\t_\t"), "xpos", "line 6: 'cat' has no XPOS"),
    (conllu(), "head", r"label_column is head; of CoNLL-U give one of upos \(4\), xpos"),
    (token_lists().replace('"DET", ', "", 1), None, "line 1: 4 tokens have 3 labels"),
    (token_lists().replace('["DET"', '[["DET"]', 1), None, "line 1: labels 1 is .*; give a text"),
    (token_lists().replace('["DET"', "[0.5", 1), None, "line 1: labels 1 is 0.5; give a text"),
    (token_lists().replace('["a"', '[""', 1), None, 'line 1: tokens 1 is "?.*; give a text'),
    ('{"tokens": [], "labels": []}', None, "line 1: tokens is .*not empty"),
    (token_lists(), "ner", "has no .*'ner'.*dataset.label_column"),
    ('{"text": "a b"}', None, "has no .*'tokens'"),
    (token_lists().replace("}", ', "split": "x"}', 1), None, "line 1: split is 'x'; give one of"),
    (two_columns(), "upos", "label_column is upos, but its columns have no names"),
    (two_columns(), 3, "line 1: has 2 columns.* column 3"),
]


@pytest.mark.parametrize(("content", "label", "told"), WRONG_FORMS)
def test_what_is_wrong_in_a_form_is_told_by_its_line(
    tmp_path: Path, content: str, label: Any, told: str
) -> None:
    path = written(tmp_path / "a.txt", content)
    with pytest.raises(InputError, match=f"(?s)a.txt.*{told}"):
        Tagging(path, label_column=label).load()


def test_letters_have_a_label_each_where_labels_have_no_blanks(tmp_path: Path) -> None:
    rows = [f"AC{letter}E\the_{label}" for letter in "ACDEFG" for label in "he_"]
    path = written(tmp_path / "a.tsv", "\n".join(["sequence\tlabels", *rows]))
    data = Tagging(
        path, text_column="sequence", labels_column="labels", min_count=1, valid_share=0.0
    ).load()
    tokens = {"".join(token for token, _ in one) for one in texts(data, "train")}
    assert tokens and all(len(text) == 4 and text.startswith("AC") for text in tokens)
    assert data.spec.output_names == ("_", "e", "h")
    assert data.notes[0] == "a label is of a letter (dataset.unit: characters)"


def test_a_file_each_and_a_column_split_are_kept(tmp_path: Path) -> None:
    parts = {"valid": SENTENCES[:2], "test": SENTENCES[2:5], "train": SENTENCES[5:]}
    paths = {name: written(tmp_path / name, two_columns(part)) for name, part in parts.items()}
    data = Tagging(
        paths["train"], valid_path=paths["valid"], test_path=paths["test"], min_count=1
    ).load()
    rows = [f"{' '.join(w for w, _ in one)}\t{' '.join(t for _, t in one)}" for one in SENTENCES]
    names = ["dev"] * 2 + ["test"] * 3 + ["train"] * 11
    split = [f"{row}\t{name}" for row, name in zip(rows, names, strict=True)]
    path = written(tmp_path / "a.tsv", "\n".join(["x\ty\tsplit", *split]))
    other = Tagging(path, text_column="x", labels_column="y", min_count=1).load()
    for found in (data, other):
        assert texts(found, "train") == [*parts["train"]]
        known = {word for one in parts["train"] for word, _ in one}
        expected = [[(w if w in known else "<unk>", t) for w, t in one] for one in parts["test"]]
        assert texts(found, "test") == expected
        assert len(found.valid) == 2


def test_what_is_drawn_depends_on_the_seed_alone_and_equal_sequences_stay_together(
    tmp_path: Path,
) -> None:
    first = written(tmp_path / "a", two_columns(SENTENCES * 3))
    again = written(tmp_path / "b", two_columns(SENTENCES[::-1] * 3))
    tests = [
        sorted(texts(Tagging(path, seed=seed, min_count=1).load(), "test"))
        for path, seed in ((first, 0), (again, 0), (first, 1))
    ]
    assert tests[0] == tests[1] != tests[2]
    data = Tagging(first, min_count=1).load()
    splits = [{str(one) for one in texts(data, name)} for name in data.splits()]
    assert all(splits) and not splits[0] & splits[1] and not splits[2] & (splits[0] | splits[1])


def test_relatives_are_drawn_together(tmp_path: Path) -> None:
    # a chain: each sequence shares three letters with the next of its family, not with the first
    families = ["abcdefghi", "jklmnopqr", "stuvwxyzA", "BCDEFGHIJ"]
    rows = [family[start : start + 5] for family in families for start in (0, 2, 4)]
    sequences = [Tagged(row, "xyxyx", row) for row in rows]
    for seed in range(5):
        parts = split(sequences, {"test": 0.25, "valid": 0.3}, seed, run=3)
        found = [
            {family for family in families for one in part if one.place in family}
            for part in parts.values()
        ]
        assert sorted(map(len, found)) == [1, 1, 2] and len(set().union(*found)) == len(families)
    lines = [f"{'abcdefghi'[start : start + 3]}\txyx" for start in range(7)]
    path = written(tmp_path / "b.tsv", "\n".join(["s\tl", *lines]))
    with pytest.raises(InputError, match="groups that share no 2 tokens, to draw from are 1"):
        Tagging(path, text_column="s", labels_column="l", keep_together=2).load()


def test_without_a_path_sentences_are_made() -> None:
    data = Tagging(num_made=50).load()
    checked(data, NAME)
    assert data.digest() == Tagging(num_made=50).load().digest()
    assert data.digest() != Tagging(num_made=50, seed=1).load().digest()
    tags: dict[str, set[str]] = {}
    for one in texts(data, "train"):
        for word, tag in one:
            tags.setdefault(word, set()).add(tag)
    assert any(len(found) > 1 for found in tags.values())  # neighbours must be looked at


# --- units ------------------------------------------------------------------------------------


def test_pieces_of_a_word_are_its_form_its_ends_and_itself() -> None:
    assert pieces("Kjeld") == ["shape:Xx", "kje-", "-ld", "-eld", "Kjeld"]
    assert pieces("a") == ["shape:x", "a-", "-a", "-a", "a"]
    assert [shape(word) for word in ("SID-huset", "1.200", "…", "iPhone7")] == [
        *("X-x", "0.0", "…", "xXx0"),
    ]


@pytest.mark.parametrize("unit", ["words", "characters", "pieces"])
def test_each_label_stands_at_the_last_token_of_its_word(tmp_path: Path, unit: str) -> None:
    path = written(tmp_path / "a", two_columns())
    data = Tagging(path, unit=unit, min_count=1).load()  # type: ignore[arg-type]
    for name in data.splits():
        for one in texts(data, name):
            labelled = [(token, label) for token, label in one if label]
            assert [label for _, label in labelled] == ["DET", "PUNCT", "NOUN", "VERB"]
            words = [token for token, _ in labelled]
            assert words[:2] == ["a", '"'] and words[3][-1] == "s"
    tokens, places = tokens_of(["ab", "c"], "characters")
    assert tokens == ["a", "b", "␣", "c"] and places == [1, 3]


def test_rare_tokens_are_unknown_and_case_is_kept_unless_asked(tmp_path: Path) -> None:
    sentences = [[("The", "A"), (f"word{i}", "B")] for i in range(9)] + [[("the", "A")] * 2] * 2
    path = written(tmp_path / "a", two_columns(sentences))
    data = Tagging(path, test_path=path, valid_share=0.0).load()
    assert data.spec.vocabulary.symbols == ("<unk>", "The", "the")
    lower = Tagging(path, test_path=path, valid_share=0.0, lower=True).load()
    assert lower.spec.vocabulary.symbols == ("<unk>", "the")
    assert Tagging(
        path, test_path=path, valid_share=0.0, max_tokens=3
    ).load().spec.vocabulary.symbols == (*("<unk>", "The"),)
    assert any("40.9% of the words of test are not in the" in note for note in data.notes)


def test_how_words_were_read_is_part_of_the_spec(tmp_path: Path) -> None:
    spec = Tagging(unit="pieces", lower=True, num_made=20).load().spec
    assert TaskSpec.from_dict(spec.to_dict()) == spec
    assert spec.words is not None and (spec.words.unit, spec.words.lower) == ("pieces", True)


# --- what is wrong ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "holds no sequence; give a token, a tab and its label a line"),
        ("\n \n", "holds no sequence"),
        ("a\tX\nb\n", "line 2: 'b' has no label; give a token, a tab and its label"),
        ("a\tX\nb\t\n", "line 2: 'b' has no label; give both, a tab between"),
        ("a\tX\n\tY\n", "line 2: 'Y' has no token; give both"),
        ("a\tX\nb Y\n", "line 2: 'b Y' has no label; .*here a tab parts the columns"),
        ("a X\nb\n", "line 2: 'b' has no label; give a token, a blank and its label"),
        ("a X\nb Y Z\n", "line 2: has 3 columns, 'b Y Z'; give two, a token and its label"),
        ("1\ta\tX\n", "line 1: has 3 columns.*of a table, name two columns by dataset.text_column"),
        ("a\tX\nb\tX\n\nc\tX\n", "line 1: all 3 tokens to learn from have the label 'X'"),
        (b"a\tX\n\xe9\tY\n", "line 2: is not UTF-8 text"),
        ("a\tX\nb\tY\n", "dataset.test_share is 0.1, but different sequences to draw from are 1"),
        (
            "\n\n".join(f"{i % 9}\t{i / 100}" for i in range(99)),
            r"the labels are numbers, as '0\..*look like measurements",
        ),
        (
            "\n\n".join(f"NOUN\tword{i}\nVERB\tverb{i}" for i in range(99)),
            "different labels of 2 different tokens; are the columns the other way round",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_named_with_its_line(
    tmp_path: Path, content: str | bytes, says: str
) -> None:
    path = written(tmp_path / "a.tsv", content)
    with pytest.raises(InputError, match=says):
        Tagging(path).load()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "is empty; its first line must name the columns"),
        ("text\ttags\n", "holds no rows"),
        ("text\ttag\nab\txy\n", "no column 'tags'; did you mean 'tag'.*dataset.labels_column"),
        ("text\ttags\nab\txyz\n", r"line 2: 2 letters \('ab'...\) have 3 labels \('xyz'"),
        ("text\ttags\nabc\txy\n", "line 2: 3 letters .* have 2 labels"),
        ("text\ttags\na b c\tX Y\n", "line 2: 3 words .* have 2 labels"),
        ("text\ttags\n \txy\n", "line 2: text is empty; give text"),
        ("text\ttags\nab\t\n", "line 2: tags is empty; give labels"),
        ("text\ttags\tsplit\nab\txy\tother\n", "line 2: split is 'other'; give one of train"),
        ("text\ttags\nab\txy\tz\n", "line 2: has 3 fields, but the first line names 2 columns"),
    ],
)
def test_what_is_wrong_with_a_table_is_named_with_its_line(
    tmp_path: Path, content: str, says: str
) -> None:
    path = written(tmp_path / "a.tsv", content)
    with pytest.raises(InputError, match=says):
        Tagging(path, text_column="text", labels_column="tags").load()


def test_labels_that_training_lacks_and_sequences_in_two_splits_are_said(tmp_path: Path) -> None:
    train = written(tmp_path / "a", two_columns())
    test = written(tmp_path / "b", two_columns([*SENTENCES[:2], [("a", "VERBS"), ("cat", "X")]]))
    data = Tagging(train, test_path=test).load()
    notes = "\n".join(data.notes)
    assert (
        "1 of 10 labels of test are 'VERBS' (did you mean 'VERB'?), which training lacks" in notes
    )
    assert "1 of 10 labels of test are 'X', which training lacks" in notes
    assert "of 3 sequences of test stand in training too" in notes
    assert "VERBS" in data.spec.output_names
    checked(data, NAME)


def test_a_vocabulary_of_nothing_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a", two_columns())
    with pytest.raises(InputError, match="dataset.min_count is 99, but no token .* does"):
        Tagging(path, min_count=99).load()


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"path": "absent"}, "dataset.path is absent: there is no such file"),
        ({"path": "pos_danish.train.tsv.gz"}, "It is not shipped: .*Danish-DDT .CC BY-SA 4.0"),
        ({"test_path": "a.tsv"}, "dataset.test_path is a.tsv, but dataset.path is null"),
        ({"path": "a.tsv", "text_column": "x"}, "labels_column is None; give both, of a table"),
        ({"path": "a.tsv", "text_column": "x", "labels_column": "x"}, "are both 'x'; give two"),
        ({"path": "a.tsv", "text_column": "x", "labels_column": "y"}, "has no column 'x'"),
        ({"path": "bad.tsv"}, "dataset.path: bad.tsv, line 1: has 3 columns"),
    ],
)
def test_keys_that_cannot_work_are_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.tsv", two_columns())
    written(tmp_path / "bad.tsv", "a\tb\tc\n")
    names = ("path", "valid_path", "test_path", "text_column", "labels_column", "label_column")
    node = {"_target_": NAME, **dict.fromkeys(names), **keys}
    faults = "\n".join(tagged_files_can_be_read(node))
    assert re.search(says, faults), faults


def test_the_files_of_the_experiments_are_read() -> None:
    folder = SHARED / "shapes"
    if not folder.is_dir():
        pytest.skip("the data are not here")
    words = {
        f"{key}path": str(folder / f"pos_danish.{name}.tsv.gz")
        for key, name in (("", "train"), ("valid_", "dev"), ("test_", "test"))
    }
    data = Tagging(**words).load()
    assert [int((part.targets != IGNORE).sum()) for part in data.splits().values()] == [
        *(88_979, 5_870, 5_884),
    ]
    assert len(data.spec.output_names) == 17


def test_test_sequences_are_known_by_their_words_whatever_the_vocabulary(tmp_path: Path) -> None:
    lines = [f"word{n % 7}\tA\nw{n}\tB\n" for n in range(40)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    (tmp_path / "test.txt").write_text("\n".join(lines[:5]))
    few, many = (
        Tagging(
            path=str(tmp_path / "train.txt"),
            test_path=str(tmp_path / "test.txt"),
            min_count=count,
        ).load()
        for count in (1, 3)
    )
    assert len(few.spec.vocabulary) > len(many.spec.vocabulary)
    assert few.test.digest() == many.test.digest() != few.valid.digest()
