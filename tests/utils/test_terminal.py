"""What is seen on a terminal, and what is not in a log."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from conftest import Command

from seqexp.callback.progress import Progress
from seqexp.trainer.training import Report
from seqexp.utils.terminal import RED, coloured

pty = pytest.importorskip("pty", reason="there are no terminals here")

BAR = re.compile(
    r"epoch (\d+)/\d+  loss (\d+\.\d{4}) +(\d+)% .* [\d.]+k? sequences/s +(?:\d+:)?\d+:\d+ left"
)

LONG = ("tracking=none", "interpret=none", "trainer.epochs=4", "dataset.num_train=2000")


def on_a_terminal(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[str, float]:
    """What a terminal of 100 columns is sent, and after how many seconds all was said."""
    screen, keyboard = pty.openpty()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "NO_COLOR"))}
    env |= {"TERM": "xterm", "COLUMNS": "100", **(environment or {})}
    process = subprocess.Popen(
        [sys.executable, "-m", "seqexp", *arguments],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        cwd=folder,
        env=env,
    )
    os.close(keyboard)
    sent, began = b"", time.monotonic()
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # Linux's word for the end
            break
        if not piece:
            break
        sent += piece
    os.close(screen)
    process.wait(timeout=60)
    return sent.decode(), time.monotonic() - began


def test_a_terminal_shows_loss_rate_and_time_left_and_lines_stay_whole(tmp_path: Path) -> None:
    sent, seconds = on_a_terminal(tmp_path, *LONG)
    frames = [match for match in map(BAR.fullmatch, re.split(r"[\r\n]+", sent)) if match]
    assert len(frames) >= 2
    shares = [int(frame[3]) for frame in frames]
    assert shares == sorted(shares) and 0 < shares[-1] <= 100
    assert float(frames[0][2]) > float(frames[-1][2]) > 0
    # at most ten a second, and again after each line of the log
    assert len(frames) <= 10 * seconds + 4 + 1
    shown = [line.rpartition("\r")[2] for line in sent.replace("\r\n", "\n").splitlines()]
    assert len([line for line in shown if re.match(r"epoch \d/4  train/loss_nats", line)]) == 4
    assert "  test/accuracy " in "\n".join(shown)
    assert not BAR.search(shown[-1])  # it has gone away


def test_a_log_has_plain_lines(seqexp: Command, tmp_path: Path) -> None:
    done = seqexp("trainer=smoke", "interpret=none", "optimized_metric=reads/exact", TERM="xterm")
    assert done.returncode == 0 and done.stderr == ""
    assert "optimized_metric is reads/exact" in done.stdout  # a warning: yellow on a terminal
    (log,) = (tmp_path / "outputs/runs").glob("*/seqexp.log")
    for text in (done.stdout, log.read_text()):
        assert "epoch 2/2  train/loss_nats" in text
        assert "\r" not in text and "\033" not in text and "left" not in text


@pytest.mark.parametrize(
    ("environment", "start"),
    [
        ({}, "\033[31mseqexp:\033[0m "),
        ({"NO_COLOR": "1"}, "seqexp: "),
        ({"TERM": "dumb"}, "seqexp: "),
    ],
)
def test_an_error_is_red_where_that_is_welcome(
    environment: dict[str, str], start: str, tmp_path: Path
) -> None:
    sent, _ = on_a_terminal(tmp_path, "modle=lstm", environment=environment)
    assert sent.startswith(f"{start}the configuration has 1 fault")
    assert "modle: unknown; did you mean model?" in sent


def test_a_warning_is_yellow_on_a_terminal(tmp_path: Path) -> None:
    quick = ("trainer=smoke", "interpret=none", "tracking=none", "optimized_metric=reads/exact")
    sent, _ = on_a_terminal(tmp_path, *quick)
    assert "\033[33moptimized_metric is reads/exact" in sent


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_process_that_is_to_be_silent_shows_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    with Progress(None, 10, "tokens", 1.0, wanted=False) as progress:  # type: ignore[arg-type]
        progress.after(Report("update", 1))
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]
    assert coloured("x", RED, sys.stderr) != "x"  # it was one


@pytest.mark.slow  # 15 s: worker processes import PyTorch
def test_workers_of_a_sweep_show_no_bar(tmp_path: Path) -> None:
    sent, _ = on_a_terminal(
        tmp_path, "-m", "launcher=parallel", "launcher.jobs=2", *LONG, "seed=0,1"
    )
    assert sent.count("epoch 4/4  train/loss_nats") == 2
    assert not BAR.search(sent)


def test_the_bar_goes_away_when_a_training_is_interrupted(tmp_path: Path) -> None:
    screen, keyboard = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "seqexp", *LONG[:2], "trainer.epochs=10000"],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(keyboard)
    sent = ""
    while not BAR.search(sent):
        sent += os.read(screen, 65536).decode(errors="replace")
    process.send_signal(signal.SIGINT)
    while True:
        try:
            sent += os.read(screen, 65536).decode(errors="replace")
        except OSError:
            break
    os.close(screen)
    assert process.wait(timeout=60) == 130
    last = [line.rpartition("\r")[2] for line in sent.replace("\r\n", "\n").splitlines()][-1]
    assert last.endswith("interrupted") and "left" not in last
