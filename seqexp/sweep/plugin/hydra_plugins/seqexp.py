"""Our sweepers and launcher, where Hydra looks for plugins: in the package `hydra_plugins`."""

from seqexp.sweep.forked.launcher import ForkedLauncher as OurLauncher
from seqexp.sweep.grid.sweeper import CheckedSweeper
from seqexp.sweep.optuna.sweeper import SearchingSweeper


class Sweeper(CheckedSweeper):
    """`sweeper=grid`."""


class OptunaSweeper(SearchingSweeper):
    """`sweeper=optuna`."""


class ForkedLauncher(OurLauncher):
    """`launcher=parallel`."""
