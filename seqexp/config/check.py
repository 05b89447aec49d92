"""The config check: every fault of a composition, in one message, before any work.

What is allowed is read from the constructors that the config names (their keys, types and ranges,
see `seqexp.config.signature`), so that nothing is declared twice. Rules over several keys are the
functions in `check.py` of four rooms (see `seqexp.utils.rules`). None of them imports torch.
"""

import functools
import inspect
import json
import re
import shlex
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types as limits
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from seqexp.config.experiments import Others
from seqexp.config.groups import (
    CONF,
    OPTIONAL_GROUPS,
    OWN_CODE,
    OWN_LOSS,
    SUPPLIED,
    WORDS,
    Config,
)
from seqexp.config.own import own_measures, own_parameters, with_own
from seqexp.config.signature import (
    Parameter,
    Signature,
    TargetError,
    constants,
    signature,
    signature_by_source,
    told,
)
from seqexp.config.trust import TARGET, name_fault, package_of
from seqexp.dataset import check as dataset_check
from seqexp.errors import ConfigError
from seqexp.metrics import METRICS, declare, of_own, without_name
from seqexp.model import check as model_check
from seqexp.ranges import Count, NotNegative, Positive, Rate, Seed
from seqexp.tracking import check as tracking_check
from seqexp.trainer import check as trainer_check
from seqexp.utils.nearest import CLOSE_OPTION, did_you_mean, nearest
from seqexp.utils.old_names import with_new_targets
from seqexp.utils.rules import CONSTANTS, Faults

Rule = Callable[..., Faults]

NO_OTHERS: Others = types.MappingProxyType({})

OURS = "seqexp."

SECTIONS = ("paths", "task")
"""Keys beside the groups that hold keys of their own."""

LATER = ("task", *OWN_CODE, *WORDS)
"""Keys that runs of earlier versions do not have."""

_TORCH_RANGES: dict[str, Any] = {
    # torch.optim annotates no ranges; these are the ones that its constructors raise on
    "lr": Annotated[float, limits.Interval(ge=0, le=1000)],  # far above, a step overflows
    "momentum": NotNegative,
    "weight_decay": NotNegative,
    "lr_decay": NotNegative,
    "eps": NotNegative,
    "dampening": NotNegative,
    "alpha": NotNegative,
    "betas": tuple[Rate, Rate],
    "gamma": Positive,
}


@dataclass(frozen=True)
class Paths:
    """Where files go."""

    outputs: str
    data: str


@dataclass(frozen=True)
class Scoring:
    """The section `task`: choices that the kinds of task have."""

    class_weights: Literal["none", "balanced"] | list[Positive] = "none"
    loss: Literal["gaussian", "huber", "poisson"] = "gaussian"


@dataclass(frozen=True)
class Root:
    """The keys beside the groups."""

    seed: Seed
    experiment_name: str | None
    optimized_metric: str
    trusted_packages: list[str]
    seeds: Count | None
    force: bool
    dry_run: bool | Literal["timed"]
    metrics: dict[str, Any] = field(default_factory=dict)
    callbacks: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, Any] = field(default_factory=dict)
    notes: str | None = None


def check(config: DictConfig, where: str = "", others: Others = NO_OTHERS) -> Config:
    """Resolve a composition, add our constructors' defaults, and refuse it if anything is wrong.

    Args:
        config: the composition.
        where: words behind "the configuration", in a message.
        others: what an experiment gives to options that were not chosen: no faults.

    Raises:
        ConfigError: with every fault: unknown keys (and the nearest name), missing keys, wrong
            types and ranges, targets that may not be called, impossible combinations.
    """
    plain, faults = _resolve(config)
    if faults:
        raise ConfigError(faults, where)
    return check_resolved(_without(plain, set_aside(plain, others)), where)


def check_resolved(plain: Config, where: str = "") -> Config:
    """`check` for a resolved config: in it, `${...}` is a text like any other.

    Afterwards this process knows the metrics of its own that the config has.

    Raises:
        ConfigError: as `check`.
    """
    plain = with_new_targets(plain, is_said=True)
    faults = list(find_faults(plain))
    if faults:
        raise ConfigError(faults, where)
    declare(own_measures(plain))
    return _completed(plain)


