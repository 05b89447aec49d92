"""What a trained model says of each record of a file: classes, numbers, labels, or a text.

python -m seqexp predict run=RUN input=FILE [output=TABLE.csv] [KEY=VALUE ...]
python -m seqexp predict runs=RUN,RUN|sweep=RUN input=FILE [KEY=VALUE ...]
python -m seqexp predict run=RUN genome=GENOME.fa [output=TRACK.bw] [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  runs           several, with commas: the mean of what they predict, also of different models; or
                 sweep=ID or sweep=latest without run: the mean of all its runs
  weights        of several runs: equal; validation (as the sweep has chosen); or numbers, 1,1,0.5
  input          a file, gzipped or not, or - for standard input, of the layout that the run was
                 trained on: FASTA and FASTQ for DNA, tables (.csv, .tsv, .jsonl), a text a line;
                 tables or .npz of numbers; a folder or .tar.gz of tables or pictures
  genome         instead of input, of a model of DNA: FASTA, or FASTA packed by bgzip; needs the
                 extra [genome]. A window of the length of the training is slid along it
  regions        of a genome: places as chr1:1-100000 (both ends are read) or chr1, with commas
                 between, or a BED file; without it, the whole genome
  step           of a genome: letters from window to window; 50
  width          of a genome: letters of a window, if the training had several lengths
  label          of a genome: the class, label or number that is written; the only one, or the
                 second of two classes
  output         a CSV file; without it, the table is printed. Of a genome, FILE.bedGraph or FILE.bw
                 (bigWig); without it, bedGraph is printed
  what           predictions; or to output=FILE.npz: features, what the output reads of a sequence;
                 states, hidden states (of a CNN activations of its filters) at each position;
                 attention, of a model with model.attention: what each position of the context
                 counted for each prediction
  calibrate      true: probabilities with the temperature that validation has fitted, of several
                 runs each with its own; ranks and predicted classes stay. false
  strands        one; or both, of a model of DNA: the mean over a sequence and its reverse
                 complement (of log-odds of classes and labels, of numbers as they are)
  per            sequence; or token, of a model that labels each position: a row a token
  format         auto (by the file's name and first letter), fasta, fastq, csv, tsv, jsonl, npz,
                 lines (a text a line), tokens (a token a line, a blank line between sequences) or
                 conllu; a model that labels positions tells CoNLL-U and JSON lists by their content
  column         of a table, with the texts; by default that of the training, or sequence or text;
                 a column id or name has the names, else rows are numbered. Of a table of numbers,
                 the column that says which rows are one sequence
  reads_have_truth   of clusters of reads: whether each begins with its true sequence, which is not
                 read; by default as the training had it
  batch_size     records that go through the model together; 256
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Files of any size are read as they come, and results are written as they come. A row has the
probability of each class or label; of a regression the numbers, in the unit of the training; of a
model that labels each position the labels, with blanks between them; of one that predicts the next
symbol the probability of each symbol after the text; and of one that writes, what it has written.
The .npz file has the array names, and of the record i (from 0) features_i or states_i, a row a
position; or weights_i, a row a prediction and a column a position of the context, and rows_i and
columns_i, the symbols of both sides. Features of one prediction a sequence are one array, features.
Of a genome, each value is that of the step letters in the middle of a window. Places have none
whose window reaches over the end of the contig, or holds no letter but N.
Of a model of read errors, the input is a file of clusters of reads, and the output what each is of:
a record a cluster, as FASTQ with the probability of each letter, or as FASTA (output=FILE.fasta).

  python -m seqexp predict run=latest input=peaks.fa.gz output=peaks.csv
  python -m seqexp predict run=best experiment=fasta input=peaks.fa.gz output=peaks.csv
  python -m seqexp predict runs=3f9c,77a0 input=peaks.fa.gz output=peaks.csv
  python -m seqexp predict run=latest input=peaks.fa.gz what=features output=features.npz
  python -m seqexp predict run=latest input=peaks.fa.gz calibrate=true strands=both
  python -m seqexp predict run=latest genome=genome.fa regions=chr1:1-1000 output=track.bedGraph
  python -m seqexp predict run=latest genome=genome.fa regions=peaks.bed step=10 output=track.bw
  python -m seqexp predict run=latest input=sources.txt what=attention output=attention.npz
  zcat reads.fastq.gz | python -m seqexp predict run=3f9c input=- | head
"""

