"""Class probabilities of each record of a file, by a model that was trained.

python -m seqexp predict run=RUN input=FILE [output=TABLE.csv] [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, or latest (the newest that finished)
  input          a file, gzipped or not, or - for standard input: FASTA and FASTQ for DNA, tables
                 (.csv, .tsv, .jsonl), or a text a line
  output         a CSV file; without it, the table is printed
  format         auto (by the file's name and first letter), fasta, fastq, csv, tsv, jsonl or lines
  column         of a table, with the texts; by default that of the training, or sequence or text;
                 a column id or name has the names, else rows are numbered
  batch_size     records that go through the model together; 256
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Files of any size are read as they come, and results are written as they come. Of a model that
predicts the next symbol, the table has the probability of each symbol after the text.

  python -m seqexp predict run=latest input=peaks.fa.gz output=peaks.csv
  zcat reads.fastq.gz | python -m seqexp predict run=3f9c input=- | head
"""

import csv
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TextIO

import torch

from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import Place
from seqexp.errors import InputError
from seqexp.formats.dna import LETTERS, dna
from seqexp.formats.records import Format, Record, records
from seqexp.inference.pyfunc import class_probabilities
from seqexp.inference.saved_model import SavedModel, output_columns
from seqexp.inference.text import encode
from seqexp.ranges import Count
from seqexp.spec import Output, TaskSpec
from seqexp.utils.files import appearing
from seqexp.utils.names import visible
from seqexp.utils.streams import Seen

MAX_LETTERS = 2**20
"""Of the records that go through a model together; a longer one goes alone."""


def predict(
    place: Place,
    run: str,
    input: str,
    output: str | None = None,
    format: Format = "auto",
    column: str | None = None,
    batch_size: Count = 256,
    trusted: tuple[str, ...] = (),
) -> None:
    """Write a row a record: its name and the probability of each class.

    Raises:
        InputError: if there is no such run or file, or a record is not what the model reads.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    store = Store(place)
    model = store.model(store.find(run), trusted)
    spec = model.spec
    is_dna = _is_dna(spec)
    usual = ("sequence", "text") if is_dna else ("text", "sequence")
    stored = model.config.get("dataset", {}).get("text_column")
    columns = (column,) if column is not None else tuple(filter(None, (stored, *usual)))
    found = batches(records(input, format, columns, is_dna), batch_size)
    first = next(found, None)  # before anything is written
    if first is None:
        raise InputError(f"input is {input}, which holds no record")
    with _written(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", *output_columns(spec)])
        count = 0
        for batch in chain([first], found):
            encoded = [_encode(record, model, input) for record in batch]
            _refuse_wordless(batch, encoded, model, input)
            for record, row in zip(batch, _probabilities(model, encoded, input), strict=True):
                writer.writerow([record.name, *(f"{value:.6g}" for value in row)])
            count += len(batch)
    if output is not None:
        print(f"{count:,} rows in {visible(output)}", file=sys.stderr)


def batches(found: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """At most so many records, and so many letters, together."""
    batch: list[Record] = []
    letters = 0
    for record in found:
        if batch and (len(batch) == size or letters + len(record.text) > MAX_LETTERS):
            yield batch
            batch, letters = [], 0
        batch.append(record)
        letters += len(record.text)
    if batch:
        yield batch


def _encode(record: Record, model: SavedModel, source: str) -> list[int]:
    """Token ids of what training reads too, and of nothing else."""
    spec = model.spec
    text = record.text
    if spec.vocabulary.is_dna and spec.output is Output.SEQUENCE_CLASS:
        text = dna("".join(text.split()), record.name, source)  # refuses protein, too
    elif _is_dna(spec):
        text = "".join(text.split()).upper().replace("U", "T")
    if not text:
        raise InputError(f"{source}, record {record.name}: is empty")
    try:
        return encode(text, spec)
    except InputError as error:
        raise InputError(f"{source}, record {record.name}: {error}") from error


def _is_dna(spec: TaskSpec) -> bool:
    """Whether its symbols are the bases, perhaps with the ends of reads."""
    return set(LETTERS) <= set(spec.vocabulary.symbols) <= {*LETTERS, "<", ">"}


def _probabilities(model: SavedModel, encoded: list[list[int]], source: str) -> list[list[float]]:
    try:
        return class_probabilities(model.model, encoded)
    except (RuntimeError, ValueError) as error:
        lengths = sorted({len(ids) for ids in encoded})
        reason = str(error).splitlines()[0]
        raise InputError(
            f"input is {source}, with records of {lengths[0]} to {lengths[-1]} tokens, which the"
            f" model cannot read (it was trained on {model.spec.length or 'any number'}): {reason}"
        ) from error


def _refuse_wordless(
    batch: list[Record], encoded: list[list[int]], model: SavedModel, source: str
) -> None:
    """Refuse texts of which words are read and that have none, as training does."""
    for record, ids in zip(batch, encoded, strict=True):
        if model.spec.words is not None and not any(ids):
            raise InputError(f"{source}, record {record.name}: the text has no word; remove it")


@contextmanager
def _written(output: str | None) -> Iterator[TextIO | Seen]:
    """A file that is there whole or not at all; standard output without one."""
    if output is None:
        yield Seen(sys.stdout) if sys.stdout.isatty() else sys.stdout
        sys.stdout.flush()
        return
    try:
        with (
            appearing(Path(output)) as opened,
            os.fdopen(opened.fileno(), "w", encoding="utf-8", newline="", closefd=False) as file,
        ):
            yield file
    except OSError as error:
        raise _unwritable(output, error) from error


def _unwritable(output: str, error: OSError) -> Exception:
    if error.filename is None or output not in str(error.filename):
        return error
    return InputError(f"output is {output}, which cannot be written ({error.strerror})")
