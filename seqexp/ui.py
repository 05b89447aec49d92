"""MLflow's pages of all runs, in a browser.

python -m seqexp.ui [port=PORT]

  port           of this machine; 5000

  tracking.uri, paths.outputs    where runs are kept, as for python -m seqexp

Prints the address of each experiment's table of runs, and serves them until Ctrl-C. Of a shared
server, only the addresses are printed.

  python -m seqexp.ui port=5001 paths.outputs=other_outputs
"""

import sys

from seqexp.cli.subcommand import run_command

if __name__ == "__main__":
    sys.exit(run_command(__doc__, "seqexp.cli.ui.ui"))