def find_faults(config: Config) -> Iterator[str]:
    """Every fault of a resolved composition, in the order of its keys."""
    broken: set[str] = set()
    for name, faults in _faults_by_part(config):
        for fault in faults:
            broken.add(name)
            yield fault
    # a part at fault is not looked at again: its target may be one that must not be imported
    sound = _completed({key: node for key, node in config.items() if key not in broken})
    sound = {**{key: {} for key in OWN_CODE if key not in broken}, **sound}
    for rule, names in rules().items():
        if all(sound.get(name) if name in SUPPLIED else name in sound for name in names):
            yield from rule(*(_as_read(sound[name]) for name in names))


@functools.cache
def rules() -> dict[Rule, tuple[str, ...]]:
    """The public functions of the rooms' `check.py`, and what each reads: its arguments' names."""
    found = [
        function
        for room in (dataset_check, model_check, tracking_check, trainer_check)
        for name, function in vars(room).items()
        if inspect.isfunction(function)
        and function.__module__ == room.__name__
        and not name.startswith("_")
    ]
    return {function: tuple(inspect.signature(function).parameters) for function in found}


def _as_read(node: Any) -> Any:
    """A group as a rule reads it: with the plain values of its class."""
    if not isinstance(node, Mapping):
        return node
    return {**node, CONSTANTS: constants(node[TARGET])} if TARGET in node else node


def _completed(config: Config) -> Config:
    """The config with the defaults of our own constructors, so that a record of it is whole."""
    whole = {
        key: _with_own(key, _with_defaults(node, SUPPLIED[key]))
        if key in SUPPLIED and node
        else node
        for key, node in config.items()
        if key not in OWN_CODE
    }
    for section, supplied in OWN_CODE.items():
        if config.get(section):  # one that is empty is as one of an earlier version, without it
            nodes = config[section].items()
            whole[section] = {
                name: _with_own(f"{section}.{name}", _with_defaults(node, supplied))
                for name, node in nodes
            }
    task = {**asdict(Scoring()), **(config.get("task") or {})}
    return {**whole, "task": {**task, "loss": _with_defaults(task["loss"], OWN_LOSS)}}


def _with_defaults(node: Any, supplied: frozenset[str]) -> Any:
    if not isinstance(node, Mapping) or str(node.get("_target_", "torch.")).startswith("torch."):
        return node
    try:
        found = signature(node["_target_"]).parameters
    except TargetError:
        return node
    defaults = {
        name: list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        for name, parameter in found.items()
        if name not in supplied and not parameter.required
    }
    return {**defaults, **{key: _with_defaults(value, frozenset()) for key, value in node.items()}}


def set_aside(config: Mapping[str, Any], others: Others = NO_OTHERS) -> dict[str, list[str]]:
    """Keys of each group that are not meant for its option, which has no such key or value.

    An experiment gives values for options of its own, which another one may not have. A model that
    shares hardly a key with others says by `sets_others_aside` that it does without theirs.

    Args:
        config: a composition.
        others: what an experiment gives to options that were not chosen.
    """
    found = {group: _not_for(group, config.get(group), others.get(group)) for group in SUPPLIED}
    return {group: keys for group, keys in found.items() if keys}


def _not_for(group: str, node: Any, given: frozenset[str] | None) -> list[str]:
    """Keys of a group that some other option has, and this one has not, or not their values.

    A model that takes no keys of others starts from no run either, where that is given for others.
    """
    if not isinstance(node, Mapping):
        return []
    if TARGET not in node:  # `interpret=none`: the experiment's settings are all that is there
        return [str(key) for key in node if key in (given or ())]
    if not isinstance(target := node[TARGET], str):
        return []
    takes_no_others = target.startswith(OURS) and constants(target).get("sets_others_aside")
    if given is None and not takes_no_others:
        return []
    try:
        own = with_own(group, signature(target)).parameters
    except TargetError:  # a fault, which is said
        return []
    known: set[str] = set()
    for targets in _offered(group).values():
        option = signature_by_source(targets[0])
        known |= set(option.parameters if option is not None else ())
    ours = own_parameters(group)  # of which a wrong value is a fault, whoever it is for
    meant = known if takes_no_others else known & (given or frozenset())
    foreign = [str(key) for key in node if key in meant and key not in own]
    foreign += [
        str(key) for key in node if key in ours and takes_no_others and key in (given or ())
    ]
    taken = [key for key in given or () if key in own and key in node and key not in ours]
    return foreign + [key for key in taken if not _fits(node[key], own[key])]


