"""From a corpus of texts to a task: their classes, labels, numbers, or next words."""

import logging
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from annotated_types import Interval
from jaxtyping import Int
from torch import Tensor

from seqexp.data import Data, Sequences, WordVectors
from seqexp.dataset.asked import refuse_unlearnable
from seqexp.dataset.folds import Fold
from seqexp.dataset.words.answers import as_targets, targets_by_label
from seqexp.dataset.words.apart import Apart, Rows, digests, distinct, word_notes
from seqexp.dataset.words.corpus import Corpus, Unit
from seqexp.dataset.words.matrices import Encoded, Encoding, encoded
from seqexp.dataset.words.tokenizer import read_vectors, vocabulary
from seqexp.errors import InputError
from seqexp.formats.ends import output_names
from seqexp.seeding import stream_seed
from seqexp.spec import Output, TaskSpec, Vocabulary, WordEncoding

log = logging.getLogger("seqexp")

NUM_SPECIAL = 2
"""Ids that are no words: padding and `<unk>`."""

MaxTokens = Annotated[int, Interval(ge=NUM_SPECIAL + 1, le=10**7)]
"""Size of a vocabulary of words, with padding, `<unk>` and at least one word."""

MaxLength = Annotated[int, Interval(ge=1, le=10**6)]

HeadOrTail = Literal["head", "tail"]
LeftOrRight = Literal["left", "right"]


@dataclass(frozen=True)
class Choices:
    """How texts become token ids, and which of them are used; see the datasets' arguments."""

    max_tokens: int
    max_length: int
    truncate: HeadOrTail
    pad: LeftOrRight
    one_output: bool
    vectors: str | None
    valid_share: float
    num_train: int | None
    seed: int
    vocabulary: Literal["used", "all"] = "used"
    num_valid: int | None = None
    num_test: int | None = None
    test_share: float = 0.0
    unit: Unit = "words"
    keep_apart: bool = False  # texts of the same words stand in one split
    tested: Fold | None = None  # what is the test instead of a share
    cache: str | None = None

    @classmethod
    def of(cls, dataset: Any, **others: Any) -> "Choices":
        """The arguments of a dataset that have these names, and others."""
        named = {field.name for field in fields(cls)} - others.keys()
        given = {name: getattr(dataset, name) for name in named if hasattr(dataset, name)}
        return cls(**given, **others)


def classification(corpus: Corpus, choices: Choices) -> Data:
    """Cut what the corpus does not have as splits off its training split, and encode all.

    Raises:
        InputError: if a split would be empty, or a choice does not fit the classes.
    """
    is_class = corpus.task == "sequence_class"
    if choices.one_output and not is_class:
        raise InputError(
            f"dataset.one_output is true, but dataset.task is {corpus.task}; one output is for two"
            " classes: give false"
        )
    if choices.one_output and len(corpus.classes) != 2:
        raise InputError(
            f"dataset.one_output is true, but there are {len(corpus.classes)} classes"
            f" ({', '.join(corpus.classes[:10])}); one output is for two: give false"
        )
    apart = Apart(corpus) if choices.keep_apart else None
    rows, unused = _rows(corpus, choices, apart)
    notes = list(corpus.notes)
    if choices.tested is not None:
        total = len(corpus.texts["train"])
        notes.append(choices.tested.note(len(rows["test"][1]), total, "texts"))
    if choices.valid_share and not len(rows["valid"][1]):
        notes.append(
            f"dataset.valid_share is {choices.valid_share}, but no class has two texts left, one of"
            " which could be held out: nothing is validated"
        )
    if apart is not None:
        rows, told = apart.without_leaks(rows)
        notes += [*apart.notes(), *told]
    known = rows["train"][1]
    if choices.vocabulary == "all":
        known = np.union1d(known, unused)
    symbols = _symbols(corpus, known, choices.max_tokens)
    longest = max(int(texts.lengths().max()) for texts in corpus.texts.values())
    width = min(choices.max_length, longest)
    encoding = Encoding(
        corpus,
        rows,
        _token_ids(corpus, symbols),
        width,
        choices.truncate == "head",
        choices.pad == "left",
        corpus.task == Output.NEXT_TOKEN,
    )
    found = encoded(encoding, choices.cache)
    if choices.unit == "words":
        notes += word_notes(corpus, rows, symbols)
    if corpus.task == Output.NEXT_TOKEN:
        splits = {split: _next_words(found[split]) for split in rows}
        spec = _spec_of_next_words(symbols)
    else:
        values = targets_by_label(corpus)
        splits = {
            split: Sequences(
                found[split].tokens,
                as_targets(values[corpus.texts[source].labels[chosen]]),
                keys=None if split == "train" else _keys(corpus, source, chosen),
            )
            for split, (source, chosen) in rows.items()
        }
        if not is_class:
            notes += refuse_unlearnable(corpus.names, splits["train"].targets.numpy())
        names = corpus.classes if is_class else corpus.names
        spec = TaskSpec(
            vocabulary=Vocabulary(symbols),
            num_outputs=1 if choices.one_output else len(names),
            output=Output(corpus.task),
            output_names=names,
            length=width,
            words=WordEncoding(
                choices.truncate,
                choices.pad,
                "english" if choices.unit == "words" else "letters",
            ),
        )
    return Data(
        spec,
        train=splits["train"],
        valid=splits["valid"],
        test=splits["test"],
        vectors=_vectors(choices.vectors, symbols),
        notes=tuple(notes),
    )


