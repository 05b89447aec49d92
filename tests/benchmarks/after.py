"""From the last epoch to the prompt: seconds of three experiments, beside those of their training.

What a run does when it has trained: test, baselines, interpretation, figures, the report, the
model. CPU seconds are those of the run's own process; figures are drawn in processes beside it.
Motifs and sequences are made: 10,000 sequences of 200 letters, 800 known motifs.

python -m tests.benchmarks.after [ROUNDS]
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN = """
import json, sys, time
from seqexp import run

fit, clocks = run.fit, (time.perf_counter, time.process_time)

def timed(*given):
    began = [clock() for clock in clocks]
    for report in fit(*given):
        if report.kind == "epoch":
            ended = [clock() for clock in clocks]
            print("NOTED", json.dumps([began, ended]), file=sys.stderr)
        yield report

run.fit = timed
sys.argv[0] = "seqexp"
from seqexp.__main__ import main
try:
    main()
finally:
    print("ENDED", time.process_time(), file=sys.stderr)
"""

COMMANDS = {
    "experiment=motif": ["experiment=motif"],
    "2,000 texts, an LSTM": ["dataset=text", "dataset.num_made=2000", "model=lstm"],
    "experiment=fasta, 10,000 sequences": [
        *("experiment=fasta", "dataset.positives=peaks.fa", "interpret.database=known.jaspar"),
        "trainer.epochs=5",
    ],
}


def write_files(folder: Path) -> None:
    """Half of the sequences, of which others are shuffles, with a motif in most; known motifs."""
    draw = random.Random(0)
    with (folder / "peaks.fa").open("w") as peaks:
        for number in range(5000):
            letters = draw.choices("ACGT", k=200)
            if draw.random() < 0.8:
                place = draw.randrange(60, 130)
                letters[place : place + 8] = "TGACTCAT"
            print(
                f">chr1:{1000 * number}-{1000 * number + 200}",
                "".join(letters),
                sep="\n",
                file=peaks,
            )
    with (folder / "known.jaspar").open("w") as known:
        for number in range(800):
            width = draw.randrange(6, 22)
            columns = [[draw.choice((0, 1, 5, 90)) + 1 for _ in "ACGT"] for _ in range(width)]
            print(f">MA{number:04}.1 made{number}", file=known)
            for letter, counts in zip("ACGT", zip(*columns, strict=True), strict=True):
                print(letter, "[", *counts, "]", file=known)


def seconds(folder: Path, overrides: list[str]) -> tuple[float, float, float, float]:
    """Of the training and of what follows it: wall and CPU."""
    command = [sys.executable, "-c", RUN, *overrides, "trainer.num_threads=1", "force=true"]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
    env["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    at_prompt = time.perf_counter()
    noted = [line for line in done.stderr.splitlines() if line.startswith(("NOTED", "ENDED"))]
    if done.returncode or len(noted) < 2:
        raise RuntimeError(done.stderr[-3000:])
    began, ended = json.loads(noted[-2].removeprefix("NOTED"))
    train = [after - before for before, after in zip(began, ended, strict=True)]
    cpu = float(noted[-1].removeprefix("ENDED")) - ended[1]
    return train[0], train[1], at_prompt - ended[0], cpu


def main(rounds: int) -> None:
    """Interleaved, so that other work on the machine meets all alike."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        found: dict[str, list[tuple[float, float, float, float]]] = {}
        for _ in range(rounds):
            for title, overrides in COMMANDS.items():
                found.setdefault(title, []).append(seconds(folder, overrides))
    print(f"{'':36}training: wall, CPU s      after it: wall, CPU s")
    for title, rows in found.items():
        train, train_cpu, after, cpu = (statistics.median(part) for part in zip(*rows, strict=True))
        print(f"{title:36}{train:8.1f}{train_cpu:8.1f}{after:18.1f}{cpu:8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
