"""Do changes of the code change results? Twelve short runs, and the SHA-256 of what each came to.

    python tests/tools/same_results.py > before.txt      on one checkout
    python tests/tools/same_results.py > after.txt       on another; then diff the two

A line a run: its name, the SHA-256 of the weights that were kept, and that of every point of every
metric but times, speeds and memory. It types commands and reads files only, so that it needs no
module of ours by name. Every dataset, every model, full and truncated backpropagation, lazy Adam,
products in bfloat16 (where the processor has them) and replicas are among the runs.
"""

import hashlib
import io
import random
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

QUICK = (
    *("trainer.epochs=2", "trainer.device=cpu", "trainer.num_threads=1"),
    *("interpret=none", "decode=none", "gradient_flow=none"),
)

MOTIF = ("dataset=motif", "dataset.num_train=200", "dataset.num_valid=50", "dataset.num_test=50")
CHARS = ("dataset=chars", "dataset.num_chars=4000", "dataset.batch_size=8")
TEXT = ("dataset=text", "dataset.num_made=200", "dataset.max_length=12")

RUNS: dict[str, tuple[str, ...]] = {
    "motif-cnn1d": (*MOTIF, "model=cnn1d", "model.strands=both"),
    "motif-lstm": (*MOTIF, "model=lstm", "trainer.clip_norm=1"),
    "motif-stacked-gru": (*MOTIF, "model=stacked-rnn", "model.cell=gru"),
    "fasta-cnn1d": ("dataset=fasta", "dataset.positives=peaks.fa", "model=cnn1d"),
    "reads-lstm": ("dataset=noisy-reads", "dataset.length=40", "model=lstm", "model.dropout=0.3"),
    "chars-rnn-full": (*CHARS, "model=rnn", "trainer=tbptt", "trainer.bptt.k1=20"),
    "chars-lstm-truncated": (
        *(*CHARS, "model=lstm", "trainer=tbptt", "trainer.bptt.k1=10", "trainer.bptt.k2=30"),
        "schedule=cosine",
    ),
    "text-lstm-lazy-adam": (*TEXT, "model=lstm", "optimizer=lazy-adam", "model.dropout=0.2"),
    "text-cnn1d": (*TEXT, "model=cnn1d", "model.filter_width=3"),
    "imdb-rnn": ("dataset=imdb", "model=rnn", "trainer.max_sequences=200", "dataset.max_length=9"),
    "motif-lstm-bf16": (*MOTIF, "model=lstm", "model.kernel=compiled", "trainer.precision=bf16"),
    "motif-replicas": (*MOTIF, "model=cnn1d", "trainer.replicas=3"),
}

NOT_RESULTS = ("time/", "speed/", "memory/", "system/")


def write_files(folder: Path) -> None:
    """Peaks, and an archive of tiny film reviews."""
    draw = random.Random(0)
    peaks = (f">p{i}\n{''.join(draw.choices('ACGT', k=60))}GGAAGGAAGG\n" for i in range(100))
    (folder / "peaks.fa").write_text("".join(peaks))
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz", compresslevel=1) as archive:
        for split in ("train", "test"):
            for label, words in (("neg", ("bad", "dull")), ("pos", ("good", "great"))):
                for number in range(12_500):
                    text = f"A {words[number % 2]} film, {number % 7} of 7".encode()
                    info = tarfile.TarInfo(f"aclImdb/{split}/{label}/{number}_1.txt")
                    info.size = len(text)
                    archive.addfile(info, io.BytesIO(text))


def digest(parts: list[bytes]) -> str:
    """The first letters of the SHA-256 of all parts."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def outcome(outputs: Path) -> str:
    """Digests of the weights and of the metrics in a folder of outputs."""
    weights = sorted(outputs.rglob("*.safetensors"))
    kept = [file.read_bytes() for file in weights if "mlartifacts" in file.parts]
    with sqlite3.connect(outputs / "mlflow.db") as database:
        rows = database.execute("SELECT key, step, value FROM metrics").fetchall()
    points = sorted(repr(row) for row in rows if not row[0].startswith(NOT_RESULTS))
    metrics = digest([point.encode() for point in points])
    return f"weights {digest(sorted(kept))} ({len(kept)})  metrics {metrics} ({len(points)})"


def main() -> None:
    """Train all, one after the other."""
    only = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        for run, overrides in RUNS.items():
            if only and run not in only:
                continue
            places = (f"paths.outputs={run}", f"paths.data={folder}")
            command = [sys.executable, "-m", "seqexp", *QUICK, *overrides, *places]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            said = (
                outcome(folder / run)
                if done.returncode == 0
                else f"status {done.returncode}: {done.stderr[-300:]}"
            )
            print(f"{run:22} {said}", flush=True)


if __name__ == "__main__":
    main()
