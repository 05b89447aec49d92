"""Texts in several splits, and words that training does not have: what a test can be fooled by."""

import numpy as np
from jaxtyping import Bool, Int, UInt64

from seqexp.dataset.mapped import spans
from seqexp.dataset.words.corpus import Corpus, Texts

Rows = dict[str, tuple[str, Int[np.ndarray, " _"]]]
"""For each split, the corpus' split that it is taken from, and which of its texts."""

MANY = 0.5
"""Share of unknown words, or of texts without a known one, above which a reader is told."""

INSTEAD = (
    "for DNA give dataset=fasta, for protein dataset.alphabet=protein too, for writing without"
    " blanks dataset.unit=characters"
)


class Apart:
    """Which texts of a corpus have the same words as another.

    `firsts` has, for each split of the corpus, a number for each text that it shares with all texts
    of the same words in any split; in `train`, it is the row of the first of them.
    """

    def __init__(self, corpus: Corpus) -> None:
        self.labels = {split: texts.labels for split, texts in corpus.texts.items()}
        self.strata = {split: corpus.strata(split) for split in corpus.texts}
        splits = sorted(self.labels, key=lambda split: split != "train")  # which counts from 0
        hashes = [digests(corpus.texts[split]) for split in splits]
        borders = np.cumsum([len(found) for found in hashes])[:-1]
        first = firsts(np.concatenate(hashes))
        self.firsts = dict(zip(splits, np.split(first, borders), strict=True))

    def without_leaks(self, rows: Rows) -> tuple[Rows, list[str]]:
        """Take what is held out out of what is learned from, where texts of each class are left.

        Returns what is left, and a note on what was removed, or could not be.
        """
        kept, notes = dict(rows), []
        seen = self._numbers(rows, "test")
        for name, held_out in (("valid", "test"), ("train", "valid or test")):
            source, chosen = rows[name]
            leaks = np.isin(self.firsts[source][chosen], seen)
            seen = np.union1d(seen, self._numbers(rows, name))
            if not leaks.any():
                continue
            count = f"{leaks.sum():,} of {len(chosen):,} texts of {name} stand in {held_out} too"
            labels = self.strata[source][chosen]
            num_left = len(distinct(labels[~leaks]))
            if num_left == len(distinct(labels)) or (name == "valid" and num_left):
                kept[name] = source, chosen[~leaks]
                notes.append(f"{count}: they are removed from {name}")
            else:
                notes.append(
                    f"{count}, and without them classes would have none left: they stay, so that"
                    f" {held_out} measures memory"
                )
        return kept, notes

    def notes(self) -> list[str]:
        """What a reader should know of texts that stand more than once."""
        total = sum(map(len, self.firsts.values()))
        repeats = total - sum(len(distinct(firsts)) for firsts in self.firsts.values())
        firsts = np.concatenate([*self.firsts.values()])
        labels = np.concatenate([self.labels[split] for split in self.firsts])
        pairs = distinct(firsts * (int(labels.max()) + 1) + labels)  # of a text and a label
        texts = pairs // (int(labels.max()) + 1)
        clashes = len(distinct(texts[1:][texts[1:] == texts[:-1]]))
        notes = []
        if repeats:
            notes.append(f"{repeats:,} of {total:,} texts repeat the words of another")
        if clashes:
            notes.append(f"{clashes:,} texts stand more than once, with different labels")
        return notes

    def _numbers(self, rows: Rows, name: str) -> Int[np.ndarray, " texts"]:
        source, chosen = rows[name]
        return self.firsts[source][chosen]


