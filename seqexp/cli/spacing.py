"""Do two motifs add more together than alone, and at which distance? A pair at each of them.

python -m seqexp spacing run=RUN motifs=A,B [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  runs           several, with commas: the mean over them; or sweep=ID or sweep=latest without run:
                 all its runs
  motifs         two motifs, as for marginalize: each a consensus (TGACTCA), a motif file with one
                 motif, or a built-in one; or one file of several, with names
  names          of one motif file, the two motifs: names=A,B
  distances      letters between both: 0-50, 0-100:10 (every tenth) or 3,5,10; 0-50
  of             the output that is told; the last
  background     shuffle or composition, as for marginalize
  count          backgrounds; 50
  input          a file of sequences in place of the test of the run
  output         a folder for spacing.tsv and spacing.png; one in outputs/spacing
  seed           selects the backgrounds; 0
  trusted        your packages whose classes a stored model may name, with commas; none
  files          read: the files of this machine that the run's config names may be read; as for
                 reproduce

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

A lies at one place, B after it at each distance, on both strands each: `A> B>`, `A> <B`, `<A B>`
and `<A <B`. `together` is what both add to the log-odds in nats (of a regression, to the number),
`alone` the sum of what each adds at the same places by itself. `difference` is the mean of the one
less the other, `low` and `high` its 95% interval over backgrounds.

  python -m seqexp spacing run=latest motifs=TGACTCA,CACGTG distances=0-20
  python -m seqexp spacing run=latest motifs=my_motifs.meme,TGACTCA distances=5,10
  python -m seqexp spacing runs=3f9c,77a0 motifs=TGACTCA,CACGTG distances=0-20:5
"""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from seqexp.cli.insertions import (
    Asked,
    Files,
    Row,
    aligned,
    saying_what_cannot_be_written,
    table_of,
    write,
)
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.errors import InputError
from seqexp.inference.insertion.backgrounds import Kind
from seqexp.inference.insertion.effects import (
    ORIENTATIONS,
    Mean,
    Spaced,
    mean_of,
    spaced,
    unit_of,
)
from seqexp.inference.insertion.figure import spacing_figure
from seqexp.inference.insertion.motifs import Motif, motifs_of
from seqexp.ranges import Count, Seed
from seqexp.spec import TaskSpec
from seqexp.utils.drawing import save
from seqexp.utils.names import visible
from seqexp.utils.nearest import did_you_mean

MAX_DISTANCE, MAX_DISTANCES = 100_000, 1000

SHOWN = 5
"""Distances that are printed: those of the largest difference."""

RANGE = re.compile(r"(\d{1,6})(?:-(\d{1,6})(?::(\d{1,6}))?)?")


