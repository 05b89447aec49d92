"""What a corpus larger than memory costs: encoding it, starting on it, training on it.

Texts of growing size are made, encoded by one process and by two, and trained on, each in a fresh
process whose memory is looked at 50 times a second: anonymous memory (RssAnon), which has to be
had, and pages of files (RssFile), which the system takes back when it needs them. The training
is also limited (RLIMIT_DATA) to what is written below, whatever the size of the text. Then the
same text is trained on in turn from a file and from memory.

python -m tests.benchmarks.scale [--megabytes 20 200 2000] [--updates 300] [--pairs 7]

And the peak of an epoch of experiment=imdb, training and validation, over that of a bare loop of
PyTorch over the same tensors with the same model (--updates bounds both).

python -m tests.benchmarks.scale --imdb FOLDER [--updates 1000]

Words and DNA, as whole commands: made reviews (--words, MB) and positives and negatives of 200
letters (--sequences) are trained on for an epoch by two filters, validated, tested and reported
on, twice: the first command encodes them. The memory of the command and of its workers is looked
at 20 times a second.

python -m tests.benchmarks.scale --words 20 200 [--bare] [--starts 1]
python -m tests.benchmarks.scale --sequences 100000 1000000 [--bare] [--starts 1]

Rates of encoding a second of CPU time, of the same text and records with what came before, in turn
(torchtext's tokens one by one; records of DNA as objects).

python -m tests.benchmarks.scale --rates [--pairs 7]
"""

import argparse
import itertools
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

CONF = Path(__file__).parents[2] / "conf"

LIMIT = 1_000_000_000
"""Bytes of private memory that a training may have, PyTorch's own among them."""

SMALL = ("dataset.valid_share=0.0001", "dataset.test_share=0.0001", "tracking=none")


def make(path: Path, size: int) -> None:
    """Sentences of the built-in grammar, drawn at random; 4096 of them, 16 MB at a time."""
    import numpy as np

    from seqexp.dataset.chars import GRAMMAR

    generator = np.random.default_rng(0)
    sentences = [
        "".join(choices[generator.integers(len(choices))] for choices in GRAMMAR).encode()
        for _ in range(4096)
    ]
    with path.open("wb") as file:
        while file.tell() < size:
            chosen = generator.integers(4096, size=400_000)
            file.write(b"".join([sentences[i] for i in chosen])[: size - file.tell()])


# --- in a process of its own --------------------------------------------------------------------


class Watch:
    """The largest values of this process' memory, in MB."""

    def __init__(self) -> None:
        self.peaks: dict[str, float] = {}

    def look(self) -> None:
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in ("RssAnon", "RssFile", "VmHWM"):
                self.peaks[name] = max(self.peaks.get(name, 0), int(value.split()[0]) / 1000)


@contextmanager
def watched() -> Iterator[dict[str, float]]:
    """Looks at the memory 50 times a second."""
    watch, over = Watch(), threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            watch.look()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield watch.peaks
    finally:
        over.set()
        thread.join()
        watch.look()


def configured(*overrides: str) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir

    from seqexp.cli import main as cli  # noqa: F401  (its resolvers)
    from seqexp.config.check import check

    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", list(overrides)))


def encode(text: str, cache: str, workers: str) -> dict[str, Any]:
    """Seconds, and memory of the process that has others encode."""
    from seqexp.dataset.characters.encoding import of_files

    with watched() as peaks:
        began = time.perf_counter()
        of_files([Path(text)], Path(cache), int(workers))
        seconds = time.perf_counter() - began
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
    return {"seconds": seconds, "worker": children, **peaks}


def train(text: str, cache: str, updates: str) -> dict[str, Any]:
    """Some updates from a mapped text, and a validation; under the limit."""
    import torch

    from seqexp.build import begin, load, parts, prepare
    from seqexp.checkpoint.identity import identity
    from seqexp.trainer.loop import fit
    from seqexp.trainer.score import evaluate

    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    config = configured(
        "experiment=chars", f"dataset.path={text}", f"dataset.cache={cache}", *SMALL
    )
    made = parts(config, only_trains=True)
    settings = made.settings
    device = prepare(settings, made.threads)
    with watched() as peaks:
        began = time.perf_counter()
        identity(config)
        digested = time.perf_counter()
        data = load(made)
        loaded = time.perf_counter()
        data.digest()
        started = time.perf_counter()
        training, _ = begin(made, data, device)
        for _ in itertools.islice(fit(training, data), int(updates)):
            pass
        tokens = training.step * 32 * settings.bptt.k1
        seconds = time.perf_counter() - started
        score = evaluate(training.model, training.task, data.valid.batches(1000), training.window)
    assert torch.get_num_threads() == 1
    times = {
        "identity": digested - began,
        "load": loaded - digested,
        "digest": started - loaded,
        "tokens_per_second": tokens / seconds,
    }
    return {**times, "loss": score.nats / score.count, **peaks}