import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from tempfile import TemporaryFile
from typing import Any, Literal

import numpy as np
import torch

from seqexp.cli.run_lookup import Store
from seqexp.cli.several_runs import EQUAL, chosen
from seqexp.cli.store_location import Place
from seqexp.cli.tracks import refuse_other_files, write_track
from seqexp.cli.which import Which
from seqexp.cli.written import made, written
from seqexp.decode.denoise import Denoise
from seqexp.errors import InputError
from seqexp.formats.arrays import writing_arrays
from seqexp.formats.records import Format
from seqexp.inference.asked import Strands, asked
from seqexp.inference.attention import attending, attention
from seqexp.inference.denoised import decoded
from seqexp.inference.inputs import read
from seqexp.inference.prediction import (
    TOKEN_COLUMNS,
    Given,
    columns,
    predicted,
    predicted_tokens,
    refuse_joined,
)
from seqexp.inference.representation import Inner, represented, representing
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.seen import Watch
from seqexp.inference.together import comparable_of, predicted_together
from seqexp.ranges import Count
from seqexp.spec import Output, TaskSpec
from seqexp.task.base import Cell
from seqexp.utils.names import visible
from seqexp.utils.workers import cores

MAX_POSITIONS = 2**20
"""Of the records that go through the model together; a longer one goes alone."""

MAX_NUMBERS = 2**24
"""Of features, of the records that go through the model together."""

MAX_LOGITS = 2**25
"""Of the records that go through a model together that has some at each position."""

Per = Literal["sequence", "token"]

What = Literal["predictions", "features", "states", "attention"]


