"""What NB-weighted counting does on the film reviews, by scikit-learn: the yardstick to beat.

Logistic regression on which words, pairs and triples a review has, each multiplied by the logarithm
of how much more frequent it is in positive reviews than in negative ones; the same reviews, words
and cut as dataset=imdb has, and the same reviews held out, which choose C by their loss. Tested
once. `model=ngrams` is the same method by our own solver.

    python tests/baselines/imdb_nb.py FOLDER [--max-length 400] [--truncate head] [--seed 0]

FOLDER holds aclImdb_v1.tar.gz or aclImdb/. Source: Wang & Manning (2012), eq. 2.
"""

import numpy as np
from imdb_tfidf import CHOICES_OF_C, reviews
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

SMALL_C = (0.03, 0.1, 0.3)
"""Beside those of tf-idf: weights by log-count ratios need a stronger penalty."""


def main() -> None:
    texts, labels, train, valid = reviews(__doc__)
    for longest in (1, 2, 3):
        report(texts, labels, train, valid, longest)


def report(texts, labels, train, valid, longest) -> None:  # noqa: ANN001
    """Choose C on the validation reviews, then test once."""
    vectorizer = CountVectorizer(
        analyzer=lambda words: ngrams(words, longest), binary=True, min_df=2, dtype=np.float32
    )
    features = vectorizer.fit_transform([texts["train"][row] for row in train])
    known = labels["train"][train]
    weights = log_count_ratios(features, known == 1)
    features = features.multiply(weights).tocsr()
    held_out = vectorizer.transform([texts["train"][row] for row in valid]).multiply(weights)
    fits = []
    for c in (*SMALL_C, *CHOICES_OF_C):
        model = LogisticRegression(C=c, max_iter=1000).fit(features, known)
        loss = log_loss(labels["train"][valid], model.predict_proba(held_out.tocsr()))
        fits.append((loss, c, model))
        if loss > min(fits, key=lambda fit: fit[0])[0]:
            break
    loss, c, model = min(fits, key=lambda fit: fit[0])
    tests = vectorizer.transform(texts["test"]).multiply(weights).tocsr()
    right = float((model.predict(tests) == labels["test"]).mean())
    print(
        f"1 to {longest} words {features.shape[1]:>9,} features  C {c:g}"
        f"  valid/loss_nats {loss:.4f}  test/accuracy {right:.4f}",
        flush=True,
    )


def ngrams(words: list[str], longest: int) -> list[str]:
    """All n-grams of a review up to a length."""
    return [
        " ".join(words[start : start + size])
        for size in range(1, longest + 1)
        for start in range(len(words) - size + 1)
    ]


def log_count_ratios(features: csr_matrix, is_positive: np.ndarray) -> np.ndarray:
    """By how much each n-gram is more frequent in positive reviews, nats."""
    positive = 1 + np.asarray(features[is_positive].sum(axis=0))
    negative = 1 + np.asarray(features[~is_positive].sum(axis=0))
    return np.log(positive / positive.sum()) - np.log(negative / negative.sum())


if __name__ == "__main__":
    main()
