"""The law of names: which classes and functions a config may call.

A config is data, and whoever writes it may be anybody. At each key it may name

- what a file of `conf/` names there, and of ours nothing else: `seqexp.model.lstm.LSTM` at `model`;
- an optimizer or a schedule that PyTorch defines, at `optimizer` and `schedule`;
- what a package defines that the caller trusts (`trusted_packages`, `trusted=`). What such a
  package merely imports is not trusted: it counts where an object was defined.

`name_fault` says so of one name; typed configs and stored ones obey it alike. A stored config never
says itself whom to trust, and of it `refuse_other_code` looks at each object as well. An experiment
file that trusts packages is code: it runs what it names.
"""

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from seqexp.config.groups import CONF, OWN_CODE, PYTORCH
from seqexp.config.signature import derives, home
from seqexp.errors import InputError

TARGET = "_target_"

TORCH = "torch.optim"


THEIRS = "classes and functions of packages that you trust"
"""What a key of a user's own may name."""

_NO_GROUPS = ("experiment", "hydra")


@functools.cache
def offered() -> Mapping[str, frozenset[str]]:
    """The names that `conf/` gives, by the key where it does so: `model`, `trainer.bptt`."""
    found: dict[str, set[str]] = {}
    for folder in sorted(path for path in CONF.iterdir() if path.is_dir()):
        if folder.name in _NO_GROUPS:
            continue
        for file in sorted(folder.rglob("*.yaml")):
            text = file.read_text(encoding="utf-8")
            node = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            is_global = text.startswith("# @package _global_")
            for key, target in _targets("", node if is_global else {folder.name: node}):
                if key.partition(".")[0] == folder.name:
                    found.setdefault(key, set()).add(target)
    return {key: frozenset(names) for key, names in found.items()}


def name_fault(key: str, target: Any, trusted: Sequence[str] = ()) -> str | None:
    """Why a name may not be called at a key of the config; None if it may.

    Only packages that are trusted are imported to find out, and only where no source tells.

    Args:
        key: where the name stands, as `model` or `trainer.bptt`, without `_target_`.
        target: a dotted name.
        trusted: packages that the caller trusts.
    """
    group = key.partition(".")[0].partition("[")[0]
    ours = _ours(key, group)
    if isinstance(target, str) and (target in ours or _is_pytorch(key, target)):
        return None
    allowed = [*sorted(ours), *([f"each {PYTORCH[key]} of {TORCH}"] if key in PYTORCH else [])]
    of_trusted = [name for name in trusted if name.partition(".")[0] != "seqexp"]
    if of_trusted:
        allowed.append(f"what is defined in {', '.join(of_trusted)}")
    nothing = THEIRS if group in (*OWN_CODE, "task") else "no names here"
    told = f"{key}.{TARGET} is {repr(target)[:200]}"
    if not isinstance(target, str) or not _begins(target, of_trusted):
        return f"{told}; allowed are {', '.join(allowed) or nothing}"
    module = _defined_in(target)
    if module is None:
        return f"{told}, and there is no such class or function in a module"
    if _begins(f"{module}.", of_trusted):
        return None
    return f"{told}, which is defined in {module}; allowed are {', '.join(allowed)}"


def refuse_other_code(config: Mapping[str, Any], source: str, trusted: Sequence[str]) -> None:
    """Refuse a stored config that would call anything else.

    Of packages that are not trusted, nothing is imported to find out.

    Args:
        config: groups by name.
        source: where it was stored, for the message.
        trusted: packages that the caller trusts; those that the config names count for nothing.

    Raises:
        InputError: naming the key, its target and what is allowed.
    """
    for key, name in _instructions("", config):
        raise InputError(f"{source}: {key} holds {name!r}, an instruction of Hydra's; remove it")
    for key, target in _targets("", config):
        fault = name_fault(key, target, trusted) or _object_fault(key, target, trusted)
        if fault is not None:
            package = package_of(target, trusted)
            hint = f"; if you trust its code, add trusted={package}" if package else ""
            raise InputError(f"{source}: {fault}{hint}")


def package_of(target: Any, trusted: Sequence[str] = ()) -> str | None:
    """The package of a name that may be the user's own, where it is not trusted yet."""
    package = str(target).partition(".")[0]
    others = ("seqexp", "torch", *trusted, *sys.stdlib_module_names)
    return package if package.isidentifier() and package not in others else None


def _ours(key: str, group: str) -> frozenset[str]:
    """Our targets that a key may name; for a key that is not ours, those of its group."""
    names = offered()
    if key in names or key == group:
        return names.get(key, frozenset())
    return frozenset().union(*(n for k, n in names.items() if k.partition(".")[0] == group))


def _is_pytorch(key: str, target: str) -> bool:
    if key not in PYTORCH or not _begins(target, (TORCH,)):
        return False
    defined = home(target)
    return (
        defined is not None
        and defined[1]
        and _begins(f"{defined[0]}.", (TORCH,))
        and derives(target, PYTORCH[key])
    )


def _targets(key: str, node: Any) -> Iterator[tuple[str, Any]]:
    """Each name to be called, with the key where it stands."""
    if isinstance(node, Mapping):
        if TARGET in node:
            yield key, node[TARGET]
        for name, value in node.items():
            yield from _targets(f"{key}.{name}" if key else str(name), value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _targets(f"{key}[{place}]", value)


def _instructions(key: str, node: Any) -> Iterator[tuple[str, str]]:
    """Keys that mean something to Hydra: `_args_`, `_partial_`, `_recursive_`, `_convert_`."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            if str(name).startswith("_") and name != TARGET:
                yield key or "it", str(name)
            yield from _instructions(f"{key}.{name}" if key else str(name), value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _instructions(f"{key}[{place}]", value)


def _defined_in(target: str) -> str | None:
    """Module that defines a name of a trusted package; None if there is none."""
    defined = home(target)
    return _imported_from(target) if defined is None else defined[0]


def _imported_from(target: str) -> str | None:
    """`_defined_in` from the object itself; a class, an instance or `os` has no module."""
    module, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception:  # whatever a module does when it is imported: nothing can be called then
        return None
    while isinstance(found, functools.partial):
        found = found.func
    return str(getattr(found, "__module__", None) or type(found).__module__)


def _object_fault(key: str, target: str, trusted: Sequence[str]) -> str | None:
    """The law once more, of the object: a source may bind a name twice."""
    if not _begins(target, trusted) or target in _ours(key, key.partition(".")[0]):
        return None
    module = _imported_from(target)
    if module is not None and _begins(f"{module}.", trusted):
        return None
    return f"{key}.{TARGET} is {target!r}, which is defined in {module}, and that is not trusted"


def _begins(name: str, packages: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in packages)