def _fits(value: Any, parameter: Parameter) -> bool:
    """Whether an argument takes a value; a part with a target of its own is looked at later."""
    return _contains_target(value) or not any(value_faults("", value, parameter.annotation))


def _without(plain: Config, aside: Mapping[str, Sequence[str]]) -> Config:
    """The composition without what is set aside; nothing is left of `none`."""
    less = {
        group: {key: value for key, value in plain[group].items() if key not in keys} or None
        for group, keys in aside.items()
    }
    return {**plain, **less}


def _with_own(key: str, node: Any) -> Any:
    """A group with the defaults of the keys that seqexp reads itself."""
    if not isinstance(node, Mapping):
        return node
    return {**{name: p.default for name, p in own_parameters(key).items()}, **node}


def _resolve(config: DictConfig) -> tuple[Config, list[str]]:
    """Plain values of a composition, or what keeps it from having them."""
    try:
        missing = sorted(OmegaConf.missing_keys(config))
        if missing:
            return {}, [f"{key}: has no value (???); give one" for key in missing]
        plain = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        key = error.full_key or "the configuration"
        return {}, [f"{key}: {str(error.msg or error).splitlines()[0]}"]
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}, []


def _faults_by_part(config: Config) -> Iterator[tuple[str, Iterable[str]]]:
    root = signature(f"{Root.__module__}.{Root.__qualname__}")
    known = [*root.parameters, *SUPPLIED, *SECTIONS]
    trusted = _strings(config.get("trusted_packages"))
    for key, value in config.items():
        if key in OWN_CODE:
            yield key, _own_faults(key, value, OWN_CODE[key], trusted)
        elif key in root.parameters:
            yield key, value_faults(key, value, root.parameters[key].annotation)
        elif key == "paths":
            paths = signature(f"{Paths.__module__}.{Paths.__qualname__}")
            yield key, _argument_faults(key, value, paths, frozenset(), ())
        elif key == "task":
            section = signature(f"{Scoring.__module__}.{Scoring.__qualname__}")
            yield key, _argument_faults(key, value, section, frozenset(), trusted)
        elif key not in SUPPLIED:
            hint = did_you_mean(key, known, _leaves(config)) or f"; known are {', '.join(known)}"
            yield key, [f"{key}: unknown{hint}"]
        elif value is not None or key not in OPTIONAL_GROUPS:
            yield key, _node_faults(key, value, SUPPLIED[key], trusted)
    for key in known:
        if key not in config and key not in LATER:
            yield key, [f"{key}: missing; give it a value"]
    metric, own = config.get("optimized_metric"), own_measures(config)
    names = [*METRICS, *(name for measure in own for name in of_own(measure))]
    if isinstance(metric, str) and metric not in names and without_name(metric) not in METRICS:
        hint = did_you_mean(metric, names) or f"; give one of {', '.join(names)}"
        yield "optimized_metric", [f"optimized_metric is {metric!r}: no such metric{hint}"]


def _own_faults(
    section: str, value: Any, supplied: frozenset[str], trusted: Sequence[str]
) -> Iterator[str]:
    """Faults of a section that names classes and functions of a user's own."""
    if not isinstance(value, Mapping):
        yield f"{section} is {value!r}; give a mapping, as {{NAME: {{{TARGET}: my_lab.Mine}}}}"
        return
    for name, node in value.items():
        key = f"{section}.{name}"
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,49}", str(name)):
            yield (
                f"{key}: give a name of letters, digits and _ that begins with a letter, of at most"
                " 50"
            )
        elif section == "metrics" and any(one in METRICS for one in of_own(str(name))):
            yield f"{key}: seqexp has a metric of this name; give another"
        elif not isinstance(node, Mapping) or not isinstance(node.get(TARGET), str):
            yield f"{key} is {node!r}; give a mapping with your class, as {TARGET}: my_lab.Mine"
        else:
            yield from _node_faults(key, node, supplied, trusted)


