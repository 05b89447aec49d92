"""How often both digits of a picture are told by a classifier of single scans.

Usage: python tests/baselines/digits_svc.py [--seeds 5]

A support vector machine (radial basis functions) is trained on the training scans of
`dataset=captions`, each by itself and in its place; its strength is chosen on the validation scans.
If it makes mistakes independently, it tells both digits of a picture as often as its accuracy on
the test scans squared. It has it easier than `experiment=captions`: nothing is moved.
"""

import argparse

import numpy as np
from sklearn.svm import SVC

from seqexp.dataset.captions import Captions
from seqexp.dataset.pictures.digits import scans_by_split


def accuracy(seed: int) -> float:
    """Of single test scans."""
    shares = Captions()
    scans = scans_by_split(shares.valid_share, shares.test_share, seed)
    values = {split: found.pictures.reshape(-1, 64) for split, found in scans.items()}
    fitted = [
        SVC(C=strength).fit(values["train"], scans["train"].digits) for strength in (1, 3, 10, 30)
    ]
    best = max(fitted, key=lambda svc: svc.score(values["valid"], scans["valid"].digits))
    return float(best.score(values["test"], scans["test"].digits))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to this, without it")
    found = np.array([accuracy(seed) for seed in range(parser.parse_args().seeds)])
    for name, values in (("single digits", found), ("both, squared", found**2)):
        spread = values.std(ddof=1) if len(values) > 1 else 0
        shown = " ".join(f"{value:.4f}" for value in values)
        print(f"{name}: {values.mean():.4f} ± {spread:.4f} ({shown})")


if __name__ == "__main__":
    main()
