"""Baselines: scores worked out by hand, and sets where it is known what must win."""

import random

import numpy as np
import pytest
import torch

from seqexp.data import Pattern, Sequences
from seqexp.interpret.filters import baselines
from seqexp.interpret.filters.baselines import best_scan, scan
from seqexp.kernels.build import Built
from seqexp.spec import Vocabulary
from seqexp.task.ranking import auroc

DNA = Vocabulary(("A", "C", "G", "T"))
SITE = "TGACGTGT"


def tokens(*rows: str) -> torch.Tensor:
    return torch.tensor([["-ACGT".index(letter) for letter in row] for row in rows])


def one_hot(text: str) -> np.ndarray:
    return np.array([[float(symbol == letter) for symbol in "ACGT"] for letter in text])


def planted(site: str, seed: int, count: int = 100, length: int = 40) -> Sequences:
    """Half of the sequences hold the site, on either strand, somewhere."""
    draw = random.Random(seed)
    rows = []
    for index in range(count):
        letters = "".join(draw.choices("ACGT", k=length))
        if index < count // 2:
            start = draw.randrange(length - len(site))
            turned = site.translate(str.maketrans("ACGT", "TGCA"))[::-1]
            letters = letters[:start] + draw.choice([site, turned]) + letters[start + len(site) :]
        rows.append(letters)
    labels = torch.tensor([1] * (count // 2) + [0] * (count - count // 2))
    return Sequences(tokens(*rows), labels[:, None])


def test_a_scan_finds_the_best_window_on_either_strand() -> None:
    matrix = Pattern("site", one_hot("AAC"))
    agree, differ = np.log2(1.01 / 1.04 * 4), np.log2(0.01 / 1.04 * 4)
    found = scan([matrix], tokens("TTAACTT", "TTGTTCT", "GGGGGGG"), DNA)[0]
    # AAC; GTT, which is AAC on the other strand; CCC on the other strand has one letter of three
    np.testing.assert_allclose(found, [3 * agree, 3 * agree, agree + 2 * differ], rtol=1e-5)


def test_windows_with_unknown_letters_or_padding_are_left_out() -> None:
    matrix = Pattern("site", one_hot("AAAA"))
    rows = tokens("AA-AACCCC", "AAAACCCCC", "AAA------")
    found = scan([matrix], rows, DNA)[0]
    assert found[1] > found[0] and found[2] == found[0]  # a row without a window has the lowest


def test_a_scan_without_a_compiler_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrices = [Pattern(str(w), rng.dirichlet([0.5] * 4, w)) for w in (9, 4, 9, 60, 12)]
    rows = torch.from_numpy(rng.integers(0, 5, (30, 40)))
    compiled = scan(matrices, rows, DNA)
    none = Built(None, "there is no compiler")
    monkeypatch.setattr(baselines.token_convolution, "available", lambda like: none)
    np.testing.assert_allclose(scan(matrices, rows, DNA), compiled, rtol=1e-5)


def test_matrices_of_all_widths_are_scanned_as_if_alone() -> None:
    rng = np.random.default_rng(0)
    matrices = [Pattern(str(w), rng.dirichlet([0.5] * 4, w)) for w in (9, 4, 9, 60, 12)]
    rows = torch.from_numpy(rng.integers(1, 5, (30, 40)))
    together = scan(matrices, rows, DNA)
    for index in (0, 1, 2, 4):
        np.testing.assert_allclose(together[index], scan([matrices[index]], rows, DNA)[0])
    assert np.isinf(together[3]).all()  # too wide for any


def test_the_right_matrix_is_chosen_on_training_data() -> None:
    rng = np.random.default_rng(1)
    database = [Pattern(f"{i}", rng.dirichlet([0.2] * 4, 8)) for i in range(20)]
    database.insert(7, Pattern("right", 0.9 * one_hot(SITE) + 0.025))
    train, test = planted(SITE, 1, 200), planted(SITE, 2, 200)
    best, scores = best_scan(database, train, test, DNA)
    assert best.name == "right"
    area = auroc(scores, test.targets[:, 0].numpy() == 1)
    assert area is not None and area > 0.99


def test_the_matrix_is_chosen_on_both_classes_of_a_table_that_alternates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    database = [Pattern(f"{i}", rng.dirichlet([0.2] * 4, 8)) for i in range(20)]
    database.insert(7, Pattern("right", 0.9 * one_hot(SITE) + 0.025))
    train = planted(SITE, 1, 200)
    order = train.targets[:, 0].argsort(stable=True).view(2, -1).T.reshape(-1)
    train = Sequences(train.tokens[order], train.targets[order])
    assert train.targets[::4].unique().numel() == 1  # every fourth row is of one class
    monkeypatch.setattr("seqexp.interpret.filters.baselines.MAX_CHOSEN_ON", 50)
    best, _ = best_scan(database, train, planted(SITE, 2, 20), DNA, 3)
    assert best.name == "right"
