"""Questions on pictures of the test are drawn with their answers and what is attended to."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from matplotlib.figure import Figure

from seqexp.callback.base import Observed
from seqexp.callback.pictures import NUM_SHOWN, Pictures
from seqexp.checkpoint.result import Result
from seqexp.data import Data
from seqexp.dataset.motif import Motif
from seqexp.dataset.questions import Questions
from seqexp.interpret.pictures import RIGHT, WRONG
from seqexp.model.lstm import LSTM
from seqexp.model.picture import PictureConvolution


class Kept:
    """A tracker that keeps figures."""

    def __init__(self, keeps: bool = True) -> None:
        self.keeps = keeps
        self.figures: dict[str, Figure] = {}

    def figure(self, figure: Figure, name: str) -> None:
        self.figures[name] = figure


@pytest.fixture(scope="module")
def data() -> Data:
    return Questions(num_train=5, num_valid=1, num_test=20).load()


def drawn(data: Data, keeps: bool = True, **choices: Any) -> dict[str, Figure]:
    """Figures of a model that has learned nothing."""
    torch.manual_seed(0)
    model = LSTM(data.spec, hidden_size=3, **choices)
    training: Any = SimpleNamespace(model=model, device=torch.device("cpu"), seed=0)
    tracker: Any = Kept(keeps)
    Pictures(Observed(tracker, training, data)).at_end(Result())
    return tracker.figures


def test_a_model_that_attends_shows_where_it_looked(data: Data) -> None:
    picture = PictureConvolution(filters=2, layers=2)
    figures = drawn(data, attention="additive", context_convolution=picture)
    assert set(figures) == {"pictures/answers.png", "pictures/attention.png"}
    shades = [axes.images[-1].get_array() for axes in figures["pictures/attention.png"].axes]
    assert [shade.shape for shade in shades if shade is not None] == [(3, 5, 4)] * NUM_SHOWN


def test_each_picture_has_its_question_its_answer_and_the_right_one(data: Data) -> None:
    (figure,) = drawn(data).values()
    few = data.test.chosen(data.test.drawn(NUM_SHOWN, 0))
    for axes, tokens, target in zip(figure.axes, few.tokens, few.targets[:, 0], strict=True):
        question, *right, answer = axes.texts
        right_name = data.spec.output_names[int(target)]
        assert question.get_text() == " ".join(data.spec.vocabulary.decode(tokens.tolist()))
        is_right = answer.get_text() == right_name
        assert answer.get_color() == (RIGHT if is_right else WRONG)
        assert [text.get_text() for text in right] == (
            [] if is_right else [f"right is: {right_name}"]
        )


def test_nothing_is_drawn_without_a_picture_or_a_place_to_keep_it(data: Data) -> None:
    assert drawn(data, keeps=False) == {}
    assert drawn(Motif(num_train=2, num_valid=1, num_test=2).load()) == {}