def compare(text: str, cache: str, updates: str, pairs: str) -> dict[str, Any]:
    """CPU time of the same updates from a file over that from memory, in turn."""
    import torch

    from seqexp.build import begin, load, parts
    from seqexp.trainer.loop import fit

    torch.set_num_threads(1)
    ratios, walls, weights = [], [], []
    common = ("experiment=chars", f"dataset.path={text}", *SMALL)
    splits = {}
    for where in (cache, "null"):
        config = configured(*common, f"dataset.cache={where}")
        made = parts(config, only_trains=True)
        splits[where] = load(made)
    assert splits[cache].digest() == splits["null"].digest()
    for _ in range(int(pairs) + 1):
        spent = []
        for where in (cache, "null"):
            training, _ = begin(made, splits[where], torch.device("cpu"))
            began = time.process_time(), time.perf_counter()
            for _ in itertools.islice(fit(training, splits[where]), int(updates)):
                pass
            spent.append((time.process_time() - began[0], time.perf_counter() - began[1]))
            weights.append(torch.cat([p.detach().flatten() for p in training.model.parameters()]))
        ratios.append(spent[0][0] / spent[1][0])
        walls.append(spent[0][1] / spent[1][1])
    same = all(torch.equal(weights[0], other) for other in weights)
    return {"cpu": ratios[1:], "wall": walls[1:], "same": same}


def alone_in_a_process(what: str, *arguments: object) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, "--child", what, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def imdb(data: str, cache: str, updates: str) -> dict[str, Any]:
    """An epoch of the experiment, as a run trains it."""
    from seqexp.build import begin, load, parts, prepare
    from seqexp.checkpoint.provenance import origin_of
    from seqexp.trainer.loop import fit
    from seqexp.trainer.score import evaluate

    with watched() as peaks:
        config = configured(
            "experiment=imdb", f"paths.data={data}", f"dataset.cache={cache}", "tracking=none"
        )
        made = parts(config, only_trains=True)
        device = prepare(made.settings, made.threads)
        split = load(made)
        origin_of(config, split)
        training, _ = begin(made, split, device)
        for report in itertools.islice(fit(training, split), int(updates)):
            if report.kind == "epoch":
                break
        else:
            evaluate(training.model, training.task, split.valid.batches(1000, length_pool=100))
    return {"updates": training.step, **peaks}


def tensors(data: str, cache: str) -> dict[str, Any]:
    """The experiment's tensors, and how its model is built, in a file."""
    import torch

    from seqexp.config.instantiate import build

    config = configured("experiment=imdb", f"paths.data={data}", f"dataset.cache={cache}")
    found = build(config["dataset"]).load()
    splits = {name: (split.tokens.clone(), split.targets) for name, split in found.splits().items()}
    kept = {**splits, "spec": found.spec.to_dict(), "model": config["model"]}
    torch.save(kept, Path(cache) / "tensors.pt")
    return {}


def bare(cache: str, updates: str) -> dict[str, Any]:
    """The loop that one would write by hand."""
    import torch
    from torch.nn import functional

    from seqexp.model.lstm import LSTM
    from seqexp.spec import TaskSpec

    torch.set_num_threads(1)
    with watched() as peaks:
        kept = torch.load(Path(cache) / "tensors.pt", weights_only=True)
        given = {key: value for key, value in kept["model"].items() if key != "_target_"}
        model = LSTM(TaskSpec.from_dict(kept["spec"]), **given)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.002, fused=True)
        tokens, labels = kept["train"]
        batches = torch.randperm(len(tokens)).split(64)
        for rows in batches[: int(updates)]:
            batch = trimmed(tokens[rows].long())
            logits, _ = model(batch)
            loss = functional.cross_entropy(logits[:, 0], labels[rows, 0])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for rows in torch.arange(len(kept["valid"][0])).split(1000):
                model(trimmed(kept["valid"][0][rows].long()))
    return {"updates": min(int(updates), len(batches)), **peaks}


def trimmed(tokens: Any) -> Any:
    """Without columns of padding."""
    return tokens[:, : int((tokens != 0).any(dim=0).nonzero().max()) + 1]


# --- all of it ----------------------------------------------------------------------------------


