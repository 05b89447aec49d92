"""Which is better? The table and figures of a sweep, for any runs.

python -m seqexp.compare runs=RUN,RUN,... [KEY=VALUE ...]
python -m seqexp.compare sweep=RUN [KEY=VALUE ...]

  runs           ids of runs in MLflow, or the first few letters of each
  sweep          id of a sweep's own run: all runs below it
  metric         what they are compared by; their optimized_metric
  output         a folder for the tables and figures; by default one in outputs/comparisons

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Runs that differ in their seeds only are one point, with mean and standard deviation; points are
compared seed by seed. Runs are told apart by the values in which their configurations differ.

  python -m seqexp.compare runs=3f9c,77a0,e771
  python -m seqexp.compare sweep=b02d metric=test/accuracy
"""

import sys

from seqexp.cli.subcommand import run_command

if __name__ == "__main__":
    sys.exit(run_command(__doc__, "seqexp.cli.compare.compare"))
