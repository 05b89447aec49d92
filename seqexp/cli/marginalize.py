"""What a motif adds to what a model of DNA predicts, in sequences that have none.

python -m seqexp marginalize run=RUN motif=MOTIF [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, latest (the newest that finished) or
                 best
  experiment     name in MLflow: latest and best look among its runs only
  sweep          id of a sweep's own run, or latest: latest and best look among its runs only
  metric         that best is best by; the optimized_metric of the runs
  runs           several, with commas: a row for each, and their mean with its spread; or sweep=ID
                 or sweep=latest without run: all its runs
  motif          a consensus in IUPAC's letters (TGACTCA, TGASTCA; N leaves the letter that is
                 there), a motif file (MEME, JASPAR, TRANSFAC, HOMER, ...: a row a motif), or the
                 id of a built-in motif (MA0149.1)
  names          of a motif file, only these motifs, with commas
  background     shuffle: test sequences of the run, shuffled so that pairs of neighbouring letters
                 keep their numbers; composition: letters drawn with the shares that the test has
  count          backgrounds; 200
  input          a file of sequences (FASTA, a table, ...) in place of the test of the run
  output         a table (.tsv or .csv); without it, the table is printed
  seed           selects the backgrounds; 0
  trusted        your packages whose classes a stored model may name, with commas; none
  files          read: the files of this machine that the run's config names may be read; as for
                 reproduce

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

The motif is put into the middle of each background, on each strand in turn. `adds` is the mean over
backgrounds and strands of the output with it less the output without it: log-odds in nats, of a
regression the number in its unit. `low` and `high` are its 95% interval. Of a matrix, the most
frequent letter is put in wherever a place tells 0.25 bits or more.

  python -m seqexp marginalize run=latest motif=TGACTCA
  python -m seqexp marginalize run=latest motif=my_motifs.meme background=composition
  python -m seqexp marginalize runs=3f9c,77a0 motif=TGASTCA output=adds.tsv
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from seqexp.cli.insertions import (
    Asked,
    Files,
    Row,
    aligned,
    table_of,
    write,
)
from seqexp.cli.store_location import Place
from seqexp.cli.which import Which
from seqexp.errors import InputError
from seqexp.inference.insertion.backgrounds import Kind
from seqexp.inference.insertion.effects import (
    Inserting,
    marginal,
    mean_of,
    shown_outputs,
    unit_of,
)
from seqexp.inference.insertion.motifs import Motif, motifs_of
from seqexp.inference.saved_model import SavedModel
from seqexp.ranges import Count, Seed
from seqexp.spec import Output


def marginalize(
    place: Place,
    either: Which,
    motif: str,
    names: tuple[str, ...] | None = None,
    background: Kind = "shuffle",
    count: Count = 200,
    input: str | None = None,
    output: str | None = None,
    seed: Seed = 0,
    trusted: tuple[str, ...] = (),
    files: Files = "ask",
) -> None:
    """Print or write what each motif adds to each output.

    Raises:
        InputError: if there is no such run or motif, or the model predicts no one thing of DNA.
    """
    torch.set_num_threads(1)  # results do not depend on the machine's cores
    motifs = motifs_of(motif, "motif", names)
    asked = Asked(place, either, background, count, input, seed, trusted, files)
    unit = unit_of(asked.spec)
    found = asked.backgrounds(max(map(len, motifs)))
    what = f"{len(motifs)} motif{'s' if len(motifs) > 1 else ''} in {len(found)} backgrounds"
    print(f"{what} ({background}); adds is in {unit}", file=sys.stderr)
    inserting = asked.inserting(found)
    rows = [row for one in motifs for row in _rows(one, inserting)]
    if output is None:
        print(aligned(rows))
    else:
        _refuse_other_file(output)
        write(Path(output), table_of(rows, output))


def _refuse_other_file(output: str) -> None:
    if not output.lower().endswith((".tsv", ".csv", ".txt")):
        raise InputError(f"output is {output}; give a table, as FILE.tsv or FILE.csv")


def _rows(motif: Motif, inserting: dict[str, Inserting]) -> Iterator[Row]:
    """A row an output and a run; of several runs, also their mean."""
    changes = {name: marginal(one, motif) for name, one in inserting.items()}
    spec = next(iter(inserting.values())).saved.spec
    for output in shown_outputs(spec):
        for name, one in inserting.items():
            without = one.without[:, output]
            yield _row(motif, name, one.saved, output, without, changes[name])
        if len(inserting) > 1:
            each = np.array([change[:, output].mean() for change in changes.values()])
            mean = np.mean(list(changes.values()), axis=0)
            without = np.mean([one.without[:, output] for one in inserting.values()], axis=0)
            saved = next(iter(inserting.values())).saved
            label = f"mean (sd {each.std(ddof=1):.3f})"
            yield _row(motif, label, saved, output, without, mean)


def _row(
    motif: Motif,
    run: str,
    saved: SavedModel,
    output: int,
    without: np.ndarray,
    changes: np.ndarray,
) -> Row:
    own = changes[:, output]
    adds = mean_of(own)
    row: dict[str, str | int | float] = {
        "motif": motif.name,
        "letters": motif.letters,
        "run": run,
        "output": saved.spec.output_names[output],
        "adds": adds.value,
        "low": adds.low,
        "high": adds.high,
        "raised in": f"{float((own > 0).mean()):.1%}",
    }
    if saved.spec.output is Output.REGRESSION:
        return row | {"without": float(without.mean()), "with": float((without + own).mean())}
    probabilities = [_mean_probability(odds) for odds in (without, without + own)]
    return row | dict(zip(("p without", "p with"), probabilities, strict=True))


def _mean_probability(log_odds: Sequence[float] | np.ndarray) -> float:
    return float(torch.sigmoid(torch.as_tensor(log_odds)).mean())
