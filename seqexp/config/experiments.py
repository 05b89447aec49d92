"""What an experiment gives to an option of its own, where another option was chosen.

`experiment=fasta model=lstm` asks for the experiment with another network. Its settings of filters
are then no faults: they are for the network that is not there. Likewise for a run to start from,
which is typed for a sweep: `-m model=lstm,ngrams model.from_run=ID` is for the network.
"""

from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.types import RunMode

from seqexp.config.groups import SUPPLIED
from seqexp.config.own import own_parameters

Others = Mapping[str, frozenset[str]]
"""Group -> keys that are given for an option that was not chosen."""


def for_others(hydra: Any) -> dict[str, frozenset[str]]:
    """Keys that are given for another option of their group than the chosen one.

    The chosen experiment may give them to its own option. A key that is typed is meant for the
    chosen option, but in a sweep, whose jobs share it, those that not every option takes
    (`own_parameters`).

    Args:
        hydra: the node of that name of a composition: what was chosen and typed, and folders.
    """
    typed = {str(item).lstrip("+~").partition("=")[0] for item in hydra.overrides.task}
    found = _of_experiment(hydra, typed)
    for group in SUPPLIED if hydra.mode == RunMode.MULTIRUN else ():
        shared = {key for key in own_parameters(group) if f"{group}.{key}" in typed}
        found[group] = found.get(group, frozenset()) | shared
    return {group: keys for group, keys in found.items() if keys}


def _of_experiment(hydra: Any, typed: Set[str]) -> dict[str, frozenset[str]]:
    """Keys that the chosen experiment gives to a group of which another option was chosen."""
    chosen, name = hydra.runtime.choices, hydra.runtime.choices.get("experiment")
    if not isinstance(name, str):
        return {}
    roots = [Path(str(source.path)) for source in hydra.runtime.config_sources if source.path]
    files = [*_chain(roots, name), _base(roots, str(hydra.job.config_name))]
    found = {}
    for group in SUPPLIED:
        own = next((option for file in files for option in _choices(file, group)), None)
        if own is None or own == chosen.get(group):
            continue
        nodes = [file[group] for file in files if isinstance(file.get(group), Mapping)]
        keys = (str(key) for node in nodes for key in node)
        found[group] = frozenset(key for key in keys if not _is_typed(f"{group}.{key}", typed))
    return found


def _is_typed(key: str, typed: Set[str]) -> bool:
    """Whether a key, or a key within it, was typed."""
    return any(one == key or one.startswith(f"{key}.") for one in typed)


def _base(roots: list[Path], name: str) -> Mapping[str, Any]:
    """The list of defaults that an experiment overrides."""
    file = next((file for root in roots if (file := root / f"{name}.yaml").is_file()), None)
    content = None if file is None else yaml.safe_load(file.read_text(encoding="utf-8-sig"))
    return {"defaults": content.get("defaults")} if isinstance(content, Mapping) else {}


def _chain(roots: list[Path], name: str) -> Iterator[Mapping[str, Any]]:
    """The experiment's file, and those that it builds on; the check says what is wrong with one."""
    waiting, seen = [name], set()
    while waiting:
        one = waiting.pop(0)
        files = [root / "experiment" / f"{one}.yaml" for root in roots]
        file = next((file for file in files if file.is_file()), None)
        if one in seen or file is None:
            continue
        seen.add(one)
        content = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
        if isinstance(content, Mapping):
            yield content
            below = [item for item in content.get("defaults") or [] if isinstance(item, str)]
            folder = f"{one.rpartition('/')[0]}/".lstrip("/")
            waiting += [f"{folder}{item}" for item in below if not item.startswith(("/", "_"))]


def _choices(content: Mapping[str, Any], group: str) -> Iterator[str]:
    """The option of a group by the list of defaults of a file."""
    for item in content.get("defaults") or []:
        for key, option in item.items() if isinstance(item, Mapping) else ():
            if str(key).split()[-1].lstrip("/") == group:
                yield str(option)