def _node_faults(
    key: str, node: Any, supplied: frozenset[str], trusted: Sequence[str]
) -> Iterator[str]:
    """Faults of a part of the config that names a class or function by `_target_`."""
    if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
        yield f"{key} is {node!r}; choose one on the command line, as {key}=NAME"
        return
    target = node["_target_"]
    try:
        fault = name_fault(key, target, trusted)
    except Exception as error:  # whatever the user's module does when it is imported
        fault = f"{key}.{TARGET} is {target!r}, which cannot be imported ({told(error)})"
    if fault is not None:
        package = package_of(target, trusted)
        hint = f" (add your package, as trusted_packages=[{package}])" if package else ""
        yield f"{fault}{hint}"
        return
    try:
        found = signature(target)
    except TargetError as error:
        yield f"{key}._target_ is {target!r}: {error}"
        return
    yield from _argument_faults(key, node, with_own(key, found), supplied, trusted)


def _argument_faults(
    key: str,
    node: Any,
    found: Signature,
    supplied: frozenset[str],
    trusted: Sequence[str],
) -> Iterator[str]:
    if not isinstance(node, Mapping):
        yield f"{key} is {node!r}; give a mapping of {', '.join(found.parameters)}"
        return
    is_torch = str(node.get("_target_", "")).startswith("torch.")
    allowed = {name: p for name, p in found.parameters.items() if name not in supplied}
    for name, value in node.items():
        path = f"{key}.{name}"
        if name == TARGET:
            continue
        if name in supplied:
            yield f"{path}: seqexp gives this itself; remove it"
        elif name not in allowed:
            why = _does_without(node, key, str(name))
            if why is not None:
                yield from why
            elif not found.takes_any:
                yield f"{path}: unknown{_hint(key, str(name), node, allowed)}"
        elif isinstance(value, Mapping) and "_target_" in value:
            given = OWN_LOSS if path == "task.loss" else frozenset()
            yield from _node_faults(path, value, given, trusted)
        else:
            yield from value_faults(path, value, _annotation(allowed[name], name, is_torch))
    for name, parameter in allowed.items():
        if parameter.required and name not in node:
            yield f"{key}.{name}: missing; give {describe(parameter.annotation)}{_given(key)}"


def _given(key: str) -> str:
    """The arguments that seqexp passes to a part of a user's own, in words."""
    given = OWN_LOSS if key == "task.loss" else OWN_CODE.get(key.partition(".")[0], ())
    return f" (seqexp itself gives {', '.join(sorted(given))}, by name)" if given else ""


def _does_without(node: Mapping[str, Any], group: str, name: str) -> list[str] | None:
    """Why a class has no such key, where it says so by `does_without`: reasons by key.

    That of `folds` is one of `fold` and `fold_by` too, and is said once.
    """
    target = node.get(TARGET)
    reasons = constants(target).get("does_without", {}) if isinstance(target, str) else {}
    family = ("folds", "fold", "fold_by")
    meant = family[0] if name in family else name
    if meant not in reasons:
        return None
    if name != meant and meant in node:
        return []
    return [f"{group}.{name}: {str(target).rpartition('.')[2]} has none: {reasons[meant]}"]


def _hint(key: str, name: str, node: Mapping[str, Any], allowed: Iterable[str]) -> str:
    """The likely meaning of an unknown key: the options that have it, and the nearest key here."""
    known = f"; known are {', '.join(allowed)}" if allowed else "; it has no keys"
    meant = did_you_mean(name, allowed) or known
    offered = _offered(key)
    have = []
    for option, targets in offered.items():
        found = signature_by_source(targets[0])
        names = found.parameters if found is not None else {}
        same = name if name in names or allowed else nearest(name, names)
        if same in names:
            have.append(f"{key}={option}" + (f" has {same}" if same != name else ""))
    if not have:
        return meant
    chosen = [option for option, targets in offered.items() if targets[0] == node.get(TARGET)]
    here = f" for {key}={chosen[0]}" if chosen else ""
    verb = "" if " has " in have[-1] else " has it" if len(have) == 1 else " have it"
    return f"{here}; {' and '.join([', '.join(have[:-1]), have[-1]][not have[:-1] :])}{verb}{meant}"


