"""What a support vector machine on windows of frames does on the gestures, video by video.

Each frame is described by the frames around it (every third one, up to a dozen on both sides), on
the same features and the same splits as experiment=gestures: a video is held out, another one
chooses C, the kernel is a radial one with balanced classes. Each video is tested once.

    python tests/baselines/gestures_svm.py gestures.tar.gz [--reach 12] [--every 2] [--seed 0]
"""

import argparse

import numpy as np
from sklearn.metrics import accuracy_score, f1_score
from sklearn.svm import SVC

from seqexp.data import Sequences
from seqexp.dataset.frames import Frames
from seqexp.spec import IGNORE

VIDEOS = ("a1", "a2", "a3", "b1", "b3", "c1", "c3")
CHOICES_OF_C = (0.1, 1.0, 10.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--reach", type=int, default=12, help="frames on either side")
    parser.add_argument("--every", type=int, default=2, help="train on each so-manieth frame")
    parser.add_argument("--seed", type=int, default=0, help="selects the validation video")
    given = parser.parse_args()
    scores = [of_video(given, video) for video in VIDEOS]
    for name, values in zip(
        ("macro-F1", "accuracy", "majority"), zip(*scores, strict=True), strict=True
    ):
        spread = np.std(values, ddof=1)
        print(f"{name}: {np.mean(values):.3f} ± {spread:.3f} over {len(values)} videos")


def of_video(given: argparse.Namespace, video: str) -> tuple[float, float, float]:
    """Macro-F1, accuracy, and the accuracy of the majority, of a video that is held out."""
    data = Frames(
        given.path,
        task="token_class",
        label_column="phase",
        label_names={"Preparação": "Preparation"},
        ignore_columns=["timestamp"],
        standardise="sequence",
        test_groups=[video],
        valid_share=0.15,
        seed=given.seed,
    ).load()
    (x, y), (x_valid, y_valid), (x_test, y_test) = (
        described(part, given.reach) for part in data.splits().values()
    )
    x, y = x[:: given.every], y[:: given.every]
    best: tuple[float, float, SVC] | None = None
    for c in CHOICES_OF_C:
        model = SVC(C=c, class_weight="balanced").fit(x, y)
        score = f1_score(y_valid, model.predict(x_valid), average="macro")
        if best is None or score > best[0]:
            best = (score, c, model)
    assert best is not None
    predicted = best[2].predict(x_test)
    found = f1_score(y_test, predicted, average="macro"), accuracy_score(y_test, predicted)
    majority = float((y_test == np.bincount(y).argmax()).mean())
    print(f"{video}: C {best[1]:g}, macro-F1 {found[0]:.3f}, accuracy {found[1]:.3f}", flush=True)
    return (*found, majority)


def described(part: Sequences, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Each frame by those around it; beyond the ends, the first or last one stands again."""
    features, labels = [], []
    for tokens, targets in zip(part.tokens.numpy(), part.targets.numpy(), strict=True):
        frames = tokens[targets != IGNORE]
        places = np.arange(len(frames))[:, None] + np.arange(-reach, reach + 1, 3)
        features.append(frames[places.clip(0, len(frames) - 1)].reshape(len(frames), -1))
        labels.append(targets[targets != IGNORE])
    return np.concatenate(features), np.concatenate(labels)


if __name__ == "__main__":
    main()
