"""Figures drawn in a process beside this one: the same files, and errors that are seen here."""

import os
import resource
import time
from collections.abc import Iterator

import psutil
import pytest
from matplotlib.figure import Figure

from seqexp.utils import beside
from seqexp.utils.beside import Beside, Picture, can_fork, pictures, png_of
from seqexp.utils.drawing import png

HERE = os.getpid()

needs_fork = pytest.mark.skipif(not can_fork(), reason="no process with a core to itself")


def figure(width: float = 1.0) -> Figure:
    made = Figure(figsize=(width, 1))
    made.text(0.5, 0.5, "A$C")
    return made


def counted() -> Figure:
    """As wide as this process is not the one that draws."""
    return figure(2.0 if os.getpid() == HERE else 1.0)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = set(psutil.Process().children())  # of other tests
    yield
    assert set(psutil.Process().children()) <= before


@needs_fork
def test_figures_are_drawn_beside_with_the_bytes_that_they_have_here() -> None:
    drawn = pictures({"a": figure, "b": counted})
    assert drawn["b"].png() == drawn["a"].png() == png(figure())
    assert png_of(drawn["a"]) == png_of(figure())


def test_where_no_process_can_be_forked_they_are_drawn_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(beside, "can_fork", lambda: False)
    assert pictures({"b": counted})["b"].png() == png(figure(2.0))


@needs_fork
def test_what_a_process_cannot_draw_is_drawn_here() -> None:
    def ends() -> Figure:
        return figure() if os.getpid() == HERE else os._exit(0)

    assert pictures({"a": ends, "b": counted})["b"].png() == png(figure(2.0))


@needs_fork
def test_a_process_that_stands_still_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def stands() -> Figure:
        time.sleep(0 if os.getpid() == HERE else 60)
        return figure()

    monkeypatch.setattr(beside, "PATIENCE", 0.1)
    assert pictures({"a": stands})["a"].png() == png(figure())


@needs_fork
def test_a_process_that_works_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def works() -> int:
        until = time.process_time() + 0.6
        while time.process_time() < until:
            pass
        return os.getpid()

    monkeypatch.setattr(beside, "PATIENCE", 0.3)
    assert Beside({"a": works}).result("a") != HERE


@needs_fork
def test_an_error_is_raised_where_the_figure_is_asked_for() -> None:
    def fails() -> Figure:
        raise ValueError("no such motif")

    drawn: Picture = pictures({"a": fails})["a"]
    with pytest.raises(ValueError, match="no such motif"):
        drawn.png()


@needs_fork
def test_figures_that_nobody_asks_for_leave_no_process() -> None:
    drawing = Beside({"a": lambda: time.sleep(60)})
    del drawing


@needs_fork
def test_a_copy_in_another_process_ends_no_drawing() -> None:
    drawing = Beside({"a": lambda: png(counted())})
    process = os.fork()
    if not process:
        drawing._end()  # as when the copy is no longer wanted
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
    assert drawing.result("a") == png(figure(1.0))


@needs_fork
@pytest.mark.skipif(
    resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1500, reason="numbers of files are small here"
)
def test_files_of_large_numbers_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = os.pipe

    def high() -> tuple[int, int]:
        reader, writer = pipe()
        os.dup2(reader, 1500)
        os.close(reader)
        return 1500, writer

    monkeypatch.setattr(beside.os, "pipe", high)
    assert Beside({"a": lambda: png(counted())}).result("a") == png(figure(1.0))
