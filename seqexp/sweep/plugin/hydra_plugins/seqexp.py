"""Our sweeper, where Hydra looks for it: it loads plugins from the package `hydra_plugins` only."""

from seqexp.sweep.sweeper import CheckedSweeper


class Sweeper(CheckedSweeper):
    """The sweeper of `conf/config.yaml`."""
