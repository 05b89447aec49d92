"""Class probabilities of any number of records, by a model that was trained."""

import csv
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TextIO

import torch

from seqexp import saved
from seqexp.commands.place import Place
from seqexp.commands.records import Format, Record, records
from seqexp.commands.stored import Store
from seqexp.dataset.records import dna
from seqexp.errors import InputError
from seqexp.names import visible
from seqexp.ranges import Count
from seqexp.spec import Output
from seqexp.streams import Seen

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
    is_dna = set("ACGT") <= set(spec.vocabulary.symbols) <= set("ACGT<>")
    usual = ("sequence", "text") if is_dna else ("text", "sequence")
    stored = model.config.get("dataset", {}).get("text_column")
    columns = (column,) if column is not None else tuple(filter(None, (stored, *usual)))
    found = batches(records(input, format, columns, is_dna), batch_size)
    first = next(found, None)  # before anything is written
    if first is None:
        raise InputError(f"input is {input}, which holds no record")
    with _written(output) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", *saved.output_columns(spec)])
        count = 0
        for batch in chain([first], found):
            encoded = [_encode(record, model, input) for record in batch]
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


def _encode(record: Record, model: saved.SavedModel, source: str) -> list[int]:
    spec = model.spec
    text = record.text
    if spec.vocabulary.is_dna and spec.output is Output.SEQUENCE_CLASS:
        text = dna(text, record.name, source)  # refuses protein, too
    try:
        return saved.encode(text, spec)
    except InputError as error:
        raise InputError(f"{source}, record {record.name}: {error}") from error


def _probabilities(
    model: saved.SavedModel, encoded: list[list[int]], source: str
) -> list[list[float]]:
    try:
        return saved.class_probabilities(model.model, encoded)
    except (RuntimeError, ValueError) as error:
        lengths = sorted({len(ids) for ids in encoded})
        reason = str(error).splitlines()[0]
        raise InputError(
            f"input is {source}, with records of {lengths[0]} to {lengths[-1]} tokens, which the"
            f" model cannot read (it was trained on {model.spec.length or 'any number'}): {reason}"
        ) from error


@contextmanager
def _written(output: str | None) -> Iterator[TextIO | Seen]:
    """A file that is there whole or not at all; standard output without one."""
    if output is None:
        yield Seen(sys.stdout) if sys.stdout.isatty() else sys.stdout
        sys.stdout.flush()
        return
    unfinished = Path(f"{output}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            yield file
        unfinished.replace(output)
    except OSError as error:
        raise _unwritable(output, error) from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _unwritable(output: str, error: OSError) -> Exception:
    if error.filename is None or output not in str(error.filename):
        return error
    return InputError(f"output is {output}, which cannot be written ({error.strerror})")
