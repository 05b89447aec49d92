"""The protocol of callbacks: who is told, in which order, and what a checkpoint keeps of each."""

import pytest

from seqexp.callback.base import Callback, Curves, closing, tell
from seqexp.callback.filters import LearnedFilters
from seqexp.callback.gradient_flow import Gradients
from seqexp.callback.kernels import Kernels
from seqexp.callback.samples import Samples
from seqexp.checkpoint.result import Result
from seqexp.run import end
from seqexp.trainer.training import Report


class Speaks(Callback):
    """Writes down what it is told."""

    def __init__(self, heard: list[str], name: str, ends_run: bool = False) -> None:
        self.heard, self.called, self.ends_run = heard, name, ends_run

    def after(self, report: Report) -> None:
        self.heard.append(f"{self.called} {report.step}")

    def at_test(self) -> None:
        self.heard.append(f"{self.called} begins")

    def at_end(self, result: Result) -> None:
        self.heard.append(f"{self.called} ends")

    def close(self) -> None:
        self.heard.append(f"{self.called} closed")


def test_all_begin_what_is_done_beside_before_any_ends() -> None:
    heard: list[str] = []
    end([Speaks(heard, "a"), Callback(), Speaks(heard, "b")], Result())
    assert heard == ["a begins", "b begins", "a ends", "b ends"]


def test_a_callback_that_ends_a_run_is_the_last_to_speak() -> None:
    heard: list[str] = []
    callbacks = [Speaks(heard, "a"), Speaks(heard, "b", ends_run=True), Speaks(heard, "c")]
    assert tell(callbacks[:1], Report("epoch", 1))
    assert not tell(callbacks, Report("epoch", 2))
    assert heard == ["a 1", "a 2", "b 2"]


def test_all_are_closed_whatever_happens() -> None:
    heard: list[str] = []
    with pytest.raises(ZeroDivisionError), closing([Speaks(heard, "a"), Speaks(heard, "b")]):
        raise ZeroDivisionError
    assert heard == ["a closed", "b closed"]


def test_checkpoints_keep_the_state_of_callbacks_by_these_names() -> None:
    """Checkpoints of earlier versions have them, too."""
    kept = {one.name for one in (Curves, Kernels, Gradients, LearnedFilters, Samples)}
    assert kept == {"story", "recurrences", "flow", "show", "write"}
