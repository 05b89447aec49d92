"""A phase is shown while it lasts, and a log has its seconds; on a terminal its line goes away."""

import io
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from seqexp.utils import phases
from seqexp.utils.phases import AGAIN, ANNOUNCED, DRAWING, SHOWN, WRITING, counted, phase, screen
from seqexp.utils.progress import Bar
from seqexp.utils.terminal import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def passes(self, seconds: float) -> None:
        """Seconds pass, and the screen is looked at."""
        self.now += seconds
        screen.look()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    found = Clock()
    monkeypatch.setattr(time, "monotonic", lambda: found.now)
    monkeypatch.setattr(phases, "TICK", 1000.0)  # only this clock looks
    yield found
    assert screen.phases == []


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[io.StringIO]:
    """The console of a command."""
    told, logger = io.StringIO(), logging.getLogger("seqexp")
    console = Console(told)
    caplog.set_level(logging.INFO, "seqexp")
    logger.addHandler(console)
    yield told
    logger.removeHandler(console)


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """What is written to a terminal of 30 columns, from now on."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "30")
    return stream


def seen(terminal: Terminal) -> str:
    """The last line, as a terminal shows it."""
    line = [" "] * 200
    for piece in terminal.getvalue().split("\r"):
        line[: len(piece)] = piece
    return "".join(line).rstrip()


def test_a_log_says_what_goes_on_and_the_seconds_of_what_is_over(
    clock: Clock, log: io.StringIO
) -> None:
    with phase("outer"):
        with phase("inner"):
            clock.passes(ANNOUNCED)
            assert log.getvalue() == "  inner ...\n"  # while it goes on
            clock.passes(AGAIN)
            clock.passes(1)
        with phase("short"):
            clock.passes(0.9)
        clock.passes(ANNOUNCED - 0.1)  # of its own: the phases in it have said theirs
    assert log.getvalue().splitlines() == [
        "  inner ...",
        "  inner: 63 s so far",
        "  inner: 64.0 s",
        "  outer: 2.9 s",
    ]


def test_a_terminal_shows_the_innermost_phase_in_one_line_which_goes_away(
    clock: Clock, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    with phase("a phase with more words than a line has columns"):
        clock.passes(SHOWN)
        assert seen(terminal) == "  a phase with more words ..."
        with phase("inner"):
            clock.passes(2)
            assert seen(terminal) == "  inner ... 2 s"
            logging.getLogger("seqexp").info("a line")
            assert seen(terminal) == ""  # so that the line of the log stays whole
            clock.passes(ANNOUNCED)
    assert seen(terminal) == "" and "\n" not in terminal.getvalue()
    assert max(map(len, terminal.getvalue().split("\r"))) <= 29
    assert log.getvalue() == "a line\n"  # the rest is in the log's file


def test_a_bar_takes_the_place_of_the_line(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    with phase("reading"):
        bar = Bar(10, 0, "texts", "tokenising")
        clock.passes(1)
        bar.close()
        assert "reading" not in terminal.getvalue()
        clock.passes(1)
    assert "reading" in terminal.getvalue()


def test_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    with phase("testing"):
        ends = time.monotonic() + 20
        while "testing" not in terminal.getvalue() and time.monotonic() < ends:
            time.sleep(0.05)
    assert "  testing ... " in terminal.getvalue()


def test_a_worker_of_a_sweep_says_nothing_on_the_console(
    clock: Clock, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setattr(phases, "is_alone", lambda: False)
    with phase("testing"):
        clock.passes(ANNOUNCED)
    assert terminal.getvalue() == log.getvalue() == ""


def test_a_process_that_is_to_be_silent_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    terminal = terminal_of(monkeypatch)
    caplog.set_level(logging.ERROR, "seqexp")
    monkeypatch.setattr(phases, "SHOWN", 0.0)
    monkeypatch.setattr(phases, "TICK", 0.001)
    with phase("testing"):
        time.sleep(0.05)
    assert terminal.getvalue() == ""


def test_seconds_count_once_to_the_part_that_they_are_of(clock: Clock) -> None:
    with counted() as spent, phase("drawing", DRAWING):
        clock.passes(1)
        with phase("writing", WRITING):
            clock.passes(3)
        with phase("drawing more"):
            clock.passes(6)
    assert spent == {DRAWING: 7.0, WRITING: 3.0}
    with counted() as spent, phase("of no part"):
        clock.passes(1)
    assert spent == {}


def test_a_phase_that_fails_leaves_no_line(
    clock: Clock, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    with pytest.raises(KeyboardInterrupt), phase("testing"):
        clock.passes(2)
        raise KeyboardInterrupt
    assert seen(terminal) == "" and log.getvalue() == ""
