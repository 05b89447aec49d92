"""The keys of a config whose values differ from the defaults."""

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import OmegaConf

from seqexp.config.groups import CONF, DECIDES, GROUPS, OWN_CODE, Config
from seqexp.config.signature import TargetError, signature

SHOWN = ("results", "report")
"""What keys decide that a reader of a result asks for."""

ROOT: Mapping[str, Any] = {
    "seed": 0,
    "task": {"class_weights": "none", "loss": "gaussian"},
    "metrics": {},
    "callbacks": {},
    "trusted_packages": [],
}
"""Defaults of the keys beside the groups, as `conf/config.yaml` has them."""

MISSING = object()


def differing(config: Config, chosen: Mapping[str, str]) -> list[tuple[str, Any, Any]]:
    """Key, value and default of each leaf that is not the default of its option.

    The default of a key is the value of the option's own file, else that of the constructor; None
    where it has none. Keys that say where a run is kept are left out.

    Args:
        config: checked.
        chosen: option of each group.
    """
    found = []
    for name, node in config.items():
        if DECIDES.get(name) not in SHOWN:
            continue
        default = _of_group(name, node, chosen.get(name)) if name in GROUPS else ROOT.get(name)
        found += list(_leaves(name, node, default))
    return found


def _of_group(name: str, node: Any, option: str | None) -> Any:
    """The defaults of an option's keys; what a file takes from elsewhere counts as given."""
    if not isinstance(node, Mapping):
        return node
    given: dict[str, Any] = {}
    try:
        parameters = signature(node["_target_"]).parameters
        given = {key: one.default for key, one in parameters.items() if not one.required}
    except (TargetError, KeyError):
        pass
    if option is not None:
        given |= _of_file(name, option)
    taken = {key for key, value in given.items() if isinstance(value, str) and "${" in value}
    return {**given, "_target_": node.get("_target_"), **{key: node.get(key) for key in taken}}


def _of_file(group: str, option: str) -> dict[str, Any]:
    """The values of an option's file, and of those of its group that it builds on."""
    file = CONF / group / f"{option}.yaml"
    if not file.is_file():
        return {}
    plain = OmegaConf.to_container(OmegaConf.load(file), resolve=False)
    assert isinstance(plain, dict)
    given: dict[str, Any] = {}
    for other in plain.pop("defaults", ()):
        if isinstance(other, str) and other != "_self_":
            given |= _of_file(group, other)
    return {**given, **{str(key): value for key, value in plain.items() if value != "???"}}


def _leaves(key: str, value: Any, default: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(value, Mapping):
        known = default if isinstance(default, Mapping) else {}
        for name, one in value.items():
            yield from _leaves(f"{key}.{name}", one, known.get(name, MISSING))
        return
    plain = list(default) if isinstance(default, tuple) else default
    is_own = key.partition(".")[0] in OWN_CODE or key.startswith("task.")
    if key.endswith("._target_") and not is_own:  # the option says which
        return
    if plain is MISSING:
        if value is not None:
            yield key, value, None
    elif plain != value:
        yield key, value, plain