@functools.cache
def _offered(group: str) -> dict[str, list[str]]:
    """Option -> the targets that its file names, its own first."""
    files = sorted((CONF / group).rglob("*.yaml")) if group in SUPPLIED else []
    found = {
        str(file.relative_to(CONF / group).with_suffix("")): _targets_in(file) for file in files
    }
    return {option: targets for option, targets in found.items() if targets}


def _targets_in(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8")
    return re.findall(rf"^ *{TARGET}: *([\w.]+)", text, re.M)


def _annotation(parameter: Parameter, name: str, is_torch: bool) -> Any:
    return _TORCH_RANGES.get(name, parameter.annotation) if is_torch else parameter.annotation


@functools.cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation, config=ConfigDict(arbitrary_types_allowed=True))


def value_faults(key: str, value: Any, annotation: Any) -> Iterator[str]:
    """Faults of one value against the type and range of its argument."""
    if isinstance(value, Mapping | list) and _contains_target(value):
        yield f"{key}: a _target_ may not stand here"
        return
    if annotation is Any:
        return
    try:
        # through JSON: a YAML list may fill a tuple, but "3" is no integer and true is no number
        _adapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        own = [e for e in error.errors() if e["type"] == "value_error"]
        if own:
            yield f"{key} is {value!r}: {own[0]['ctx']['error']}"
        else:
            choices = _choices(annotation)
            is_text = isinstance(value, str)
            hint = did_you_mean(value, choices, close=CLOSE_OPTION) if is_text else ""
            wanted = describe(annotation)
            if wanted.startswith("a text") and isinstance(value, int | float) and not hint:
                hint = "; as one write " + shlex.quote(f'{key}="{json.dumps(value)}"')
            if wanted.startswith("a list (") and isinstance(value, str | int | float):
                hint = f", as {shlex.quote(f'{key}=[{value}]')}"
            yield f"{key} is {value!r}; give {wanted}{hint}"


def _contains_target(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(_contains_target(item) for item in value.values())
    return isinstance(value, list) and any(_contains_target(item) for item in value)


def describe(annotation: Any) -> str:
    """The values of a type, in words: `an integer from 1 to 65536`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return describe(arguments[0]) + _describe_limits(arguments[1:])
    if origin is typing.Literal:
        return "one of " + ", ".join(str(item) for item in arguments)
    if origin in (typing.Union, types.UnionType):
        known = [a for a in arguments if getattr(a, "__name__", "") != "UnknownType"]
        part = [] if len(known) == len(arguments) else ["a mapping of its own keys"]
        return " or ".join([*part, *(describe(item) for item in known)])
    if origin is tuple and arguments[-1] is not Ellipsis:
        return "a list of " + " and ".join(describe(item) for item in arguments)
    if origin is dict and arguments[1] is Any:
        return "a mapping of names, as {owner: ann}"
    if origin is dict:
        return f"a mapping ({describe(arguments[1])} each)"
    if origin is not None and arguments:
        return f"a list ({describe(arguments[0])} each)"
    words = {int: "an integer", float: "a number", bool: "true or false", str: "a text"}
    words |= {type(None): "null", Path: "a path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _describe_limits(metadata: Sequence[Any]) -> str:
    """`from 1 to 9`, `>= 0`, `above 0 and below 1`: a limit at infinity only means finite."""
    found: dict[str, Any] = {}
    for item in metadata:
        for name in ("ge", "gt", "le", "lt"):
            if isinstance(item, limits.Interval | limits.Ge | limits.Gt | limits.Le | limits.Lt):
                limit = getattr(item, name, None)
                if limit is not None and limit != float("inf"):
                    found[name] = limit
    if {"ge", "le"} <= found.keys():
        return f" from {found['ge']} to {found['le']}"
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    return "".join(
        f"{' and' if index else ''} {words[name]} {limit}"
        for index, (name, limit) in enumerate(found.items())
    )


def _choices(annotation: Any) -> list[str]:
    """The strings that an annotation lists by name, wherever it lists them."""
    if typing.get_origin(annotation) is typing.Literal:
        return [item for item in typing.get_args(annotation) if isinstance(item, str)]
    return [choice for item in typing.get_args(annotation) for choice in _choices(item)]


def _leaves(config: Mapping[str, Any]) -> list[str]:
    return [
        f"{group}.{key}"
        for group, node in config.items()
        if isinstance(node, Mapping)
        for key in node
        if key != TARGET
    ]


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
