"""Does it come out the same? Trains a run again, from what MLflow keeps of it.

python -m seqexp.reproduce run=RUN [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, or latest (the newest that finished)
  trusted        your packages whose classes its config may name, with commas; none. What the
                 stored config trusts counts for nothing.
  files          read: the files of this machine that the config names may be read. They are listed
                 before, always; without it, a run of a store that tracking.uri= names is refused if
                 it names any.

  tracking.uri, paths.outputs, paths.data    where runs and data are kept, as for python -m seqexp

Says whether data, code and versions are those of the run, trains in a folder and an MLflow run of
its own (tag seqexp.reproduces), and says bit-equal, or the first point that differs. Compared are
all metrics but times, at every step, and the weights of the model that was kept.

Exit status: 0 bit-equal, 1 not, 2 it cannot be tried.

  python -m seqexp.reproduce run=latest
"""

import sys

from seqexp.cli.subcommand import run_command

if __name__ == "__main__":
    sys.exit(run_command(__doc__, "seqexp.cli.reproduce.reproduce"))
