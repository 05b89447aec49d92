"""Predictions along a genome, as bedGraph or bigWig: `predict` with `genome=`."""

import importlib.util
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from seqexp.cli.written import made, written
from seqexp.errors import InputError
from seqexp.formats.genome import INSTALL, Genome
from seqexp.formats.regions import regions_of
from seqexp.inference.dna import refuse_other_than_dna, width_of
from seqexp.inference.saved_model import SavedModel
from seqexp.inference.tracks import Tiles, Value, output_of, values_along
from seqexp.utils.names import visible

STEP = 50
"""Letters between windows, unless it is said."""

BIG_WIG = (".bw", ".bigwig")
BED_GRAPH = (".bedgraph", ".bg")


def refuse_other_files(output: str | None) -> None:
    """Refuse a track in another format than there is, before any work.

    Raises:
        InputError: naming the key; if the package that writes bigWig is missing.
    """
    suffix = None if output is None else Path(output).suffix.lower()
    if suffix not in (None, *BED_GRAPH, *BIG_WIG):
        raise InputError(f"output is {output}; of a genome give FILE.bedGraph or FILE.bw (bigWig)")
    if suffix in BIG_WIG and importlib.util.find_spec("pybigtools") is None:
        raise InputError(f"output is {output}: a package is missing (pybigtools); {INSTALL}")


def write_track(
    models: Mapping[str, SavedModel],
    weights: Sequence[float],
    genome: str,
    regions: str | None,
    step: int | None,
    width: int | None,
    label: str | None,
    output: str | None,
    batch_size: int,
) -> None:
    """Write a value every few letters of a genome.

    Args:
        models: whose predictions are averaged, by run.
        weights: of each.
        genome: the FASTA file.
        regions: as of `regions_of`.
        step: letters between windows; None is `STEP`.
        width: letters of a window, where the training had several lengths.
        label: the class, label or number; None is the only one, or the second of two classes.
        output: a file; None is standard output.
        batch_size: windows that go through the model together.

    Raises:
        InputError: if a model is not of DNA, or no window fits.
    """
    refuse_other_files(output)
    for name, model in models.items():
        refuse_other_than_dna(model.spec, name, "genome")
    widths = {width_of(model.spec, name, width) for name, model in models.items()}
    if len(widths) > 1:
        shown = " and ".join(map(str, sorted(widths)))
        raise InputError(f"the runs have windows of {shown} letters; give runs of one length")
    chosen = list(models.values())
    index = output_of(chosen[0].spec, label)
    with Genome(genome) as opened:
        where = regions_of(regions, opened)
        tiles = Tiles(opened, where, step or STEP, widths.pop(), batch_size)
        found = values_along(chosen, weights, tiles, index)
        first = next(found, None)  # before anything is written
        if first is None:
            raise InputError(
                f"regions is {regions or 'the whole genome'}: nowhere a window of {tiles.width:,}"
                " letters fits between the ends of a contig and holds a letter other than N"
            )
        count = _write(output, opened.contigs, chain([first], found))
    said = f"{count:,} values" if output is None else f"{count:,} values in {visible(output)}"
    if tiles.left_out:
        said += (
            f"; {tiles.left_out:,} places have none: their window reaches over the end of the"
            " contig, or holds no letter other than N"
        )
    if output is not None or tiles.left_out:
        print(said, file=sys.stderr)


def _write(output: str | None, contigs: dict[str, int], found: Iterable[Value]) -> int:
    """Write the values, and return how many there were."""
    if output is not None and Path(output).suffix.lower() in BIG_WIG:
        return _write_big_wig(output, contigs, found)
    count = 0
    with written(output) as file:
        for contig, start, end, value in found:
            file.write(f"{contig}\t{start}\t{end}\t{value:.6g}\n")
            count += 1
    return count


def _write_big_wig(output: str, contigs: dict[str, int], found: Iterable[Value]) -> int:
    """Write bigWig beside the output, and bring it there as a whole.

    pybigtools prints what an iterator raises, and goes on: it is raised here instead.
    """
    import pybigtools

    count, errors = 0, list[BaseException]()

    def given() -> Iterator[Value]:
        nonlocal count
        try:
            for value in found:
                yield value
                count += 1
        except BaseException as error:  # also that of a person who interrupts
            errors.append(error)

    with made(output) as file, TemporaryDirectory(dir=Path(output).parent, prefix=".bw-") as folder:
        unfinished = Path(folder) / "track.bw"
        pybigtools.open(str(unfinished), "w").write(contigs, given())
        if errors:
            raise errors[0]
        with unfinished.open("rb") as whole:
            shutil.copyfileobj(whole, file)
    return count