def firsts(values: UInt64[np.ndarray, " _"]) -> Int[np.ndarray, " _"]:
    """The place at which the value of each place stands first.

    It needs 30 bytes a value; `np.unique` needs twice as many.
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    is_new = np.ones(len(values), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    del ordered
    group = np.cumsum(is_new)
    group -= 1
    first: Int[np.ndarray, " _"] = np.empty(len(values), dtype=np.int64)
    first[order] = order[is_new][group]
    return first


def distinct(values: Int[np.ndarray, " _"]) -> Int[np.ndarray, " _"]:
    """Each value once, sorted. `np.unique` takes ten times as long where there are many."""
    ordered = np.sort(values)
    is_new = np.ones(len(ordered), dtype=bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_new[1:])
    once: Int[np.ndarray, " _"] = ordered[is_new]
    return once


def digests(texts: Texts) -> UInt64[np.ndarray, " texts"]:
    """A digest of each text: of its words and their order."""
    hashes = np.empty(len(texts), dtype=np.uint64)
    for span in spans(texts.offsets):
        offsets = texts.offsets[span.start : span.stop + 1]
        lengths = np.diff(offsets)
        places = np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], lengths)
        # no word and place have the number of others: ids are below 2**31
        words = texts.ids[offsets[0] : offsets[-1]].astype(np.uint64)
        mixed = _mixed(words | (places.astype(np.uint64) << np.uint64(31)))
        sums = np.add.reduceat(mixed, offsets[:-1] - offsets[0])
        hashes[span] = _mixed(sums)
    return hashes


def _mixed(values: UInt64[np.ndarray, " _"]) -> UInt64[np.ndarray, " _"]:
    """Numbers that look random.

    Source: Steele, Lea & Flood (2014), SplitMix64.
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        values = (values ^ (values >> np.uint64(shift))) * np.uint64(factor)
    mixed: UInt64[np.ndarray, " _"] = values ^ (values >> np.uint64(31))
    return mixed


# --- words --------------------------------------------------------------------------------------


def word_notes(corpus: Corpus, rows: Rows, symbols: tuple[str, ...]) -> list[str]:
    """A note on each split whose words are mostly unknown, or whose texts are one word each."""
    # punctuation marks are words too, and say nothing of whether the others are known
    count, vocabulary = len(corpus.words), set(symbols)
    are_words = (any(map(str.isalnum, word)) for word in corpus.words)
    is_word = np.fromiter(are_words, dtype=bool, count=count)
    are_known = (word in vocabulary for word in corpus.words)
    is_known = np.fromiter(are_known, dtype=bool, count=count) & is_word
    sources = {source for source, _ in rows.values()}
    counts = {source: _counts(corpus.texts[source], is_word, is_known) for source in sources}
    notes = []
    for name in ("train", "valid", "test"):
        source, chosen = rows[name]
        words, known = (found[chosen] for found in counts[source])
        if name == "train":
            notes += _one_word_note(words)
        elif words.sum():
            unknown = 1 - known.sum() / words.sum()
            without = ((known == 0) & (words > 0)).mean()
            if max(unknown, without) > MANY:
                notes.append(
                    f"{unknown:.0%} of the words of {name} are unknown to training (<unk>), and"
                    f" {without:.0%} of its texts have no known one; {INSTEAD}"
                )
    return notes


def _one_word_note(words: Int[np.ndarray, " texts"]) -> list[str]:
    share = (words == 1).mean() if len(words) else 0.0
    if share <= MANY:
        return []
    return [
        f"{share:.0%} of the texts are one word each, which is known only where training has the"
        f" very same; {INSTEAD}"
    ]


def _counts(
    texts: Texts, is_word: Bool[np.ndarray, " words"], is_known: Bool[np.ndarray, " words"]
) -> tuple[Int[np.ndarray, " texts"], Int[np.ndarray, " texts"]]:
    """How many words each text has, and how many known ones."""
    both = is_word.astype(np.int64) + (is_known.astype(np.int64) << 32)  # summed together
    sums = np.empty(len(texts), dtype=np.int64)
    for span in spans(texts.offsets):
        offsets = texts.offsets[span.start : span.stop + 1]
        values = both[texts.ids[offsets[0] : offsets[-1]]]
        sums[span] = np.add.reduceat(values, offsets[:-1] - offsets[0])
    return sums & 0xFFFFFFFF, sums >> 32
