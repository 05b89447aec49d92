"""Film reviews, positive or negative; or their next words."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from seqexp.data import Data
from seqexp.dataset.cache import file_digest, key_of
from seqexp.dataset.download import download
from seqexp.dataset.read_only import refuse_download
from seqexp.dataset.words.cache import cached
from seqexp.dataset.words.classification import (
    Choices,
    HeadOrTail,
    LeftOrRight,
    MaxLength,
    MaxTokens,
    classification,
)
from seqexp.dataset.words.corpus import Corpus, encode
from seqexp.dataset.words.imdb_archive import FOLDER, LABELS, reviews_of_archive, reviews_of_folder
from seqexp.dataset.words.tokenizer import TOKENIZER
from seqexp.ranges import Count, HeldOutShare, Seed

log = logging.getLogger("seqexp")

ARCHIVE = "aclImdb_v1.tar.gz"
URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
"""Of the archive at `URL`."""


@dataclass(frozen=True)
class IMDB:
    """The Large Movie Review Dataset: 25,000 reviews for training and 25,000 for the test.

    It is read from the folder `aclImdb` or the archive `aclImdb_v1.tar.gz` in `folder`, which
    must hold all labelled reviews; where neither is there, the archive is downloaded.

    Args:
        folder: where the data are, and are downloaded to.
        cache: where tokenised reviews are kept, so that later starts are quick; None keeps none.
        task: `sequence_class`, or `next_token`, the word after each; the same reviews are held out.
        max_tokens: size of the vocabulary, with padding and `<unk>`: all others are the most
            frequent words of the reviews that are trained on.
        max_length: words of a review that are used, at most.
        truncate: the end that is cut off longer reviews: `head` keeps their last words.
        pad: the side on which shorter ones are filled up.
        one_output: one output, the logit of `positive`, as with a sigmoid; otherwise one for each
            class, as with a softmax.
        vectors: a file of pretrained word vectors for the embedding to start from.
        valid_share: part of the training reviews held out for validation, the same of each class.
        validate_on_test: validate on the test reviews, as the notebook does. Then no epoch can be
            chosen by it, and the test is no surprise.
        num_train: train on so many of the remaining reviews, as many of each class; None: on all.
        vocabulary: counts words of the reviews that are trained on (`used`), or also of those that
            `num_train` leaves out (`all`), as a run has read that this one starts from.
        num_valid: validate on so many of those that are held out, as many of each class; None: all.
        num_test: test on so many reviews, as many of each class; None: on all.
        seed: selects the reviews that are held out or left out.

    Raises:
        InputError: from `load`, if the data cannot be found or are not sound.

    Source: Maas et al. (2011).
    """

    folder: str
    cache: str | None = None
    task: Literal["sequence_class", "next_token"] = "sequence_class"
    max_tokens: MaxTokens = 20_000
    max_length: MaxLength = 400
    truncate: HeadOrTail = "head"
    pad: LeftOrRight = "right"
    one_output: bool = False
    vectors: str | None = None
    valid_share: HeldOutShare = 0.1
    validate_on_test: bool = False
    num_train: Count | None = None
    vocabulary: Literal["used", "all"] = "used"
    num_valid: Count | None = None
    num_test: Count | None = None
    seed: Seed = 0

    output = "sequence_class"
    does_without = {
        "folds": "its 25,000 test reviews are given, and no film of theirs is in training; for"
        " folds of texts of your own give dataset=text"
    }

    def load(self) -> Data:
        """Find the reviews, or what a cache has of them, and encode them."""
        corpus = self._corpus()
        if self.validate_on_test:
            corpus = replace(corpus, texts={**corpus.texts, "valid": corpus.texts["test"]})
        return classification(replace(corpus, task=self.task), Choices.of(self))

    def _corpus(self) -> Corpus:
        unpacked, archive = Path(self.folder) / FOLDER, Path(self.folder) / ARCHIVE
        if unpacked.is_dir():
            source, read = unpacked, reviews_of_folder
        else:
            source, read = archive, reviews_of_archive
            if not archive.is_file():
                refuse_download(archive)
                log.info(f"{archive}: is not there; downloading {URL} (84 MB)")
                download(URL, SHA256, archive)

        def build() -> Corpus:
            log.info(f"{source}: reading and tokenising 50,000 reviews, about half a minute")
            return encode(read(source), tuple(LABELS.values()))

        cache = None if self.cache is None else Path(self.cache)
        digest = file_digest(source)
        corpus = cached(cache, key_of("imdb", TOKENIZER, digest), build)
        if source == archive and digest != SHA256:
            shown = f"SHA-256 {digest[:12]}..."
            note = f"{archive}: is not the published archive ({shown}), but is read"
            return replace(corpus, notes=(*corpus.notes, note))
        return corpus
