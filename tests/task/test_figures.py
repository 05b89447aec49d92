"""Pictures of predictions: nothing of them is cut, and what they show is where it should be."""

import io

import numpy as np
import pytest
from PIL import Image

from seqexp.task.figures import (
    confusion_matrix,
    precision_recall_curves,
    reliability,
    roc_curves,
)
from seqexp.utils.paper import map_color

MANY = tuple(f"class {number}" for number in range(30))
NAMES = (
    ("O", "B-x"),
    ("a very long name of a class", "x", "y"),
    ("gut", "\u202eb", "$x$", "", "e"),
)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("names", [*NAMES, MANY])
def test_no_label_of_a_confusion_matrix_touches_the_edge(names: tuple[str, ...]) -> None:
    classes = np.arange(60) % len(names)
    image = pixels(confusion_matrix(classes, classes[::-1], names))
    for edge in (image[:4], image[-4:], image[:, :4], image[:, -4:]):
        assert (edge == 255).all()


def test_the_shade_of_a_confusion_matrix_is_the_share_of_the_true_class() -> None:
    truth, predicted = np.array([0] * 4 + [1] * 4), np.array([0] * 4 + [0, 0, 0, 1])
    image = pixels(confusion_matrix(truth, predicted, ("a", "b")))
    colors = [tuple(one) for row in range(2) for one in _cells(image, row)]
    wanted = [1.0, 0.0, 0.75, 0.25]
    assert colors == [_rgb(map_color(2 * share - 1, "Blues")) for share in wanted]


def _cells(image: np.ndarray, row: int) -> list[tuple[int, ...]]:
    """The colours of two cells, near their upper left corners; cells are 100 pixels large."""
    left = int(np.flatnonzero((image[18] != 255).any(axis=1))[0])
    return [tuple(image[16 + 100 * row + 4, left + 100 * column + 4]) for column in (0, 1)]


def _rgb(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def blue(image: np.ndarray) -> np.ndarray:
    """Where the first curve is."""
    found: np.ndarray = (image == (0x1F, 0x77, 0xB4)).all(axis=2)
    return found


LEFT, TOP, SIDE = 78, 14, 432
"""Of the frame of curves, pixels."""


def at(x: float, y: float) -> tuple[int, int]:
    """The row and the column of a point."""
    column = LEFT + (x + 0.02) / 1.04 * SIDE
    return round(TOP + SIDE - (y + 0.02) / 1.04 * SIDE), round(column)


def test_a_roc_curve_goes_through_its_points() -> None:
    scores, positive = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    image = blue(pixels(roc_curves({"x": (scores, positive)})))
    for x, y in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 1.0)):
        row, column = at(x, y)
        assert image[row - 2 : row + 3, column - 2 : column + 3].any(), (x, y)
    row, column = at(0.25, 0.9)
    assert not image[row - 2 : row + 3, column - 2 : column + 3].any()


def test_a_precision_holds_from_one_recall_to_the_next() -> None:
    scores, positive = np.array([4.0, 3, 2, 1]), np.array([True, False, True, False])
    image = blue(pixels(precision_recall_curves({"x": (scores, positive)})))
    for x, y in ((0.25, 1.0), (0.5, 0.75), (0.75, 0.5)):
        row, column = at(x, y)
        assert image[row - 2 : row + 3, column - 2 : column + 3].any(), (x, y)


def test_curves_of_labels_with_one_short_name_are_all_drawn() -> None:
    rng = np.random.default_rng(0)
    curves = {f"{'x' * 30} {n}": (rng.normal(size=50), rng.random(50) < 0.5) for n in range(8)}
    for draw in (roc_curves, precision_recall_curves):
        image = pixels(draw(curves))
        colors = {tuple(one) for one in image.reshape(-1, 3)}
        assert {(0x1F, 0x77, 0xB4), (0x7F, 0x7F, 0x7F)} <= colors  # the first and the eighth


def test_a_reliability_diagram_has_a_point_a_bin_and_a_bar_a_count() -> None:
    confidence = np.array([0.05] * 10 + [0.95] * 30)
    right = np.array([True] * 5 + [False] * 5 + [True] * 30)
    image = pixels(reliability(confidence, right))
    dots = blue(image)
    for x, y in ((0.05, 0.5), (0.95, 1.0)):
        column = round(LEFT + (x + 0.02) / 1.04 * SIDE)
        row = round(340 - (y + 0.02) / 1.04 * 326)
        assert dots[row - 2 : row + 3, column - 2 : column + 3].all(), (x, y)
    bars = (image[392:506] == (0x2A, 0x6F, 0xBB)).all(axis=2).sum(axis=0)
    first, last = (round(86 + x * 416) for x in (0.05, 0.95))
    assert bars[last] == pytest.approx(3 * bars[first], abs=3) and not bars[290]
