"""Which run, or runs, a command is about: `run=`, `runs=` or `sweep=`, and where words look.

    run            id of a run, its first few letters, latest or best
    runs           several of these, with commas
    sweep          id of a sweep's own run, or latest: all its runs; run=best: one of them
    experiment     latest and best look among its runs only
    metric         what best is best by; by default the optimized_metric of the runs

Importing this takes no time: a command's words are read before PyTorch is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seqexp.errors import InputError

if TYPE_CHECKING:
    from mlflow.entities import Run

    from seqexp.cli.run_lookup import Store
    from seqexp.tracking.store.runs import Among

WORDS = ("latest", "best")

_LIST = tuple[str, ...] | None

KEYS: dict[str, dict[str, Any]] = {
    "one": {"run": str, "experiment": str, "sweep": str, "metric": str},
    "several": {"runs": _LIST, "sweep": str, "experiment": str},
    "either": {"run": str, "runs": _LIST, "sweep": str, "experiment": str, "metric": str},
}
"""Name of a command's argument -> the keys that give its value, a `Which`."""


@dataclass(frozen=True)
class Which:
    """What a person has typed to say which run, or runs.

    Args:
        run: id, the beginning of one, or a word.
        runs: several of these.
        sweep: id of a sweep's own run, or latest.
        experiment: name of an experiment in MLflow.
        metric: of `best`.
    """

    run: str | None = None
    runs: Sequence[str] | None = None
    sweep: str | None = None
    experiment: str | None = None
    metric: str | None = None

    @property
    def is_one(self) -> bool:
        """Whether one run is asked for."""
        return self.run is not None

    def one(self, store: "Store") -> "Run":
        """The run, which is said.

        Raises:
            InputError: if there is no such run.
        """
        assert self.run is not None
        found = store.find(self.run, "run", self._among(store))
        store.tell([found])
        return found

    def parent(self, store: "Store") -> "Run | None":
        """The sweep's own run, where all its runs are asked for."""
        if self.sweep is None or self.is_one:
            return None
        return store.find_sweep(self.sweep, self.experiment)

    def named(self, store: "Store", why: str) -> "list[Run]":
        """The runs that are named one by one, each once.

        Raises:
            InputError: if there are fewer than two, with `why` two are needed.
        """
        among = self._among(store)
        found = [store.find(name, "runs", among) for name in self.runs or ()]
        once = {run.info.run_id: run for run in found}
        if len(once) < 2:
            raise InputError(f"runs is {','.join(self.runs or ())}; give at least two runs{why}")
        return list(once.values())

    def _among(self, store: "Store") -> "Among":
        from seqexp.tracking.store.runs import Among

        parent = None
        if self.sweep is not None:
            parent = store.find_sweep(self.sweep, self.experiment)
        return Among(self.experiment, parent, self.metric)


def which(kind: str, values: dict[str, Any]) -> Which:
    """What is typed as the value of an argument of this name.

    Raises:
        InputError: if too much or too little is given, or a key that is of no use.
    """
    found = Which(**values)
    if kind == "several":
        if (found.runs is None) == (found.sweep is None):
            raise InputError(
                "give either runs=ID,ID,... or sweep=ID, the id of a sweep's own run, or latest"
            )
    elif found.run is None and (found.runs is None) == (found.sweep is None):
        raise InputError(
            "give run=ID, or of several runs runs=ID,ID,... or sweep=ID; run is also latest or best"
        )
    if found.run is not None and found.runs is not None:
        raise InputError("give one run by run=ID, or several by runs=ID,ID,...")
    _refuse_useless(found)
    return found


def _refuse_useless(found: Which) -> None:
    """Refuse a key that says where words look, where no word is given."""
    names = [*(found.runs or ()), *([] if found.run is None else [found.run])]
    words = [name for name in names if name in WORDS]
    if found.run is not None and found.sweep is not None and not words:
        raise InputError(
            f"run is {found.run}, so sweep={found.sweep} is of no use: leave one of them out, or"
            " give run=best, the best of the sweep"
        )
    if found.experiment is not None and not words and found.sweep not in WORDS:
        raise InputError(
            f"experiment is {found.experiment}, which is for latest and best; leave it out"
        )
    if found.metric is not None and "best" not in words:
        raise InputError(f"metric is {found.metric}, which is for run=best; leave it out")