def measure(folder: Path, megabytes: int, updates: int, pairs: int) -> None:
    """Of a text of one size."""
    text, cache = folder / "text.txt", folder / "cache"
    make(text, megabytes * 10**6)
    print(f"{megabytes:,} MB of text", flush=True)
    for workers in (1, 2):
        shutil.rmtree(cache, ignore_errors=True)
        found = alone_in_a_process("encode", text, cache, workers)
        print(
            f"  encoded by {workers}: {found['seconds']:.1f} s,"
            f" {megabytes / found['seconds']:.0f} MB/s; RssAnon at most {found['RssAnon']:.0f} MB,"
            f" of a worker in all {found['worker']:.0f} MB",
            flush=True,
        )
    found = alone_in_a_process("train", text, cache, updates)
    print(
        f"  {updates} updates: RssAnon at most {found['RssAnon']:.0f} MB, RssFile"
        f" {found['RssFile']:.0f} MB; {found['tokens_per_second']:,.0f} tokens/s; loss"
        f" {found['loss']:.3f} nats"
    )
    print(
        f"  second start: digest of the file {found['identity']:.1f} s, loading"
        f" {found['load']:.1f} s, digest of the data {found['digest']:.1f} s",
        flush=True,
    )
    if pairs and megabytes <= 300:
        found = alone_in_a_process("compare", text, cache, updates, pairs)
        for name in ("cpu", "wall"):
            low, middle, high = statistics.quantiles(found[name], n=4)
            print(f"  mapped / in memory, {name} time: {middle:.3f} ({low:.3f} to {high:.3f})")
        print(f"  the same weights: {found['same']}", flush=True)


def measure_imdb(data: Path, updates: int) -> None:
    """Peaks of an epoch, ours over the bare one."""
    with tempfile.TemporaryDirectory() as cache:
        alone_in_a_process("tensors", data, cache)
        ours = alone_in_a_process("imdb", data, cache, updates)
        plain = alone_in_a_process("bare", cache, updates)
    print(f"experiment=imdb, {ours['updates']} updates and validation; bare {plain['updates']}")
    for name in ("VmHWM", "RssAnon"):
        ratio = ours[name] / plain[name]
        print(f"  {name} {ours[name]:.0f} MB, bare {plain[name]:.0f} MB: {ratio:.3f}")


def make_words(path: Path, size: int) -> None:
    """Reviews of 200 words in two classes; words of a law of Zipf, 400,000 different ones."""
    import numpy as np

    draw = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    sizes = draw.integers(2, 11, 400_000)
    words = np.array(["".join(letters[draw.integers(26, size=size)]) for size in sizes])
    chances = np.cumsum((np.arange(len(words)) + 2.7) ** -1.07)
    chances /= chances[-1]
    with path.open("w") as file:
        file.write("text,label\n")
        while file.tell() < size:
            chosen = words[np.searchsorted(chances, draw.random((1000, 200)))]
            labels = draw.integers(2, size=1000).tolist()
            for row, label in zip(chosen.tolist(), labels, strict=True):
                file.write(
                    f'"{" ".join(row)}, it is. {label * "Good!"}",{("bad", "good")[label]}\n'
                )


def make_dna(path: Path, count: int, planted: bytes) -> None:
    """Random sequences of 200 letters, named by places, with something planted in each."""
    import numpy as np

    draw = np.random.default_rng(len(planted))
    with path.open("wb") as file:
        for start in range(0, count, 10_000):
            size = min(10_000, count - start)
            letters = np.frombuffer(b"ACGT", dtype=np.uint8)[draw.integers(4, size=(size, 200))]
            letters[:, 90 : 90 + len(planted)] = np.frombuffer(planted, dtype=np.uint8)
            rows = enumerate(letters, start)
            file.write(
                b"".join(
                    b">chr%d:%d-%d\n%b\n" % (1 + i % 22, i, i + 200, row.tobytes())
                    for i, row in rows
                )
            )


