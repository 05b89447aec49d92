"""What each letter, word or number of a record adds to what a trained model predicts of it.

python -m seqexp explain run=RUN input=FILE output=FOLDER [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  input          a file as for predict: FASTA and FASTQ for DNA, tables, a text a line, numbers
  output         a folder for the results; files of these names in it are replaced
  method         by default integrated-gradients; contributions for model=ngrams; ism for a model
                 without a derivative by its input
    ism                    in-silico mutagenesis: letters are replaced by each other, words and
                           numbers are taken away; for every model
    gradient               the derivative at the sequence; for networks
    integrated-gradients   its mean on the way from a baseline; for networks. They sum to the
                           difference from the baseline; the convergence delta says how closely
    deep-lift              captum's DeepLift; for model=cnn1d (pip install 'seqexp[explain]')
    contributions          what each n-gram adds, in equal shares to its tokens, exactly; for
                           model=ngrams. Those beside a network (model.ngrams.to=logits or mean,
                           model.wide) are in the methods above
  target         name of the output that is explained; by default the predicted one of each record.
                 Of a model that predicts several numbers, one has to be named
  baseline       of gradients: auto (uniform for letters, else zero), uniform (all letters alike)
                 or zero (padding; of numbers, the mean of the training)
  shown          records on the page, from the first on; 20
  format         as for predict: auto, fasta, fastq, csv, tsv, jsonl, npz or lines
  column         of a table, with the texts, as for predict
  batch_size     records that are explained together; 64
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

What is explained of a class is its log-odds against the strongest other one, nats; of a label its
log-odds; of a number its standardised value. FOLDER gets

  attributions.html   the first records, letter by letter or word by word, and a deletion curve:
                      how fast the prediction falls as positions are taken away, the largest
                      attributions first, beside random orders
  attributions.json   the same in numbers: method, largest delta, curves
  records.tsv         a row a record: output, its value, delta, the window of most evidence, and its
                      place in the genome where the name of the record has coordinates
  attributions.npz, sequences.npz   of letters, what each symbol would add (hypothetical
                      attributions), and one-hot letters: records x symbols x length, padded with 0;
                      of numbers, what each adds, and the numbers
  attributions.jsonl  of words, a line a record: its tokens and what each adds

TF-MoDISco reads the two arrays unchanged; name the target, so that all records have the same one.

  python -m seqexp explain run=latest input=peaks.fa.gz target=positive output=explained
  python -m seqexp explain run=latest input=reviews.csv column=review output=explained_reviews
  modisco motifs -s explained/sequences.npz -a explained/attributions.npz -n 2000 -o modisco.h5
"""

import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from seqexp.cli.predict import batches, saying_what_cannot_be_read
from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.cli.written import made
from seqexp.errors import InputError
from seqexp.formats.arrays import writing_rows
from seqexp.formats.records import STDIN, Format
from seqexp.inference.explained import Explainer
from seqexp.inference.inputs import read
from seqexp.inference.prediction import Given
from seqexp.interpret.attributions.deep_lift import refuse_missing
from seqexp.interpret.attributions.gradients import TOLERANCE
from seqexp.interpret.attributions.methods import Baseline, Method
from seqexp.interpret.attributions.page import Page, page_of, window_of
from seqexp.interpret.attributions.places import place_of
from seqexp.interpret.attributions.record import Explained
from seqexp.ranges import Count
from seqexp.spec import TaskSpec
from seqexp.utils.names import one_line, visible

COLUMNS = ("name", "output", "value", "delta", "length", "from", "to", "place")
"""Of the table of records; positions are counted from 1."""

Add = Callable[[Explained], None]


