"""What each variant of a file does to a prediction, on both strands.

python -m seqexp variants run=RUN input=FILE genome=GENOME.fa output=TABLE.tsv [KEY=VALUE ...]
python -m seqexp variants runs=RUN,RUN|sweep=RUN input=FILE genome=GENOME.fa output=TABLE.tsv

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  runs           several, with commas: the mean over them, and the standard deviation; or sweep=ID
                 or sweep=latest without run: all its runs
  input          VCF, or a table with columns contig, position (from 1), ref, alt and perhaps id;
                 gzipped or not, sorted or not, or - for standard input
  genome         FASTA, or FASTA packed by bgzip; needs the extra [genome]
  output         a .tsv or .csv file; rows that are left out, with line and reason, go to
                 TABLE.skipped.tsv beside it
  width          letters of a window, of a run that was trained on sequences of several lengths
  calibrate      true: probabilities with the temperature that validation has fitted; false
  batch_size     variants that go through the model together; 256
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

The window has the length of the training, with the variant in its middle: the letters in which REF
and ALT differ, each in the middle of its own window. Letters that both begin or end with are the
genome's. Scores are the mean of both strands (of log-odds, or of numbers). A row has of each class
or label the probabilities _ref and _alt, their _difference, and _log_odds_difference (natural
logarithm, against all other classes); of numbers _ref, _alt and _difference, in the unit of the
training. Of several runs these are means, and each has its standard deviation in a column _sd.
A row of VCF with several alternatives gives several rows. Left out are rows whose REF is not what
the genome has, symbolic alleles, breakends, contigs that the genome lacks, and variants so near to
the end of a contig that no window fits.

  python -m seqexp variants run=latest input=variants.vcf.gz genome=genome.fa output=effects.tsv
  python -m seqexp variants runs=3f9c,77a0 input=variants.tsv genome=genome.fa output=effects.tsv
"""

import csv
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from seqexp.cli.run_lookup import Store
from seqexp.cli.several_runs import EQUAL, chosen
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.cli.written import written
from seqexp.errors import InputError
from seqexp.formats.genome import Genome
from seqexp.formats.variants import Variant, read_variants
from seqexp.inference.asked import asked
from seqexp.inference.dna import refuse_other_than_dna, width_of
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.variants import (
    ANOTHER_ASSEMBLY,
    REF_DIFFERS,
    Located,
    Places,
    column_names,
    rows,
)
from seqexp.ranges import Count
from seqexp.utils.names import visible

OF_VARIANT = ("contig", "position", "id", "ref", "alt")
"""Columns that say which variant a row is of."""

SKIPPED = ("line", *OF_VARIANT, "reason")
"""Columns of the table of rows that are left out."""

SEPARATORS = {".tsv": "\t", ".csv": ","}


def variants(
    place: Place,
    either: Which,
    input: str,
    genome: str,
    output: str,
    width: Count | None = None,
    calibrate: bool = False,
    batch_size: Count = 256,
    trusted: tuple[str, ...] = (),
) -> None:
    """Write a row a variant: the scores of both alleles and their differences.

    Raises:
        InputError: if there is no such run or file, the model is not of DNA, a row cannot be read,
            or all are left out.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    skipped = _beside(output)
    with Genome(genome) as opened:
        found = read_variants(input)
        first = next(found, None)  # before the models are fetched
        if first is None:
            raise InputError(f"input is {input}, which holds no variant")
        known, _ = chosen(Store(place), either, EQUAL, trusted)
        for name, model in known.items():
            refuse_other_than_dna(model.spec, name, "variants")
        widths = [width_of(model.spec, name, width) for name, model in known.items()]
        models = [asked(model, calibrate, "both", f"run {name}") for name, model in known.items()]
        places = Places(opened, max(widths))
        with written(str(skipped)) as file:
            left_out = _writer(file, "\t")
            left_out.writerow(SKIPPED)
            batches = _batches(chain([first], found), places, left_out, batch_size)
            count = _write(output, models, widths, batches)
    _say(count, places, output, skipped, genome)


def _beside(output: str) -> Path:
    """Where rows are listed that are left out.

    Raises:
        InputError: if the ending of the table is no table's.
    """
    file = Path(output)
    if file.suffix.lower() not in SEPARATORS:
        raise InputError(f"output is {output}; give the name of a .tsv or .csv file")
    return file.with_name(f"{file.stem}.skipped.tsv")


def _batches(
    found: Iterator[Variant], places: Places, left_out: Any, size: int
) -> Iterator[list[Located]]:
    """Variants in their places; those without one are written to the table of the skipped."""
    batch: list[Located] = []
    for variant in found:
        one = places.find(variant)
        if isinstance(one, str):
            left_out.writerow([variant.line, *_named(variant), one])
            continue
        batch.append(one)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _write(
    output: str,
    models: Sequence[SavedModel],
    widths: Sequence[int],
    batches: Iterator[list[Located]],
) -> int:
    """Write the table and return the number of its rows; no table without any."""
    first = next(batches, None)
    if first is None:
        return 0
    count = 0
    with written(output) as file:
        writer = _writer(file, SEPARATORS[Path(output).suffix.lower()])
        writer.writerow([*OF_VARIANT, *column_names(models[0].spec, len(models))])
        for batch in chain([first], batches):
            for one, row in zip(batch, rows(models, batch, widths), strict=True):
                writer.writerow([*_named(one.variant), *(f"{value:.8g}" for value in row)])
            count += len(batch)
    return count


def _writer(file: Any, separator: str) -> Any:
    return csv.writer(file, delimiter=separator, lineterminator="\n")


def _named(variant: Variant) -> tuple[str, int, str, str, str]:
    return (variant.contig, variant.position, variant.id, variant.ref, variant.alt)


def _say(count: int, places: Places, output: str, skipped: Path, genome: str) -> None:
    """Say how many variants there were, and why others were left out.

    Raises:
        InputError: if all were.
    """
    total = places.skipped.total()
    reasons = ", ".join(f"{kind} {number:,}" for kind, number in places.skipped.most_common())
    told = f"{total:,} left out ({reasons}), listed in {visible(str(skipped))}"
    differ, share = places.skipped[REF_DIFFERS], places.share_that_differs
    if differ > 1 and share >= ANOTHER_ASSEMBLY:
        told += (
            f"\n  REF differs from {visible(genome)} in {differ:,} of {places.compared:,} variants"
            f" ({share:.1%}): probably it is another assembly than that of the variants"
        )
    if not count:
        raise InputError(f"no variant could be read: {told}")
    print(f"{count:,} variants in {visible(output)}", file=sys.stderr)
    if total:
        print(told, file=sys.stderr)