def predict(
    place: Place,
    either: Which,
    input: str | None = None,
    genome: str | None = None,
    regions: str | None = None,
    step: Count | None = None,
    width: Count | None = None,
    label: str | None = None,
    weights: str = EQUAL,
    output: str | None = None,
    what: What = "predictions",
    calibrate: bool = False,
    strands: Strands = "one",
    per: Per = "sequence",
    format: Format = "auto",
    column: str | None = None,
    reads_have_truth: bool | None = None,
    batch_size: Count = 256,
    trusted: tuple[str, ...] = (),
) -> None:
    """Write a row a record: its name and what the model says of it; or what it attends to.

    Raises:
        InputError: if there is no such run or file, or a record is not what the model reads.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    if genome is not None:
        _refuse_what_files_have(input, what, per, format, column, reads_have_truth)
        refuse_other_files(output)
        models, shares = _asked(Store(place), either, weights, calibrate, strands, trusted)
        track = (genome, regions, step, width, label)
        write_track(models, shares, *track, output=output, batch_size=batch_size)
        return
    input = _file_of(input, regions=regions, step=step, width=width, label=label)
    store = Store(place)
    if not either.is_one:
        _refuse_what_one_run_has(input, what, per)
        models, shares = _asked(store, either, weights, calibrate, strands, trusted)
        several_models = list(models.values())
        _predict_together(several_models, shares, input, output, format, column, batch_size)
        return
    _refuse_other_questions(what, calibrate, strands)
    models, _ = _asked(store, either, weights, calibrate, strands, trusted)
    (model,) = models.values()
    if what != "predictions":
        to = _arrays_of(model, what, per, output)
    elif model.spec.output is Output.READ_ERRORS:
        _denoise(model, input, output, reads_have_truth)
        return
    else:
        _refuse_other_rows(per, model.spec)
    most = _most_positions(model.spec)
    given = batches(_records(model, input, format, column), batch_size, most)
    first = next(given, None)  # before anything is written
    if first is None:
        raise InputError(f"input is {input}, which holds no record")
    if what != "predictions":
        write = _write_attention if what == "attention" else partial(_write_inner, what)
        write(model, chain([first], given), input, to)
        return
    with written(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        names = columns(model.spec) if per == "sequence" else TOKEN_COLUMNS
        writer.writerow(["name" if per == "sequence" else "record", *names])
        count = 0
        for row in _joined(_rows(model, chain([first], given), per, input), per):
            writer.writerow(row)
            count += 1
    if output is not None:
        print(f"{count:,} rows in {visible(output)}", file=sys.stderr)


def _refuse_what_files_have(
    source: str | None,
    what: What,
    per: Per,
    format: Format,
    column: str | None,
    has_truth: bool | None,
) -> None:
    """Refuse what cannot be said of a genome.

    Raises:
        InputError: naming the key.
    """
    usual = {
        "input": (source, None),
        "what": (what, "predictions"),
        "per": (per, "sequence"),
        "format": (format, "auto"),
        "column": (column, None),
        "reads_have_truth": (has_truth, None),
    }
    for key, (given, default) in usual.items():
        if given != default:
            raise InputError(f"{key} is {given}, which is not for a genome; leave out one of both")


def _file_of(source: str | None, **of_genome: object) -> str:
    """The input, where no genome is given.

    Raises:
        InputError: if it is missing, or a key is given that only a genome has.
    """
    for key, given in of_genome.items():
        if given is not None:
            raise InputError(f"{key} is {given}, which is for a genome: give genome=FILE, too")
    if source is None:
        raise InputError("give input=FILE, or of a model of DNA genome=FILE")
    return source


def _asked(
    store: Store,
    either: Which,
    weights: str,
    calibrate: bool,
    strands: Strands,
    trusted: Sequence[str],
) -> tuple[dict[str, SavedModel], list[float]]:
    """The models by run, as they are asked, and the weight of each."""
    found, shares = chosen(store, either, weights, trusted)
    models = {n: asked(one, calibrate, strands, f"run {n}") for n, one in found.items()}
    return models, shares


def _refuse_what_one_run_has(source: str, what: What, per: Per) -> None:
    """Refuse what can be had of one run only.

    Raises:
        InputError: naming the key.
    """
    if what != "predictions" or per != "sequence":
        key = f"what is {what}" if what != "predictions" else f"per is {per}"
        raise InputError(f"{key}, which is for one run: give run=ID, or leave it out")
    if source == "-":
        raise InputError("input is -, which can be read once only: of several runs, give a file")


def _refuse_other_questions(what: What, calibrate: bool, strands: Strands) -> None:
    """Refuse for arrays what changes predictions alone.

    Raises:
        InputError: naming the key.
    """
    if what != "predictions" and (calibrate or strands != "one"):
        key = "calibrate is true" if calibrate else f"strands is {strands}"
        raise InputError(f"{key}, which is for what=predictions; leave it out")


def _predict_together(
    models: Sequence[SavedModel],
    weights: Sequence[float],
    source: str,
    output: str | None,
    format: Format,
    column: str | None,
    batch_size: int,
) -> None:
    """Write a row a record of the mean of several models; each reads the input as it is used to."""
    spec = models[0].spec
    refuse_joined(spec)
    own, *others = (_records(model, source, format, column) for model in models)
    most = min(_most_positions(model.spec) for model in models)
    found = batches(own, batch_size, most)
    first = next(found, None)  # before anything is written
    if first is None:
        raise InputError(f"input is {source}, which holds no record")
    count = 0
    with written(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", *columns(spec)])
        for batch in chain([first], found):
            given = [batch, *(list(islice(other, len(batch))) for other in others)]
            _refuse_other_records(given)
            parts = []
            for model, theirs in zip(models, given, strict=True):
                with saying_what_cannot_be_read(model, theirs, source):
                    parts.append(comparable_of(model, theirs))
            names = [one.name for one in batch]
            rows = predicted_together(spec, parts, weights, names)
            for name, row in zip(names, rows, strict=True):
                writer.writerow([name, *map(_cell, row)])
            count += len(batch)
    if output is not None:
        print(f"{count:,} rows in {visible(output)}", file=sys.stderr)


def _refuse_other_records(given: Sequence[Sequence[Given]]) -> None:
    """Refuse records that models cut into other windows.

    Raises:
        InputError: naming the first.
    """
    for place, one in enumerate(given[0]):
        for other in given[1:]:
            is_same = place < len(other) and other[place].name == one.name
            if not is_same or other[place].begins_at != one.begins_at or one.begins_at:
                raise InputError(
                    f"{one.name}: the runs cut this record into other windows; give one run"
                )


def _arrays_of(model: SavedModel, what: What, per: Per, output: str | None) -> str:
    """The file to which arrays go.

    Raises:
        InputError: if the model has none such, or what is given is for other tables.
    """
    if what == "attention":
        attending(model)
    elif what != "predictions":
        representing(model, what)
    if per != "sequence":
        raise InputError(f"per is {per}, which is for what=predictions; leave it out")
    if output is None or not output.lower().endswith(".npz"):
        given = "is missing" if output is None else f"is {output}"
        raise InputError(f"output {given}; {what} is written as arrays: give output=FILE.npz")
    return output


def _write_attention(
    model: SavedModel, found: Iterable[list[Given]], source: str, output: str
) -> None:
    names: list[str] = []
    with made(output) as file, writing_arrays(file) as add:
        for batch in found:
            with saying_what_cannot_be_read(model, batch, source):
                weights = attention(model, batch)
            for given, own in zip(batch, weights, strict=True):
                add(f"weights_{len(names)}", own.weights)
                add(f"rows_{len(names)}", np.array(own.rows, dtype=np.str_))
                add(f"columns_{len(names)}", np.array(own.columns, dtype=np.str_))
                names.append(given.name)
        add("names", np.array(names, dtype=np.str_))
    print(f"attention of {len(names):,} records in {visible(output)}", file=sys.stderr)


def _write_inner(
    what: Inner, model: SavedModel, found: Iterable[list[Given]], source: str, output: str
) -> None:
    """Write features or states; of one row a sequence, one array, which is not held meanwhile."""
    is_matrix = what == "features" and not model.spec.per_position
    names: list[str] = []
    size = 0
    with made(output) as file, writing_arrays(file) as add, TemporaryFile() as rows:
        for batch in found:
            with saying_what_cannot_be_read(model, batch, source):
                arrays = represented(model, batch, what)
            for given, own in zip(batch, arrays, strict=True):
                if is_matrix:
                    size = own.shape[1]
                    rows.write(own.tobytes())
                else:
                    add(f"{what}_{len(names)}", own)
                names.append(given.name)
        add("names", np.array(names, dtype=np.str_))
        if is_matrix:
            rows.flush()
            add(what, np.memmap(rows, np.float32, "r", shape=(len(names), size)))
    print(f"{what} of {len(names):,} records in {visible(output)}", file=sys.stderr)


def _denoise(model: SavedModel, source: str, output: str | None, has_truth: bool | None) -> None:
    """Write a record a cluster."""
    dataset = model.dataset
    if has_truth is None:
        has_truth = False if dataset.get("truths") else dataset.get("reads_have_truth")
    settings = Denoise(**_search(model))
    as_fasta = output is not None and output.lower().endswith((".fa", ".fasta", ".fna"))
    empty, count = [], 0
    with written(output) as file:
        for one in decoded(model, source, settings, has_truth, cores()):
            if one.decoded is None:
                empty.append(one.number)
                continue
            file.write(one.fasta() if as_fasta else one.fastq())
            count += 1
    if empty:
        named = ", ".join(map(str, empty[:5])) + (", ..." if len(empty) > 5 else "")
        print(f"{len(empty):,} clusters have no read: number {named}", file=sys.stderr)
    if output is not None:
        print(f"{count:,} clusters in {visible(output)}", file=sys.stderr)


def _search(model: SavedModel) -> dict[str, Any]:
    """The settings of `decode=denoise` of the run, if it had that."""
    node = model.config.get("decode") or {}
    names = ("length", "candidates", "rounds", "proposals")
    return {name: node[name] for name in names if name in node and "Denoise" in node["_target_"]}


def batches(found: Iterable[Given], size: int, most: int = MAX_POSITIONS) -> Iterator[list[Given]]:
    """At most so many records, and so many positions and numbers of them, together."""
    batch: list[Given] = []
    total = numbers = 0
    for given in found:
        is_more = total + given.size > most or numbers + given.numbers > MAX_NUMBERS
        if batch and (len(batch) == size or is_more):
            yield batch
            batch, total, numbers = [], 0, 0
        batch.append(given)
        total += given.size
        numbers += given.numbers
    if batch:
        yield batch


def _records(model: SavedModel, source: str, format: Format, column: str | None) -> Iterator[Given]:
    """The records of a file; says at its end how they are unlike those of the training, and of how
    many a part was not read.
    """
    cut = count = 0
    watch = Watch(model.seen, model.spec)
    for given in read(model, source, format, column):
        count += 1
        cut += given.is_cut
        watch.add(given.values)
        yield given
    for note in watch.notes():
        print(f"note: {visible(note)}", file=sys.stderr)
    if cut and model.spec.words is not None:
        end = "beginning" if model.spec.words.truncate == "head" else "end"
        print(
            f"{cut:,} of {count:,} texts have more than {model.spec.length} tokens"
            f" (dataset.length of the training): their {end} was not read, as in training",
            file=sys.stderr,
        )


def _most_positions(spec: TaskSpec) -> int:
    return (
        min(MAX_POSITIONS, MAX_LOGITS // spec.num_outputs) if spec.per_position else MAX_POSITIONS
    )


def _refuse_other_rows(per: Per, spec: TaskSpec) -> None:
    """Refuse a row a token of a model that labels none, and labels that cannot be joined.

    Raises:
        InputError: if `per` is not for such a model.
    """
    if per == "sequence":
        refuse_joined(spec)
    elif spec.output is not Output.TOKEN_CLASS:
        raise InputError(
            f"per is token, but the model of this run ({spec.output.value}) labels no positions;"
            " give per=sequence"
        )


def _rows(
    model: SavedModel, found: Iterable[list[Given]], per: Per, source: str
) -> Iterator[tuple[bool, list[str]]]:
    """Rows of the table, as they are written; and whether each goes on with the one before.

    Raises:
        InputError: if the model cannot read records of this length.
    """
    for batch in found:
        with saying_what_cannot_be_read(model, batch, source):
            if per == "token":
                tables = predicted_tokens(model, batch)
            else:
                tables = [[row] for row in predicted(model, batch)]
        for given, table in zip(batch, tables, strict=True):
            yield from ((given.begins_at > 0, [given.name, *map(_cell, row)]) for row in table)


@contextmanager
def saying_what_cannot_be_read(
    model: SavedModel, batch: Sequence[Given], source: str
) -> Iterator[None]:
    """Say of which lengths the records are that the model cannot read."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        lengths = sorted({given.size for given in batch})
        reason = str(error).splitlines()[0]
        raise InputError(
            f"input is {source}, with records of {lengths[0]} to {lengths[-1]} tokens, which"
            f" the model cannot read (it was trained on {model.spec.length or 'any number'}):"
            f" {reason}"
        ) from error


def _joined(rows: Iterable[tuple[bool, list[str]]], per: Per) -> Iterator[list[str]]:
    """Rows a sequence: labels of one that went through the model in windows stand in one row."""
    before: list[str] | None = None
    for goes_on, row in rows:
        if per == "sequence" and goes_on and before is not None:
            before = [row[0], *(f"{a} {b}" for a, b in zip(before[1:], row[1:], strict=True))]
            continue
        if before is not None:
            yield before
        before = row
    if before is not None:
        yield before


def _cell(value: Cell) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
