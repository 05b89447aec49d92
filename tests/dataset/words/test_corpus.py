"""From texts to rows of token ids, worked out by hand; and the cache of what was tokenised."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seqexp.dataset.cache import file_digest, key_of
from seqexp.dataset.words import cache
from seqexp.dataset.words.apart import Apart
from seqexp.dataset.words.cache import cached
from seqexp.dataset.words.classification import stratified
from seqexp.dataset.words.corpus import Corpus, Texts, encode
from seqexp.dataset.words.labels import Document
from seqexp.errors import InputError
from seqexp.spec import WordEncoding


def documents(*texts: str) -> list[Document]:
    return [Document(text, "ab"[index % 2], f"text {index}") for index, text in enumerate(texts)]


@pytest.fixture
def corpus() -> Corpus:
    return encode({"train": documents("x y z", "y", "z z"), "test": documents("new y")}, None)


def test_texts_become_word_ids_end_to_end(corpus: Corpus) -> None:
    assert corpus.words == ("x", "y", "z", "new") and corpus.classes == ("a", "b")
    train = corpus.texts["train"]
    assert train.ids.tolist() == [0, 1, 2, 1, 2, 2]
    assert train.offsets.tolist() == [0, 3, 4, 6]
    assert train.labels.tolist() == [0, 1, 0]
    assert corpus.texts["test"].ids.tolist() == [3, 1]


def test_words_are_counted_in_the_chosen_texts_only(corpus: Corpus) -> None:
    assert corpus.texts["train"].counts(np.array([0, 2]), 4).tolist() == [1, 1, 3, 0]


@pytest.mark.parametrize(
    ("truncate", "pad", "expected"),
    [
        ("head", "left", [[2, 3], [0, 2], [3, 3]]),
        ("head", "right", [[2, 3], [2, 0], [3, 3]]),
        ("tail", "left", [[1, 2], [0, 2], [3, 3]]),
        ("tail", "right", [[1, 2], [2, 0], [3, 3]]),
    ],
)
def test_rows_are_cut_and_padded_on_the_side_that_is_asked_for(
    corpus: Corpus, truncate: Any, pad: Any, expected: list[list[int]]
) -> None:
    train = corpus.texts["train"]
    token_ids = np.array([1, 2, 3, 4])
    matrix = train.matrix(token_ids, 2, cut_head=truncate == "head", pad_left=pad == "left")
    assert matrix.tolist() == expected
    rows = ([1, 2, 3], [2], [3, 3])  # and one by one, as raw text is encoded
    assert [WordEncoding(truncate, pad).row(ids, 2) for ids in rows] == expected


def test_rows_that_all_fit_are_whole(corpus: Corpus) -> None:
    matrix = corpus.texts["train"].matrix(np.array([1, 2, 3, 4]), 4, True, True)
    assert matrix.tolist() == [[0, 1, 2, 3], [0, 0, 0, 2], [0, 0, 3, 3]]


def test_a_text_without_a_word_is_named() -> None:
    with pytest.raises(InputError, match="text 1: the text has no word"):
        encode({"train": documents("fine", '""')}, None)


def test_chosen_texts_are_rows_in_that_order(corpus: Corpus) -> None:
    train, token_ids = corpus.texts["train"], np.array([1, 2, 3, 4])
    chosen = train.matrix(token_ids, 2, True, True, np.array([2, 0]))
    assert chosen.tolist() == [[3, 3], [2, 3]]


def test_several_processes_give_words_the_numbers_that_one_does() -> None:
    words = [f"w{(i * i) % 997}" for i in range(9000)]
    texts = [" ".join(words[i : i + 3]) for i in range(0, 9000, 3)]  # three blocks
    splits = {"train": documents(*texts), "test": documents(*reversed(texts))}
    alone, together = encode(splits, None, workers=1), encode(splits, None, workers=2)
    assert same(alone, together)
    found = together.texts["test"]
    read = [together.words[i] for i in found.ids[found.offsets[2500] : found.offsets[2501]]]
    assert " ".join(read) == texts[-2501]
    wrong = [*documents(*texts[:1200]), Document('""', "a", "the first"), *documents(*texts)]
    with pytest.raises(InputError, match="the first: the text has no word"):
        encode({"train": [*wrong, *wrong]}, None, workers=2)


def test_a_share_is_taken_of_each_class_and_never_all() -> None:
    labels = np.repeat([0, 1, 2, 3], [100, 50, 3, 1])
    among = np.arange(len(labels))
    chosen = stratified(labels, among, 0.1, 0, "valid")
    assert np.bincount(labels[chosen]).tolist() == [10, 5, 1]  # of the single one, none
    assert (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, stratified(labels, among, 0.1, 0, "valid"))
    assert not np.array_equal(chosen, stratified(labels, among, 0.1, 1, "valid"))
    assert not np.array_equal(chosen, stratified(labels, among, 0.1, 0, "test"))
    assert len(stratified(labels, among, 0.0, 0, "valid")) == 0


def test_the_texts_that_are_held_out_are_the_same_on_every_machine() -> None:
    labels = np.zeros(10, dtype=int)
    assert stratified(labels, np.arange(10), 0.3, 0, "valid").tolist() == [2, 4, 5]


# --- the cache --------------------------------------------------------------------------------


def same(a: Corpus, b: Corpus) -> bool:
    arrays = all(
        np.array_equal(getattr(a.texts[split], name), getattr(b.texts[split], name))
        for split in a.texts
        for name in cache.ARRAYS
    )
    return arrays and (a.words, a.classes, [*a.texts]) == (b.words, b.classes, [*b.texts])


class Builder:
    def __init__(self, corpus: Corpus) -> None:
        self.corpus, self.times = corpus, 0

    def __call__(self) -> Corpus:
        self.times += 1
        return self.corpus


def test_a_corpus_is_built_once_and_mapped_afterwards(tmp_path: Path, corpus: Corpus) -> None:
    build = Builder(corpus)
    first, second = (cached(tmp_path / "new", "key", build) for _ in range(2))
    assert build.times == 1
    assert same(first, corpus) and same(second, corpus)
    assert isinstance(second.texts["train"].ids, np.memmap)
    assert not list((tmp_path / "new").glob(".*"))
    cached(tmp_path / "new", "another key", build)
    assert build.times == 2


def test_a_damaged_cache_is_noticed_and_built_again(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    build = Builder(corpus)
    cached(tmp_path, "key", build)
    files = sorted(file for file in tmp_path.iterdir() if file.suffix in (".npy", ".json"))
    assert len(files) == 7
    for file in files:
        sound = file.read_bytes()
        flipped = sound[:-2] + bytes([sound[-2] ^ 1]) + sound[-1:]
        for damaged in (flipped, sound[: len(sound) // 2], b"", None):
            times = build.times
            caplog.clear()
            file.unlink() if damaged is None else file.write_bytes(damaged)
            assert same(cached(tmp_path, "key", build), corpus)
            assert build.times == times + 1, (file, damaged)
            assert damaged is None or "is damaged" in caplog.text
            assert file.read_bytes() == sound


ALTERED: dict[str, Any] = {
    "ids below 0": ("ids", lambda values: values * 0 - 1),
    "ids of no word": ("ids", lambda values: values + 10**6),
    "fewer ids": ("ids", lambda values: values[:-1]),
    "no ids": ("ids", lambda values: values[:0]),
    "wide ids": ("ids", lambda values: values.astype(np.int64)),
    "fractions": ("ids", lambda values: values.astype(np.float32)),
    "two axes": ("ids", lambda values: values.reshape(2, -1)),
    "other byte order": ("ids", lambda values: values.astype(">i4")),
    "labels of no class": ("labels", lambda values: values + 2),
    "labels below 0": ("labels", lambda values: values - 1),
    "more labels": ("labels", lambda values: np.tile(values, 2)),
    "offsets beyond": ("offsets", lambda values: values * 10**9),
    "offsets below 0": ("offsets", lambda values: values - 5),
    "falling offsets": ("offsets", lambda values: values[[0, 2, 1, 3]]),
    "equal offsets": ("offsets", lambda values: values[[0, 1, 1, 3]]),
    "one offset": ("offsets", lambda values: values[:1]),
    "a scalar": ("offsets", lambda values: np.int64(3).reshape(())),
}
"""An array, and what is made of it; its checksum is made to fit."""

INDICES: tuple[Any, ...] = (
    [],
    None,
    3,
    "text",
    {},
    {"words": 3},
    {"words": ["x", 3]},
    {"words": ["x", "x", "y", "z"]},
    {"words": []},
    {"classes": {"a": 1}},
    {"splits": []},
    {"splits": ["test"]},
    {"splits": ["train", "../../etc/x"]},
    {"notes": "none"},
)


def altered(entry: Path, index: Any, arrays: dict[str, np.ndarray]) -> None:
    """Write an entry whose checksums are right."""
    whole = json.loads(entry.read_bytes())
    sound = json.loads(whole["index"])
    changed = {**sound, **index} if isinstance(index, dict) and index else index
    whole["index"] = json.dumps(changed)
    whole["checksum"] = zlib.crc32(whole["index"].encode())
    for name, values in arrays.items():
        np.save(entry.with_name(f"{entry.stem}-train-{name}.npy"), values)
        whole["checksums"][f"train.{name}"] = zlib.crc32(np.ascontiguousarray(values).data)
    entry.write_text(json.dumps(whole))


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_an_altered_index_is_noticed_and_built_again(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture, index: Any
) -> None:
    cached(tmp_path, "key", Builder(corpus))
    (entry,) = tmp_path.glob("*.json")
    altered(entry, index, {})
    build = Builder(corpus)
    assert same(cached(tmp_path, "key", build), corpus)
    assert build.times == 1 and "is damaged" in caplog.text


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b"[" * 10**5, b"\xff", b'{"index": 3}'])
def test_an_index_of_odd_json_is_noticed_and_built_again(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    cached(tmp_path, "key", Builder(corpus))
    (entry,) = tmp_path.glob("*.json")
    entry.write_bytes(content)
    assert same(cached(tmp_path, "key", Builder(corpus)), corpus)
    assert "is damaged" in caplog.text


@pytest.mark.parametrize("change", ALTERED)
def test_altered_arrays_are_noticed_and_built_again(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture, change: str
) -> None:
    cached(tmp_path, "key", Builder(corpus))
    (entry,) = tmp_path.glob("*.json")
    name, make = ALTERED[change]
    altered(entry, {"notes": []}, {name: make(getattr(corpus.texts["train"], name))})
    build = Builder(corpus)
    assert same(cached(tmp_path, "key", build), corpus)
    assert build.times == 1 and "is damaged" in caplog.text


def test_an_array_that_claims_to_be_huge_is_noticed(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    cached(tmp_path, "key", Builder(corpus))
    (file,) = tmp_path.glob("*-train-ids.npy")
    file.write_bytes(file.read_bytes().replace(b"(6,)", b"(9999999999,)"))
    assert same(cached(tmp_path, "key", Builder(corpus)), corpus)
    assert "is damaged" in caplog.text


def test_a_write_that_is_cut_off_leaves_no_entry(
    tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []

    def full_disk(file: Any, values: np.ndarray) -> None:
        written.append(values)
        if len(written) == 3:
            file.write(b"half an arr")
            raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(KeyboardInterrupt):
        cached(tmp_path, "key", Builder(corpus))
    monkeypatch.undo()
    assert not list(tmp_path.glob("*.json")) and not list(tmp_path.glob(".*"))
    assert same(cached(tmp_path, "key", Builder(corpus)), corpus)


def test_without_a_place_to_write_texts_are_read_each_time(
    tmp_path: Path, corpus: Corpus, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    build = Builder(corpus)
    assert cached(None, "key", build) is corpus and not caplog.text
    assert cached(tmp_path / "file", "key", build) is corpus
    assert build.times == 2 and "nothing is cached" in caplog.text


def test_a_digest_changes_with_the_content(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one")
    before = file_digest(tmp_path / "a"), file_digest(tmp_path)
    (tmp_path / "a").write_text("two!")
    assert file_digest(tmp_path / "a") != before[0] and file_digest(tmp_path) != before[1]
    (tmp_path / "b").write_text("one")
    assert file_digest(tmp_path / "b") == before[0]
    assert key_of("a", "b") != key_of("ab")


def test_words_of_any_script_survive_the_cache(tmp_path: Path) -> None:
    corpus = encode({"train": documents("naïve 映画 \u2028x", "ü")}, None)
    cached(tmp_path, "key", Builder(corpus))
    assert same(cached(tmp_path, "key", Builder(corpus)), corpus)
    (index,) = tmp_path.glob("*.json")
    assert "映画" in json.loads(index.read_text(encoding="utf-8"))["index"]


def test_texts_of_the_same_words_are_found_in_all_splits() -> None:
    texts = ["a b", "b a", "a b c", "a", "A  B", "c c", "c", *map(str, range(2500)), "a b"]
    found = Apart(encode({"test": documents("c", "x", "b a"), "train": documents(*texts)}, None))
    firsts = found.firsts["train"].tolist()
    assert firsts[:7] == [0, 1, 2, 3, 0, 5, 6] and firsts[-1] == 0
    assert firsts[7:-1] == list(range(7, 2507))
    test = found.firsts["test"].tolist()
    assert test[0] == 6 and test[1] >= len(texts) and test[2] == 1
    assert found.notes()[0] == "2 of 2,511 texts repeat the words of another"


def test_texts_know_their_number() -> None:
    texts = Texts(np.array([0, 0]), np.array([0, 1, 2]), np.array([0, 1]))
    assert len(texts) == 2 and texts.lengths().tolist() == [1, 1]
