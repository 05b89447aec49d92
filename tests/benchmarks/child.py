"""The process of one side: losses of the check first, then stretches of training, when told.

python -m tests.benchmarks.child SIDE FOLDER     (started by the benchmarks themselves)
"""

import importlib
import json
import os
import sys
from pathlib import Path

from tests.benchmarks.gate import Gate
from tests.benchmarks.sides import SIDES
from tests.benchmarks.work import Work


def main(name: str, folder: Path) -> None:
    """Says one line of JSON a step, on what is standard output at the start."""
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print
    side, work = SIDES[name], Work.read(folder)

    def tell(message: dict[str, object]) -> None:
        print(json.dumps(message), file=out)

    peer = importlib.import_module(f"tests.benchmarks.peers.{side.module}")
    tell({"losses": [float(loss) for loss in peer.losses(work, side.variant)]})
    peer.train(work, side.variant, Gate(work.unit, work.count, tell, sys.stdin))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