def explain(
    place: Place,
    one: Which,
    input: str,
    output: str,
    method: Method | None = None,
    target: str | None = None,
    baseline: Baseline = "auto",
    shown: Count = 20,
    format: Format = "auto",
    column: str | None = None,
    batch_size: Count = 64,
    trusted: tuple[str, ...] = (),
) -> None:
    """Explain each record of a file, and write what was found to a folder.

    Raises:
        InputError: if there is no such run or file, the model has no rule for the method, or a
            record is not what the model reads.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    began = time.monotonic()
    if method == "deep-lift":
        refuse_missing()
    store = Store(place)
    found = one.one(store)
    model = store.model(found, trusted)
    explainer = Explainer(model, method, target, baseline)

    def records() -> Iterator[Given]:
        return read(model, input, format, column)

    summary = _Summary(shown)
    first, rest = _begun(batches(records(), batch_size), input)
    with _folder(output) as folder, ExitStack() as stack:
        add = _files(stack, folder, explainer, records, input)
        for batch in chain([first], rest):
            with saying_what_cannot_be_read(model, batch, input):
                explained = explainer.batch(batch)
            for record in explained:
                add(record)
                summary.add(record)
        title = f"What {one_line(found.info.run_name or found.info.run_id)} looks at"
        facts = summary.facts(explainer, found.info.run_id, time.monotonic() - began)
        page = Page(
            title,
            [(name, _said(value)) for name, value in facts.items()],
            model.spec,
            explainer.made,
            summary.shown,
            summary.count,
            explainer.deletion,
        )
        curves = {"curves": explainer.deletion.curves(), "area": explainer.deletion.area()}
        numbers = {**facts, "deletion": {"records": explainer.deletion.count, **curves}}
        _write(stack, folder / "attributions.html", page_of(page))
        _write(stack, folder / "attributions.json", json.dumps(numbers, indent=2) + "\n")
    print(summary.says(explainer, output), file=sys.stderr)


class _Summary:
    """What is kept of all records: few numbers, and the first ones."""

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0
        self.shown: list[Explained] = []
        self.largest: float | None = None
        self.missed = 0

    def add(self, one: Explained) -> None:
        """Take in a record."""
        self.count += 1
        if len(self.shown) < self.most:
            self.shown.append(one)
        if one.delta is not None:
            self.largest = max(self.largest or 0.0, abs(one.delta))
            self.missed += abs(one.delta) > TOLERANCE

    def facts(self, explainer: Explainer, run: str, seconds: float) -> dict[str, Any]:
        """By name."""
        names = explainer.spec.output_names
        target = explainer.target
        facts: dict[str, Any] = {"run": run, "method": explainer.method}
        if explainer.method in ("gradient", "integrated-gradients", "deep-lift"):
            is_uniform = explainer.made == "letters" and explainer.baseline != "zero"
            facts["baseline"] = "uniform" if is_uniform else "zero"
        facts["target"] = "the predicted output" if target is None else names[target]
        facts["records"] = self.count
        if self.largest is not None:
            facts["largest convergence delta"] = self.largest
            facts[f"records with a delta above {TOLERANCE}"] = self.missed
        return {**facts, "seconds": round(seconds, 2)}

    def says(self, explainer: Explainer, output: str) -> str:
        """The last line."""
        delta = "" if self.largest is None else f"; convergence delta at most {self.largest:.1e}"
        return (
            f"{explainer.method} of {self.count:,} records in {visible(output)}{delta}; look at"
            f" {visible(output)}/attributions.html"
        )


def _said(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _begun(found: Iterator[list[Given]], source: str) -> tuple[list[Given], Iterable[list[Given]]]:
    """The first batch, before anything is written, and the others.

    Raises:
        InputError: if there is none.
    """
    first = next(found, None)
    if first is None:
        raise InputError(f"input is {source}, which holds no record")
    return first, found


@contextmanager
def _folder(output: str) -> Iterator[Path]:
    """The folder of the results, made if it is not there; taken away again if nothing came of it.

    Raises:
        InputError: if it cannot be made.
    """
    folder = Path(output)
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output is {output}, which is no folder ({error.strerror})") from error
    try:
        yield folder
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise


def _files(
    stack: ExitStack,
    folder: Path,
    explainer: Explainer,
    records: Callable[[], Iterator[Given]],
    source: str,
) -> Add:
    """A function that writes a record to all files; they are there when the stack is closed."""
    table = stack.enter_context(made(str(folder / "records.tsv")))
    table.write(("\t".join(COLUMNS) + "\n").encode())
    if explainer.made == "words":
        lines = stack.enter_context(made(str(folder / "attributions.jsonl")))
        others: list[Add] = [lambda one: _add_line(lines, one)]
    else:
        if source == STDIN:
            raise InputError(
                "input is -, which can be read once only, and the longest record has to be known"
                " before arrays are written: give a file"
            )
        others = [*_arrays(stack, folder, explainer.spec, records())]

    def add(one: Explained) -> None:
        start, stop = window_of(one)
        near = place_of(one.name, len(one.values), start, stop) or ""
        delta = "" if one.delta is None else f"{one.delta:.3e}"
        row = (one.name, one.output, f"{one.margin:.6g}", delta, len(one.values), start + 1, stop)
        cells = [*map(str, row), near]
        table.write(("\t".join(cell.replace("\t", " ") for cell in cells) + "\n").encode())
        for other in others:
            other(one)

    return add


def _arrays(
    stack: ExitStack, folder: Path, spec: TaskSpec, records: Iterable[Given]
) -> Iterator[Add]:
    """Functions that write a record to an array each: attributions, and what they are of."""
    count = longest = 0
    for given in records:
        count, longest = count + 1, max(longest, len(given.values))
    channels = len(spec.vocabulary.symbols) if spec.features is None else spec.features.size

    def padded(values: np.ndarray) -> np.ndarray:
        row = np.zeros((channels, longest), np.float32)
        row[:, : len(values)] = np.nan_to_num(values).T
        return row

    def parts(one: Explained) -> np.ndarray:
        assert one.parts is not None
        return one.parts

    def sequence(one: Explained) -> np.ndarray:
        if spec.features is not None:
            return one.tokens
        is_there: np.ndarray = one.tokens[:, None] == np.arange(1, channels + 1)
        return is_there

    kinds: Mapping[str, tuple[Callable[[Explained], np.ndarray], str]] = {
        "attributions.npz": (parts, "<f4"),
        "sequences.npz": (sequence, "<f4"),
    }
    for name, (values, kind) in kinds.items():
        file = stack.enter_context(made(str(folder / name)))
        shape = (count, channels, longest)
        add = stack.enter_context(writing_rows(file, shape, np.dtype(kind)))
        yield lambda one, add=add, values=values: add(padded(values(one)))  # type: ignore[misc]


def _add_line(file: BinaryIO, one: Explained) -> None:
    """A line of JSON: of what stands there, without padding."""
    there = [place for place, symbol in enumerate(one.symbols) if symbol]
    record = {
        "name": one.name,
        "output": one.output,
        "value": one.margin,
        "delta": one.delta,
        "tokens": [one.symbols[place] for place in there],
        "attributions": [round(float(one.values[place]), 6) for place in there],
    }
    file.write((json.dumps(record, ensure_ascii=False) + "\n").encode())


def _write(stack: ExitStack, file: Path, text: str) -> None:
    stack.enter_context(made(str(file))).write(text.encode())
