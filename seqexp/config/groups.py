"""The groups of the configuration: one table, from which all lists of groups are read.

A new group is a folder of `conf/`, a line of `conf/config.yaml` and a line here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Config = dict[str, Any]
"""A resolved composition: plain dicts, lists and values."""

Decides = Literal["results", "report", "record", "words", "sweep"]
"""What a part of the config decides: the weights of a run, what is shown of them, where the run is
kept, what a person says of it, how a sweep runs."""


@dataclass(frozen=True)
class Group:
    """A group of the config: `name=OPTION` chooses a file of `conf/name/`.

    Args:
        name: of the group.
        home: module below `seqexp` that defines the targets of its options, or a folder of such
            modules; `{option}` stands for the option's name.
        supplied: arguments of a target that seqexp passes itself.
        is_optional: whether it may be null.
        decides: see `Decides`; a resumed run may change all but what decides its results.
        free: keys that decide no results though the group does.
        pytorch: class of `torch.optim` whose subclasses may be named too.
    """

    name: str
    home: str
    supplied: tuple[str, ...] = ()
    is_optional: bool = False
    decides: Decides = "results"
    free: tuple[str, ...] = ()
    pytorch: str | None = None


_TABLE = (
    # the files of a dataset have a digest of their own, wherever they are
    Group("dataset", "dataset.{option}", free=("folder", "cache")),
    Group("model", "model.{option}", supplied=("spec",)),
    # when a run is saved and stopped, and how many are trained in one go
    Group("trainer", "trainer.settings", free=("checkpoint", "max_minutes", "replicas")),
    Group("optimizer", "optimizer.{option}", supplied=("params",), pytorch="Optimizer"),
    Group(
        "schedule",
        "optimizer.schedule",
        supplied=("optimizer", "total_steps", "higher_is_better"),
        pytorch="LRScheduler",
    ),
    Group("interpret", "interpret.filters", is_optional=True, decides="report"),
    Group("decode", "decode.{option}", is_optional=True, decides="report"),
    # measured while the run trains, so that it cannot be reported afterwards
    Group("gradient_flow", "interpret.gradient_flow", is_optional=True),
    Group("tracking", "tracking.{option}", decides="record"),
    Group("launcher", "sweep.launcher", decides="sweep"),
    Group("sweeper", "sweep.{option}", decides="sweep"),
)

GROUPS = {group.name: group for group in _TABLE}

BESIDE: dict[str, Decides] = {
    "paths": "record",
    "seed": "results",
    "task": "results",
    "metrics": "results",  # one may be monitored
    "callbacks": "results",  # they see what cannot be seen afterwards
    "experiment_name": "record",
    "tags": "words",
    "notes": "words",
    "optimized_metric": "record",
    "trusted_packages": "results",
    "seeds": "sweep",
    "force": "sweep",
    "dry_run": "sweep",
}
"""The keys beside the groups, and what they decide."""

OWN_CODE: dict[str, frozenset[str]] = {
    "metrics": frozenset({"predictions", "targets", "rows", "spec"}),
    "callbacks": frozenset({"run"}),
}
"""Sections that hold parts of a user's own by name, and the arguments that seqexp passes."""

OWN_LOSS = frozenset({"outputs", "targets", "mask", "spec"})
"""Arguments that seqexp passes to a `task.loss` of a user's own."""

SUPPLIED = {name: frozenset(group.supplied) for name, group in GROUPS.items()}
"""Arguments that seqexp passes itself, by group."""

OPTIONAL_GROUPS = tuple(name for name, group in GROUPS.items() if group.is_optional)

PYTORCH = {name: group.pytorch for name, group in GROUPS.items() if group.pytorch is not None}
"""Groups that take what PyTorch defines: the class that it derives from."""

DECIDES: dict[str, Decides] = {**{name: group.decides for name, group in GROUPS.items()}, **BESIDE}
"""Part of a config -> what it decides."""

WORDS = tuple(name for name, decides in DECIDES.items() if decides == "words")
"""Parts of a config that a person says of a run."""

NOT_IN_FINGERPRINT = tuple(
    name for name, decides in DECIDES.items() if decides in ("record", "words", "sweep")
)
"""Parts of a config that say where a run is kept, or what is said of it, not what it computes."""

REPORTING = tuple(name for name, decides in DECIDES.items() if decides == "report")
"""Parts of a config that say what is shown of a trained model."""

UNTOLD = tuple(name for name, decides in DECIDES.items() if decides in ("words", "sweep"))
"""Parts that may differ when a run is resumed, and that are not logged as its parameters."""


_HERE = Path(__file__).resolve().parent.parent  # the package
CONF = next(p for p in (_HERE / "conf", _HERE.parent / "conf") if (p / "config.yaml").is_file())
"""The config folder: inside an installed package, or at the top of the source tree."""