def _rows(
    corpus: Corpus, choices: Choices, apart: Apart | None
) -> tuple[Rows, Int[np.ndarray, " unused"]]:
    """For each split, the corpus' split that it is taken from, and which of its texts; and the
    training texts that are left out.
    """
    rows = {name: (name, np.arange(len(texts))) for name, texts in corpus.texts.items()}
    labels = corpus.strata("train")
    left = np.arange(len(labels))
    for split, share in (("test", choices.test_share), ("valid", choices.valid_share)):
        if split not in rows:
            if split == "test" and choices.tested is not None:
                chosen = _fold_of(labels, choices.tested, apart)
            else:
                chosen = _drawn(labels, left, share, choices.seed, split, apart)
            if split == "test" and share and not len(chosen):
                raise InputError(
                    f"dataset.{split}_share is {share}, but no class has two texts, one of which"
                    f" could be held out ({len(corpus.classes):,} classes in {len(left):,} texts);"
                    f" is dataset.label_column right? Give more texts, or dataset.{split}_path"
                )
            rows[split] = ("train", chosen)
            left = np.setdiff1d(left, chosen)
    every = left
    if choices.num_train is not None and choices.num_train < len(left):
        left = stratified(labels, left, choices.num_train / len(left), choices.seed, "train")
    for split, most in (("valid", choices.num_valid), ("test", choices.num_test)):
        source, chosen = rows[split]
        if most is not None and most < len(chosen):
            of_class = corpus.strata(source)
            few = stratified(of_class, chosen, most / len(chosen), choices.seed, f"used {split}")
            rows[split] = (source, few)
    return {**rows, "train": ("train", left)}, np.setdiff1d(every, left)


def _drawn(
    labels: Int[np.ndarray, " texts"],
    among: Int[np.ndarray, " rows"],
    share: float,
    seed: int,
    name: str,
    apart: Apart | None,
) -> Int[np.ndarray, " chosen"]:
    """As `stratified`, all texts of the same words together where that is possible."""
    if apart is not None:
        firsts = apart.firsts["train"][among]
        chosen = stratified(labels, distinct(firsts), share, seed, name)
        if len(chosen):
            return among[np.isin(firsts, chosen)]
    return stratified(labels, among, share, seed, name)


def _fold_of(
    labels: Int[np.ndarray, " texts"], tested: Fold, apart: Apart | None
) -> Int[np.ndarray, " chosen"]:
    """The texts of a fold: all of the same words together."""
    groups = np.arange(len(labels)) if apart is None else apart.firsts["train"]
    chosen = tested.tested(groups.tolist(), "different texts", labels.tolist())
    return np.flatnonzero(chosen)


def stratified(
    labels: Int[np.ndarray, " texts"],
    among: Int[np.ndarray, " rows"],
    share: float,
    seed: int,
    name: str,
) -> Int[np.ndarray, " chosen"]:
    """This share of each class, at least one text of it and never all, in the order they have."""
    chosen = []
    for label in distinct(labels[among]) if share else []:
        rows = among[labels[among] == label]
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        # NumPy promises the same raw bits for a seed in every release, but not the same shuffle
        bits = np.random.PCG64(np.random.SeedSequence(stream_seed(seed, name, int(label))))
        chosen.append(rows[np.argsort(bits.random_raw(len(rows)), kind="stable")[:count]])
    return np.sort(np.concatenate(chosen)) if chosen else among[:0]


def _symbols(corpus: Corpus, train: Int[np.ndarray, " rows"], max_tokens: int) -> tuple[str, ...]:
    """The most frequent words of the texts that are trained on."""
    counts = corpus.texts["train"].counts(train, len(corpus.words))
    max_words = max_tokens - NUM_SPECIAL
    # most words are too rare: they need not be sorted (one more: `<unk>` may be among them)
    rarest = np.sort(counts)[-max_words - 1] if max_words < len(counts) else 0
    frequent = np.flatnonzero(counts >= max(rarest, 1))
    words = ((corpus.words[index], int(counts[index])) for index in frequent.tolist())
    return vocabulary(dict(words), max_words)


def _token_ids(corpus: Corpus, symbols: tuple[str, ...]) -> Int[np.ndarray, " words"]:
    """The token id of each word; words that the vocabulary lacks are `<unk>`, id 1."""
    ids = {symbol: index for index, symbol in enumerate(symbols, start=1)}
    small = len(symbols) < np.iinfo(np.int16).max
    found = (ids.get(word, 1) for word in corpus.words)
    return np.fromiter(found, dtype=np.int16 if small else np.int32, count=len(corpus.words))


def _keys(corpus: Corpus, source: str, chosen: Int[np.ndarray, " rows"]) -> Int[Tensor, " rows"]:
    """A digest of each text, by which runs of other vocabularies and lengths know it."""
    found = digests(corpus.texts[source])[chosen]
    return torch.from_numpy(found.view(np.int64))


def _next_words(found: Encoded) -> Sequences:
    assert found.following is not None
    return Sequences(found.tokens, found.following)


def _spec_of_next_words(symbols: tuple[str, ...]) -> TaskSpec:
    vocabulary = Vocabulary(symbols)
    return TaskSpec(
        vocabulary=vocabulary,
        num_outputs=len(vocabulary),
        output=Output.NEXT_TOKEN,
        output_names=output_names(symbols),
    )


def _vectors(path: str | None, symbols: tuple[str, ...]) -> WordVectors | None:
    if path is None:
        return None
    vectors = read_vectors(Path(path), symbols)
    found = len(vectors.ids)
    log.info(
        f"{path}: vectors of {found:,} of the {len(symbols):,} words of the vocabulary"
        f" ({found / len(symbols):.1%}), {vectors.values.shape[1]} values each"
    )
    return vectors
