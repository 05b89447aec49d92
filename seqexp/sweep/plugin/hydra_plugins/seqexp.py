"""Our sweepers, where Hydra looks for them: it loads plugins from the package `hydra_plugins`."""

from seqexp.sweep.grid.sweeper import CheckedSweeper
from seqexp.sweep.optuna.sweeper import SearchingSweeper


class Sweeper(CheckedSweeper):
    """`sweeper=grid`."""


class OptunaSweeper(SearchingSweeper):
    """`sweeper=optuna`."""
