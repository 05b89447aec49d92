"""Pictures of attention show each symbol that was written, and what it looked at."""

import io

import numpy as np
import pytest

from seqexp.interpret.attention.figure import attention_figure
from seqexp.utils.drawing import save


def test_a_row_for_each_written_and_a_column_for_each_read_symbol() -> None:
    weights = np.eye(3, 4)
    figure = attention_figure(weights, ["x", "y", ">"], ["a", "$b$", "c", "word"], (4,), "a source")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y", ">"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "$b$", "c", "word"]
    np.testing.assert_array_equal(axes.images[0].get_array(), weights)
    save(figure, io.BytesIO())


@pytest.mark.parametrize("count", [1, 7])
def test_of_a_picture_each_symbol_has_a_picture(count: int) -> None:
    weights = np.arange(count * 6.0).reshape(count, 6)
    written = [f"w{number}" for number in range(count)]
    figure = attention_figure(weights, written, None, (2, 3), "context 1")
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == written
    np.testing.assert_array_equal(shown[-1].images[0].get_array(), weights[-1].reshape(2, 3))
    save(figure, io.BytesIO())
