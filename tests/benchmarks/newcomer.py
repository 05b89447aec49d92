"""A newcomer's first hour: seconds of each command, and how many of them pass without a word.

    python tests/benchmarks/newcomer.py                         all commands, on a terminal
    python tests/benchmarks/newcomer.py --in-a-log              the same into a pipe
    python tests/benchmarks/newcomer.py --tree ../before        of another checkout
    python tests/benchmarks/newcomer.py --only train predict    some of them

A second without a word begins one second after the last thing that was written. Wall seconds depend
on what else the machine does; CPU seconds of the command and its children hardly do.
"""

import argparse
import os
import pty
import re
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PATIENCE = 1.0
"""Seconds without a word that nobody minds."""

SHORT = ("trainer.epochs=5",)

COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "train": SHORT,
    "again": SHORT,
    "fasta": ("experiment=fasta", "dataset.positives=peaks.fa", "trainer.epochs=3"),
    "sweep": ("-m", "model=lstm,rnn", "dataset.num_train=300", "trainer.epochs=2"),
    "predict": ("predict", "run=latest", "input=some.fa", "output=some.csv"),
    "compare": ("compare", "sweep=latest"),
    "ui": ("ui", "port=5990"),
}
"""In the order in which they are typed."""

ENDLESS = ("ui",)
"""Commands that serve until Ctrl-C; they are stopped when they have said where to look."""

FIRST_EPOCH = re.compile(rb"[\r\n]epoch +1/\d+  train")
TRAINED = re.compile(rb"[\r\n]epoch +(\d+)/\1  train")


@dataclass(frozen=True)
class Told:
    """What one command wrote, and when: seconds since Enter, and all bytes up to then."""

    moments: Sequence[tuple[float, int]]
    text: bytes
    wall: float
    cpu: float
    status: int

    def at(self, place: int) -> float:
        """Seconds until so many bytes were written."""
        return next((when for when, size in self.moments if size > place), self.wall)

    def silent(self, begin: float, end: float) -> float:
        """Seconds between two moments that passed without a word."""
        words = [begin, *(w for w, _ in self.moments if begin < w < end), end]
        return sum(max(0.0, b - a - PATIENCE) for a, b in zip(words, words[1:], strict=False))

    def phases(self) -> Iterator[tuple[str, float, float]]:
        """Name, begin and end: of a training before, during and after its epochs."""
        first, last = FIRST_EPOCH.search(self.text), TRAINED.search(self.text)
        if first is None or last is None:
            yield "all", 0.0, self.wall
            return
        begin, end = self.at(first.start()), self.at(last.start())
        yield from (("before", 0.0, begin), ("epochs", begin, end), ("after", end, self.wall))


def run(command: Sequence[str], folder: Path, tree: Path, in_a_log: bool, endless: bool) -> Told:
    """Type a command in a folder, and watch what it writes."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("SEQEXP")}
    env |= {"TERM": "xterm", "COLUMNS": "100", "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    reading, writing = os.pipe() if in_a_log else pty.openpty()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "seqexp", *command],
        **{"cwd": folder, "env": env, "stdin": subprocess.DEVNULL},
        **{"stdout": writing, "stderr": writing},
    )
    os.close(writing)
    text, moments = b"", []
    while True:
        ready, _, _ = select.select([reading], [], [], 1.0)
        if ready:
            try:
                piece = os.read(reading, 65536)
            except OSError:  # Linux's word for the end of a terminal
                piece = b""
            if not piece:
                break
            text += piece
            moments.append((time.monotonic() - began, len(text)))
        if endless and (b"Ctrl-C" in text or time.monotonic() - began > 120):
            process.send_signal(signal.SIGINT)
            endless = False
    os.close(reading)
    status, wall = process.wait(), time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Told(moments, text.replace(b"\r\n", b"\n"), wall, cpu, status)


def make_files(folder: Path) -> None:
    """DNA with a motif in it, and some to predict."""
    rng = np.random.default_rng(0)
    for name, count in (("peaks.fa", 300), ("some.fa", 20)):
        lines = []
        for number in range(count):
            letters = "".join(rng.choice(list("ACGT"), 100))
            at = int(rng.integers(0, 90))
            lines += [f">{number}", f"{letters[:at]}TGACTCAGCA{letters[at + 10 :]}"]
        (folder / name).write_text("\n".join(lines) + "\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, default=Path(__file__).parents[2])
    parser.add_argument("--in-a-log", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    given = parser.parse_args()
    print("| command | phase | s | of them silent | CPU s |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        make_files(Path(name))
        for key in given.only:
            command = COMMANDS[key]
            told = run(command, Path(name), given.tree.resolve(), given.in_a_log, key in ENDLESS)
            typed = f"`{' '.join(command)}`"
            if told.status not in (0, 130) and key not in ENDLESS:
                typed += f" (exit status {told.status})"
            for index, (phase, begin, end) in enumerate(told.phases()):
                cells = [typed if not index else "", phase, f"{end - begin:.1f}"]
                cells += [f"{told.silent(begin, end):.1f}", f"{told.cpu:.1f}" if not index else ""]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
