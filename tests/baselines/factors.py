"""What counting words does on experiment=factors, to set beside a network.

A logistic regression for each label on counts of words of six letters, either strand counted as
one; the penalty is chosen on the validation sequences, the test is scored once.

    python tests/baselines/factors.py [--seed 0] [--width 6]
"""

import argparse
from itertools import product

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from seqexp.data import Sequences
from seqexp.dataset.motif import Motif
from seqexp.formats.dna import LETTERS, either_strand

CHOICES_OF_C = (0.001, 0.01, 0.1, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the data")
    parser.add_argument("--width", type=int, default=6, help="letters of a word")
    given = parser.parse_args()
    data = Motif(  # as conf/experiment/factors.yaml
        task="multi_label",
        made_motifs=4,
        length=150,
        placement="uniform",
        strands="both",
        num_train=2000,
        num_valid=200,
        num_test=1000,
        seed=given.seed,
    ).load()
    counted = {name: counts(split, given.width) for name, split in data.splits().items()}
    areas = []
    for number, label in enumerate(data.spec.output_names):
        truth = {name: split.targets[:, number].numpy() for name, split in data.splits().items()}
        found = []
        for c in CHOICES_OF_C:
            model = LogisticRegression(C=c, max_iter=300).fit(counted["train"], truth["train"])
            score = roc_auc_score(truth["valid"], model.decision_function(counted["valid"]))
            found.append((score, c, model))
        valid, c, model = max(found, key=lambda one: one[0])
        areas.append(roc_auc_score(truth["test"], model.decision_function(counted["test"])))
        print(f"{label:20} C {c:g}  valid {valid:.4f}  test {areas[-1]:.4f}", flush=True)
    print(f"mean AUROC of words of {given.width} letters {np.mean(areas):.4f}")


def counts(split: Sequences, width: int) -> csr_matrix:
    """How often each word stands in each sequence, roots of the counts."""
    words = ["".join(letters) for letters in product(LETTERS, repeat=width)]
    forms = sorted({either_strand(word) for word in words})
    column = np.array([forms.index(form) for form in map(either_strand, words)])
    windows = split.tokens.numpy().astype(int)[:, :] - 1
    powers = 4 ** np.arange(width)[::-1]
    views = np.lib.stride_tricks.sliding_window_view(windows, width, axis=1)
    ids = column[(views * powers).sum(axis=2)]  # (rows, starts)
    rows = np.repeat(np.arange(len(ids)), ids.shape[1])
    ones = np.ones(ids.size)
    return csr_matrix((ones, (rows, ids.ravel())), shape=(len(ids), len(forms))).sqrt()


if __name__ == "__main__":
    main()