def spacing(
    place: Place,
    either: Which,
    motifs: tuple[str, ...],
    names: tuple[str, ...] | None = None,
    distances: str = "0-50",
    of: str | None = None,
    background: Kind = "shuffle",
    count: Count = 50,
    input: str | None = None,
    output: str | None = None,
    seed: Seed = 0,
    trusted: tuple[str, ...] = (),
    files: Files = "ask",
) -> None:
    """Leave a table and a figure of a pair of motifs at each distance, and print what stands out.

    Raises:
        InputError: if there is no such run or motif, or the model predicts no one thing of DNA.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    pair = _pair(motifs, names)
    wanted = distances_of(distances)
    asked = Asked(place, either, background, count, input, seed, trusted, files)
    spec = asked.spec
    number = _output(spec, of)
    found = asked.backgrounds(len(pair[0]) + max(wanted) + len(pair[1]))
    told = spec.output_names[number]
    print(
        f"A = {pair[0].name}, B = {pair[1].name} at {len(wanted)} distances in {len(found)}"
        f" backgrounds ({background}); what is added to {told} is in {unit_of(spec)}",
        file=sys.stderr,
    )
    by_run = {name: spaced(one, *pair, wanted) for name, one in asked.inserting(found).items()}
    rows = [row for name, own in by_run.items() for row in _rows(name, own, number)]
    means = _mean_over_runs(by_run)
    if len(by_run) > 1:
        rows += _rows("mean", means, number)
    best = sorted(_rows("mean", means, number), key=lambda row: -abs(float(row["difference"])))
    print(aligned([_without_run(row) for row in best[:SHOWN]]))
    folder = Path(output) if output is not None else _folder(place, by_run, pair)
    write(folder / "spacing.tsv", table_of(rows, None))
    title = f"A = {pair[0].name}, B = {pair[1].name}: what they add to {told}"
    figure = _figure(title, unit_of(spec), wanted, by_run, means, number)
    path = folder / "spacing.png"
    with saying_what_cannot_be_written(path):
        save(figure, path, dpi=100)
    print(f"  {visible(str(path))}", file=sys.stderr)


def distances_of(given: str) -> list[int]:
    """Numbers of letters, from ranges and numbers with commas; each once, the smallest first.

    Raises:
        InputError: if it cannot be read.
    """
    found: set[int] = set()
    for part in given.strip("[]").split(","):
        match = RANGE.fullmatch(part.strip())
        if match is None:
            raise InputError(
                f"distances is {given!r}, of which {part!r} cannot be read; give letters, as 0-50,"
                " 0-100:10 or 3,5,10"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        step = int(match[3] or 1)
        if last < first or step < 1:
            raise InputError(f"distances is {given!r}, but {part} holds nothing; give 0-50")
        found.update(range(first, last + 1, step))
    if max(found) > MAX_DISTANCE or len(found) > MAX_DISTANCES:
        raise InputError(
            f"distances is {given!r}: {len(found):,} distances, the largest {max(found):,}; give"
            f" {MAX_DISTANCES:,} at most, up to {MAX_DISTANCE:,}"
        )
    return sorted(found)


def _pair(given: Sequence[str], names: Sequence[str] | None) -> tuple[Motif, Motif]:
    """The two motifs.

    Raises:
        InputError: if there are more or fewer.
    """
    found = [motif for one in given for motif in motifs_of(one, "motifs", names)]
    if names is not None:
        found.sort(key=lambda motif: _place(motif.name, names))
    if len(found) != 2:
        few = ", ".join(motif.name for motif in found[:5]) + (", ..." if len(found) > 5 else "")
        raise InputError(
            f"motifs is {','.join(given)}, which is {len(found)} motifs ({few}); give two, as"
            " motifs=TGACTCA,CACGTG, or of one file names=NAME,NAME"
        )
    return found[0], found[1]


def _place(name: str, names: Sequence[str]) -> int:
    """Number of the name that is given, which may be an id or a name of the motif."""
    words = [name, *name.split(maxsplit=1)]
    return next((place for place, own in enumerate(names) if own in words), len(names))


def _output(spec: TaskSpec, given: str | None) -> int:
    names = list(spec.output_names)
    if given is None:
        return len(names) - 1
    if given not in names:
        hint = did_you_mean(given, names) or f"; outputs are {', '.join(names[:10])}"
        raise InputError(f"of is {given!r}, which is no output{hint}")
    return names.index(given)


def _rows(run: str, found: Sequence[Spaced], output: int) -> list[Row]:
    rows: list[Row] = []
    for one in found:
        together, alone = one.together[:, output], one.single[:, output]
        difference = mean_of(together - alone)
        rows.append(
            {
                "run": run,
                "distance": one.distance,
                "orientation": one.orientation,
                "together": float(together.mean()),
                "alone": float(alone.mean()),
                "difference": difference.value,
                "low": difference.low,
                "high": difference.high,
            }
        )
    return rows


def _without_run(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "run"}


def _mean_over_runs(by_run: Mapping[str, Sequence[Spaced]]) -> list[Spaced]:
    return [
        Spaced(
            same[0].distance,
            same[0].orientation,
            np.mean([one.together for one in same], axis=0),
            np.mean([one.single for one in same], axis=0),
        )
        for same in zip(*by_run.values(), strict=True)
    ]


def _figure(
    title: str,
    unit: str,
    distances: Sequence[int],
    by_run: Mapping[str, Sequence[Spaced]],
    means: Sequence[Spaced],
    output: int,
) -> Figure:
    together, single = (
        {
            orientation: np.array(
                [
                    [getattr(one, kind)[:, output].mean() for one in own]
                    for own in (_of(orientation, found) for found in by_run.values())
                ]
            )
            for orientation in ORIENTATIONS
        }
        for kind in ("together", "single")
    )
    intervals: dict[str, list[Mean]] = {
        orientation: [
            mean_of((one.together - one.single)[:, output]) for one in _of(orientation, means)
        ]
        for orientation in ORIENTATIONS
    }
    return spacing_figure(title, unit, distances, together, single, intervals)


def _of(orientation: str, found: Sequence[Spaced]) -> list[Spaced]:
    return [one for one in found if one.orientation == orientation]


def _folder(place: Place, by_run: Mapping[str, object], pair: Sequence[Motif]) -> Path:
    names = "-".join([*by_run, *(motif.name for motif in pair)])
    return place.outputs / "spacing" / re.sub(r"[^A-Za-z0-9_.-]+", "_", names)[:100]
