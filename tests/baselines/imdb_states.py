"""What a language model of film reviews knows of their sentiment, before it is trained for it.

Logistic regression on the mean of its word vectors, and the mean and maximum of its states, over
the first 1,000 training reviews; validation reviews choose the strength. Beside them, which words a
review has.

    python tests/baselines/imdb_states.py MODEL FOLDER

MODEL is the folder with weights.safetensors of a run of experiment=imdb-pretrain, as its artifacts
in MLflow have it; FOLDER holds aclImdb_v1.tar.gz or aclImdb/.
Source: Alain & Bengio (2016), linear probes.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from seqexp.data import Sequences
from seqexp.dataset.imdb import IMDB
from seqexp.inference.saved_model import load

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""C of scikit-learn."""

ROWS = 200
"""Reviews at a time."""


def main() -> None:
    """Print a line for each kind of feature."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("folder")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = IMDB(
        given.folder,
        max_tokens=30_000,
        max_length=200,
        vocabulary="all",
        num_train=1000,
        num_valid=300,
        num_test=2000,
    ).load()
    saved = load(given.model)
    theirs = {symbol: number for number, symbol in enumerate(saved.spec.vocabulary.symbols, 1)}
    ids = [0, *(theirs.get(s, theirs["<unk>"]) for s in data.spec.vocabulary.symbols)]
    splits = data.train, data.valid, data.test
    labels = [split.targets[:, 0].numpy() for split in splits]
    found = [features(saved.model, torch.tensor(ids), split) for split in splits]
    for names in (("vectors",), ("mean",), ("maximum",), ("vectors", "mean", "maximum")):
        parts = [np.concatenate([one[name] for name in names], axis=1) for one in found]
        scaler = StandardScaler().fit(parts[0])
        report(" + ".join(names), [scaler.transform(part) for part in parts], labels)
    report("which words", [words(split, len(ids)) for split in splits], labels)


@torch.no_grad()
def features(model, ids: torch.Tensor, split: Sequences) -> dict[str, np.ndarray]:  # noqa: ANN001
    """Means of word vectors and states over each review, and maxima of states."""
    found: dict[str, list[torch.Tensor]] = {"vectors": [], "mean": [], "maximum": []}
    for part in torch.split(split.tokens.long(), ROWS):
        tokens = ids[part]
        real = (tokens != 0)[:, :, None]
        states, vectors = model.states(tokens), model.input(tokens)
        found["vectors"].append((vectors * real).sum(1) / real.sum(1))
        found["mean"].append((states * real).sum(1) / real.sum(1))
        found["maximum"].append(states.masked_fill(~real, -torch.inf).amax(1))
    return {name: torch.cat(parts).numpy() for name, parts in found.items()}


def words(split: Sequences, count: int) -> csr_matrix:
    """Which words each review has."""
    rows, places = torch.nonzero(split.tokens, as_tuple=True)
    columns = split.tokens[rows, places].long()
    shape = (len(split), count)
    table = csr_matrix((np.ones(len(rows)), (rows.numpy(), columns.numpy())), shape=shape)
    table.data[:] = 1
    return table


def report(name: str, features: list, labels: list[np.ndarray]) -> None:
    """Choose the strength on validation, then test once."""
    train, valid, test = features
    fits = []
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=500).fit(train, labels[0])
        fits.append((log_loss(labels[1], model.predict_proba(valid)), strength, model))
    loss, strength, model = min(fits, key=lambda fit: fit[0])
    right = model.score(test, labels[2])
    print(f"{name:28} C {strength:g}  valid/loss_nats {loss:.4f}  test/accuracy {right:.4f}")


if __name__ == "__main__":
    main()
