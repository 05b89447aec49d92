"""Pictures of predictions: nothing of them is cut."""

import numpy as np
import pytest

from seqexp.task.figures import confusion_matrix


@pytest.mark.parametrize("names", [("O", "B-x"), ("a very long name of a class", "x", "y")])
def test_no_label_of_a_confusion_matrix_touches_the_edge(names: tuple[str, ...]) -> None:
    classes = np.arange(60) % len(names)
    figure = confusion_matrix(classes, classes, names)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for label in (axes.yaxis.label, axes.xaxis.label, *axes.get_yticklabels()):
        box = label.get_window_extent()
        assert box.x0 > 5 and box.y0 > 5, label.get_text()