def private_of(process: Any) -> float:
    """RssAnon of a process, MB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    found = (line.split()[1] for line in lines if line.startswith("RssAnon"))
    return int(next(found, "0")) / 1000


def commanded(*overrides: str) -> dict[str, float]:
    """A whole command: seconds, and private memory at most, MB, of it and of its workers."""
    import psutil

    command = [sys.executable, "-m", "seqexp", "trainer.num_threads=1", *overrides]
    began, peaks = time.perf_counter(), {"command": 0.0, "worker": 0.0}
    with tempfile.TemporaryFile() as said:
        with subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT) as going:
            while going.poll() is None:
                peaks["command"] = max(peaks["command"], private_of(going.pid))
                with suppress(psutil.Error):
                    for child in psutil.Process(going.pid).children(recursive=True):
                        peaks["worker"] = max(peaks["worker"], private_of(child.pid))
                time.sleep(0.05)
        if going.returncode:
            said.seek(0)
            raise RuntimeError(said.read().decode()[-2000:])
    return {"seconds": time.perf_counter() - began, **peaks}


BARE: list[str] = []
"""Overrides of commands that load, train and score, and do nothing else."""


def measure_commands(what: str, given: tuple[str, ...], folder: Path, starts: int) -> None:
    """The same twice: with nothing encoded, and with everything."""
    few = ("model.num_filters=2", "trainer.epochs=1", "trainer.batch_size=512")
    common = (f"paths.outputs={folder / 'outputs'}", "model=cnn1d", *few, *BARE, *given)
    for start in ("first", "second")[:starts]:
        found = commanded(*common, f"seed={0 if start == 'first' else 1}", "dataset.seed=0")
        print(
            f"  {what}, {start} start: {found['seconds']:.0f} s; private memory at most"
            f" {found['command']:.0f} MB, of a worker {found['worker']:.0f} MB",
            flush=True,
        )


def measure_words(megabytes: int, folder: Path, starts: int) -> None:
    file = folder / "texts.csv"
    make_words(file, megabytes * 10**6)
    print(f"{megabytes:,} MB of reviews", flush=True)
    small = ("model.embedding_size=4", "model.filter_width=3")
    measure_commands("words", ("dataset=text", f"dataset.path={file}", *small), folder, starts)


def measure_dna(count: int, folder: Path, starts: int) -> None:
    files = {"positives": b"GGAAGGAAGG", "negatives": b""}
    for name, planted in files.items():
        make_dna(folder / f"{name}.fa", count // 2, planted)
    print(f"{count:,} sequences of 200 letters", flush=True)
    named = tuple(f"dataset.{name}={folder / name}.fa" for name in files)
    measure_commands("dna", ("dataset=fasta", *named), folder, starts)


def rates(pairs: str) -> dict[str, Any]:
    """MB a second of CPU time: before and now, in turn."""
    from torchtext.data.utils import get_tokenizer

    from seqexp.dataset.dna.alphabets import DNA
    from seqexp.dataset.dna.fasta_blocks import cut, encode
    from seqexp.dataset.dna.labelled import records_of_fasta
    from seqexp.dataset.words.numbering import number

    basic = get_tokenizer("basic_english")
    with tempfile.TemporaryDirectory() as name:
        words, dna = Path(name) / "words.csv", Path(name) / "dna.fa"
        make_words(words, 4 * 10**6)
        make_dna(dna, 40_000, b"")
        texts = words.read_text().splitlines()

        def one_by_one() -> None:
            known: dict[str, int] = {}
            for text in texts:
                [known.setdefault(word, len(known)) for word in basic(text)]

        ways: dict[str, tuple[Path, Any]] = {
            "words before": (words, one_by_one),
            "words": (words, lambda: number(texts)),
            "dna before": (dna, lambda: records_of_fasta(dna)),
            "dna": (dna, lambda: [encode(block, DNA) for block in cut(dna, dna)]),
        }
        found: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(int(pairs)):
            for way, (file, work) in ways.items():
                began = time.process_time()
                work()
                found[way].append(file.stat().st_size / 1e6 / (time.process_time() - began))
    return found


def measure_rates(pairs: int) -> None:
    found = alone_in_a_process("rates", pairs)
    for way, values in found.items():
        low, middle, high = statistics.quantiles(values, n=4)
        print(f"  {way}: {middle:.1f} MB a second of one core ({low:.1f} to {high:.1f})")
    for way in ("words", "dna"):
        ratios = [b / a for a, b in zip(found[f"{way} before"], found[way], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"  {way}, now over before: {middle:.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, nargs="+", default=[20, 200, 2000])
    parser.add_argument("--updates", type=int, default=300)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where texts are made; they are removed")
    parser.add_argument("--imdb", type=Path, help="folder of aclImdb_v1.tar.gz")
    parser.add_argument("--words", type=int, nargs="+", help="MB of reviews")
    parser.add_argument("--sequences", type=int, nargs="+", help="of DNA")
    parser.add_argument("--starts", type=int, default=2, help="of each command")
    parser.add_argument("--bare", action="store_true", help="without MLflow and interpretation")
    parser.add_argument("--rates", action="store_true")
    parser.add_argument("--child", nargs="+")
    given = parser.parse_args()
    if given.child:
        what, *arguments = given.child
        print(json.dumps(CHILDREN[what](*arguments)))
        return
    if given.imdb:
        measure_imdb(given.imdb, given.updates)
        return
    if given.bare:
        BARE.extend(("tracking=none", "interpret=none", "gradient_flow=none"))
    if given.rates:
        measure_rates(given.pairs)
    for sizes, measured in ((given.words, measure_words), (given.sequences, measure_dna)):
        for size in sizes or []:
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                measured(size, Path(folder), given.starts)
    if given.rates or given.words or given.sequences:
        return
    for megabytes in given.megabytes:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            measure(Path(folder), megabytes, given.updates, given.pairs)


CHILDREN = {child.__name__: child for child in (encode, train, compare, imdb, tensors, bare, rates)}

if __name__ == "__main__":
    main()
