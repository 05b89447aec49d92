"""Our sweepers, where Hydra looks for them: it loads plugins from the package `hydra_plugins`."""

from seqexp.sweep.searcher import SearchingSweeper
from seqexp.sweep.sweeper import CheckedSweeper


class Sweeper(CheckedSweeper):
    """`sweeper=grid`."""


class OptunaSweeper(SearchingSweeper):
    """`sweeper=optuna`."""
