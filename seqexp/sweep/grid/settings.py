"""`sweeper=grid`: every combination, see `seqexp.sweep.grid.sweeper`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Nothing to set: what is swept stands on the command line, or in `hydra.sweeper.grids`."""
