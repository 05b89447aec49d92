"""Pictures of a context are what the dataset read, and attention darkens what is not looked at."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from seqexp.interpret.attention.figure import attention_figure
from seqexp.interpret.pictures import RIGHT, WRONG, Said, attention_gallery, gallery
from seqexp.utils.pixels import picture_of, pixel_names

COLOURED = np.arange(24, dtype=np.float32).reshape(2, 4, 3) / 24


@pytest.mark.parametrize("picture", [COLOURED, COLOURED[..., 0]])
def test_a_picture_comes_back_from_its_rows_without_padding(picture: np.ndarray) -> None:
    channels = picture.shape[2] if picture.ndim == 3 else 1
    rows = np.concatenate([picture.reshape(2, -1), np.full((1, 4 * channels), np.nan, np.float32)])
    found = picture_of(rows, pixel_names(4, channels))
    assert found is not None
    np.testing.assert_array_equal(found, picture)


def test_features_of_no_picture_are_none() -> None:
    assert picture_of(np.zeros((2, 3), np.float32), ("x", "y", "z")) is None


def said(number: int) -> list[Said]:
    return [Said(COLOURED, ["a $question$?", f"answer {i}"], i % 2 == 0) for i in range(number)]


def texts(figure: Figure) -> list[tuple[str, str]]:
    return [(t.get_text(), t.get_color()) for axes in figure.axes for t in axes.texts]


def test_answers_are_coloured_by_whether_they_are_right() -> None:
    found = texts(gallery(said(5), "title"))
    assert found[:4] == [
        ("a $question$?", "black"),
        ("answer 0", RIGHT),
        ("a $question$?", "black"),
        ("answer 1", WRONG),
    ]
    assert len(found) == 10


def test_what_is_attended_to_is_left_bright() -> None:
    weights = np.array([[[0.0, 1.0], [0.5, 0.0]]] * 2)
    figure = attention_gallery(said(2), weights)
    shade = figure.axes[0].images[-1].get_array()
    assert shade is not None
    np.testing.assert_allclose(shade[..., 3], [[0.85, 0], [0.425, 0.85]])


def test_attention_of_what_was_written_lies_over_the_picture() -> None:
    weights = np.full((3, 4), 0.25)
    figure = attention_figure(weights, ["a", "b", ">"], None, (2, 2), "title", COLOURED)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in drawn] == ["a", "b", ">"]
    picture = drawn[0].images[0].get_array()
    assert picture is not None
    np.testing.assert_allclose(picture, COLOURED)
