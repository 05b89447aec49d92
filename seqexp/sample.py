"""What a model writes that was trained on a text.

python -m seqexp.sample run=RUN prompt=TEXT [KEY=VALUE ...]

  run            id of a run in MLflow, its first few letters, or latest (the newest that finished)
  prompt         what the text begins with
  length         symbols to add; 200
  temperature    below 1 the probable becomes more probable; 0 takes the most probable always; 1
  top_k          draw among so many of the most probable symbols; null: among all
  seed           selects the draws; 0
  trusted        your packages whose classes a stored model may name, with commas; none

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

  python -m seqexp.sample run=latest prompt='the cat ' temperature=0.5
"""

import sys

from seqexp.cli.subcommand import run_command

if __name__ == "__main__":
    sys.exit(run_command(__doc__, "seqexp.cli.sample.sample"))
