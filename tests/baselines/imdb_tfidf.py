"""What counting words does on the film reviews, to set beside a network that reads them in order.

tf-idf of words, and of words and pairs of words, with logistic regression; the same reviews, words
and cut as dataset=imdb has, and the same reviews held out, which choose C. Tested once.

    python tests/baselines/imdb_tfidf.py FOLDER [--max-length 400] [--truncate head] [--seed 0]

FOLDER holds aclImdb_v1.tar.gz or aclImdb/.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from seqexp.dataset.imdb import ARCHIVE
from seqexp.dataset.words.classification import stratified
from seqexp.dataset.words.imdb_archive import FOLDER, reviews_of_archive, reviews_of_folder
from seqexp.dataset.words.tokenizer import tokenize

CHOICES_OF_C = (1.0, 3.0, 10.0, 30.0)


def main() -> None:
    texts, labels, train, valid = reviews(__doc__)
    for pairs in (False, True):
        report(texts, labels, train, valid, pairs)


def reviews(what: str):  # noqa: ANN201
    """Words and labels of the reviews of each split, and which are trained and validated on."""
    parser = argparse.ArgumentParser(description=what.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--max-length", type=int, default=10**6, help="words; default: all")
    parser.add_argument("--truncate", choices=("head", "tail"), default="head")
    parser.add_argument("--seed", type=int, default=0, help="selects the reviews held out")
    given = parser.parse_args()
    unpacked = given.folder / FOLDER
    if unpacked.is_dir():
        found = reviews_of_folder(unpacked)
    else:
        found = reviews_of_archive(given.folder / ARCHIVE)
    length = given.max_length
    keep = slice(-length, None) if given.truncate == "head" else slice(length)
    texts = {
        split: [tokenize(document.text)[keep] for document in documents]
        for split, documents in found.items()
    }
    labels = {
        split: np.array([document.label == "positive" for document in documents]).astype(int)
        for split, documents in found.items()
    }
    rows = np.arange(len(labels["train"]))
    valid = stratified(labels["train"], rows, 0.1, given.seed, "valid")
    return texts, labels, np.setdiff1d(rows, valid), valid


def report(texts, labels, train, valid, pairs) -> None:  # noqa: ANN001
    """Choose C on the validation reviews, then test once."""
    vectorizer = TfidfVectorizer(
        analyzer=features_of_pairs if pairs else list, sublinear_tf=True, min_df=2
    )
    features = vectorizer.fit_transform([texts["train"][row] for row in train])
    held_out = vectorizer.transform([texts["train"][row] for row in valid])
    best = max(
        (accuracy(features, labels["train"][train], held_out, labels["train"][valid], c), c)
        for c in CHOICES_OF_C
    )
    everything = vectorizer.transform(texts["test"])
    test = accuracy(features, labels["train"][train], everything, labels["test"], best[1])
    what = "words and pairs" if pairs else "words"
    print(
        f"{what:16} {features.shape[1]:>9,} features  C {best[1]:g}"
        f"  valid/accuracy {best[0]:.4f}  test/accuracy {test:.4f}",
        flush=True,
    )


def features_of_pairs(words: list[str]) -> list[str]:
    """Words, and words with the one after."""
    return [*words, *(f"{a} {b}" for a, b in zip(words[:-1], words[1:], strict=True))]


def accuracy(
    features: csr_matrix, labels: np.ndarray, others: csr_matrix, expected: np.ndarray, c: float
) -> float:
    """Of a model fitted to the first, on the others."""
    model = LogisticRegression(C=c, max_iter=1000).fit(features, labels)
    return float((model.predict(others) == expected).mean())


if __name__ == "__main__":
    main()
