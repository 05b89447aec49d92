"""What intervals of a genome cost: memory and time of loading them, each count in a fresh process.

A genome of 200 million letters is made, with stretches of their own GC. Looked at 50 times a second
are anonymous memory (RssAnon), which has to be had, and pages of files (RssFile), which the system
takes back when it needs them; both over what the process had before.

python -m tests.benchmarks.intervals [--counts 1000 20000 100000] [--negatives gc-matched]
    [--forms positives classes labels number name folds families splits]
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTIGS, LETTERS, STEP, WIDTH = 4, 50_000_000, 1000, 200

FORMS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "positives": lambda path, negatives: {"intervals": str(path), "negatives": negatives},
    "classes": lambda path, negatives: {
        "intervals": halves(path),
        "task": "sequence_class",
        "negatives": negatives,
    },
    "labels": lambda path, negatives: {
        "intervals": halves(path),
        "task": "multi_label",
        "negatives": negatives,
    },
    "number": lambda path, _: {"intervals": str(path), "targets": ["score"], "task": "regression"},
    "name": lambda path, _: {"intervals": str(path), "targets": ["name"]},
    "folds": lambda path, negatives: {
        "intervals": str(path),
        "negatives": negatives,
        "folds": 5,
    },
    "families": lambda path, negatives: {
        "intervals": str(path),
        "negatives": negatives,
        "keep_together": 24,
    },
    "splits": lambda path, _: {"intervals": str(path), "splits": str(path.with_suffix(".tsv"))},
}
"""What is given, by the intervals and the negatives; of `splits` and columns there are no others.

Of classes and labels, a file has three quarters of the intervals each: half are in both.
"""


def make_genome(path: Path) -> None:
    """Contigs of letters at random, whose GC changes every 2,000."""
    import numpy as np

    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for number in range(1, CONTIGS + 1):
            gc = np.repeat(rng.uniform(0.35, 0.6, LETTERS // 2000), 2000)
            borders = np.stack([gc / 2, gc, (1 + gc) / 2])
            letters = np.frombuffer(b"GCAT", np.uint8)[(rng.random(LETTERS) > borders).sum(axis=0)]
            lines = (letters[at : at + 60].tobytes() for at in range(0, LETTERS, 60))
            file.write(b">chr%d\n" % number + b"\n".join(lines) + b"\n")


def halves(path: Path) -> dict[str, str]:
    """Two files of the intervals."""
    return {name: str(path.with_suffix(f".{name}")) for name in ("first", "last")}


def make_intervals(path: Path, count: int) -> None:
    """Windows that do not overlap, in no order, on either strand; their splits, and two files."""
    import numpy as np

    rng = np.random.default_rng(1)
    by_contig = LETTERS // STEP - 1
    rows, splits = [], []
    with path.open("w") as file:
        for number in rng.permutation(CONTIGS * by_contig)[:count].tolist():
            contig, place = divmod(number, by_contig)
            start = place * STEP + int(rng.integers(0, STEP - WIDTH))
            strand = "+-"[number % 2]
            named = f"{'abc'[number % 3]}\t{rng.random():.6f}\t{strand}"
            rows.append(f"chr{contig + 1}\t{start}\t{start + WIDTH}\t{named}\n")
            split = ("train", "train", "train", "valid", "test")[number % 5]
            splits.append(f"chr{contig + 1}:{start}-{start + WIDTH}({strand})\t{split}\n")
        file.writelines(rows)
    path.with_suffix(".tsv").write_text("id\tsplit\n" + "".join(splits))
    parts = (rows[: 3 * count // 4], rows[count // 4 :])
    for name, part in zip(halves(path).values(), parts, strict=True):
        Path(name).write_text("".join(part))


def load(form: str, intervals: str, genome: str, negatives: str) -> dict[str, float]:
    """MiB that loading took at most, and that stay, over what was there before; CPU seconds."""
    import torch  # noqa: F401  what every process has

    from seqexp.dataset.fasta import Fasta
    from seqexp.formats.genome import Genome

    Genome(genome).close()  # the index is there
    before, most, is_over = memory(), memory(), threading.Event()

    def watch() -> None:
        while not is_over.wait(0.02):
            for key, value in memory().items():
                most[key] = max(most[key], value)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.process_time()
    data = Fasta(genome=genome, **FORMS[form](Path(intervals), negatives)).load()
    seconds = time.process_time() - began
    is_over.set()
    watcher.join()
    found = {f"peak {key}": most[key] - before[key] for key in before}
    found |= {f"kept {key}": memory()[key] - before[key] for key in before}
    return {**found, "sequences": sum(map(len, data.splits().values())), "seconds": seconds}


def memory() -> dict[str, float]:
    """MiB of this process, anonymous and of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--counts", type=int, nargs="+", default=[1000, 20_000, 100_000])
    parser.add_argument("--negatives", default="gc-matched")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=[*FORMS])
    parser.add_argument("--child", nargs=4)
    given = parser.parse_args()
    if given.child:
        print(json.dumps(load(*given.child)))
        return
    with tempfile.TemporaryDirectory() as folder:
        genome = Path(folder) / "genome.fa"
        make_genome(genome)
        for count in given.counts:
            path = Path(folder) / f"{count}.bed"
            make_intervals(path, count)
            for form in given.forms:
                child = ["--child", form, str(path), str(genome), given.negatives]
                command = [sys.executable, "-m", "tests.benchmarks.intervals", *child]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                found = json.loads(output.splitlines()[-1])
                shown = (f"{key} {value:,.0f}" for key, value in found.items())
                print(form, count, *shown, sep=", ", flush=True)


if __name__ == "__main__":
    main()
