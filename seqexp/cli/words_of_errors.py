"""Errors of Hydra, OmegaConf and YAML, in the words of the person who typed the command."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.errors import OverrideParseException

from seqexp.cli.arguments import config_roots, options_of
from seqexp.config.groups import CONF
from seqexp.config.typed import KEY, pieces
from seqexp.errors import ConfigError, InputError
from seqexp.utils.nearest import CLOSE_OPTION, did_you_mean

EXTRAS = {"submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Hydra's name of a launcher -> our extra that installs it."""

PACKAGE = "# @package _global_"
"""First line of an experiment, without which its keys stand below `experiment`."""

_NOTHING = None
"""Stands for what is not there; null is as good as that."""

GROUP_FAULT = re.compile(r"(experiment: unknown|\w+ is '[^']*'; choose one on the command line)")
"""Faults of the config check that an experiment file without its form causes."""


def explain(error: Exception, arguments: Sequence[str] = ()) -> str:
    """One message from Hydra's, OmegaConf's, YAML's and our own errors.

    Args:
        error: what was raised.
        arguments: of the command line, as they were typed.
    """
    ours: BaseException | None = error
    while ours is not None:  # what a resolver raises comes wrapped in OmegaConf's errors
        if isinstance(ours, ConfigError):
            return _explain_faults(ours, arguments)
        if isinstance(ours, InputError):
            return str(ours)
        ours = ours.__cause__ or ours.__context__
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    files = [*Origins(arguments).experiments()]
    faults = [fault for file in files for fault in form_faults(file)]
    if faults:
        return "\n  ".join(faults)
    if isinstance(error, yaml.YAMLError):
        return _of_yaml(error)
    return _of_hydra(error, arguments)


def _unreadable(override: str) -> str:
    """The words to type for an override that Hydra cannot read."""
    bare = override.lstrip("+")
    parts = KEY.fullmatch(bare)
    if parts is None:
        return f"{shlex.quote(bare)}: cannot be read; write KEY=VALUE, as trainer.epochs=3"
    quoted = shlex.quote(f'{parts[2]}="{parts[3]}"')
    return f"{shlex.quote(bare)}: its value cannot be read; if it is a text, write {quoted}"


def _of_yaml(error: yaml.YAMLError) -> str:
    """File, line and problem of a file that is no YAML."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return f"a file of configs is no YAML: {problem}"
    if "\\t" in problem:
        problem = "a tab indents here; YAML takes blanks only"
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: {problem}"


def _of_hydra(error: Exception, arguments: Sequence[str]) -> str:
    said = [line for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__ or "").splitlines()
    if cause and cause[0] not in said:
        said.append(cause[0])
    text = "\n  ".join(
        line.strip()
        for line in said
        if not re.match(r"To append to your config|\s*(full_key|object_type|reference_type)", line)
    )
    missing = re.search(r"Could not find '([\w-]+)/([^']+)'", text)
    if missing:
        return _missing_option(missing[1], missing[2], arguments)
    several = re.match(
        r"Ambiguous value for argument '(.+?)=(.*)'$|.*'(.+?)=(.*)' requires", said[0]
    )
    if several:
        key, value = [item for item in several.groups() if item is not None][:2]
        return _several_values(key.lstrip("+"), value)
    name = next(
        (value for flag, value in _pairs(arguments) if flag in ("--config-name", "-cn")), ""
    )
    if name and "Cannot find primary config" in text:
        places = " or ".join(map(str, config_roots(arguments)))
        return f"--config-name is {name}: there is no {name}.yaml in {places}"
    return text


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    for word, following in zip(arguments, [*arguments, ""][1:], strict=True):
        flag, equals, value = word.partition("=")
        yield (flag, value) if equals else (word, following)


def _several_values(key: str, value: str) -> str:
    line = shlex.quote(f"{key}={value}")
    return f"{line}: several values are for a sweep; add -m (or write {key}=[{value}] for a list)"


def _missing_option(group: str, option: str, arguments: Sequence[str]) -> str:
    """An option that no file is named by, or a package that a launcher needs."""
    if option.removeprefix("launcher/") in EXTRAS:
        extra = EXTRAS[option.removeprefix("launcher/")]
        return f"launcher={extra}: a package is missing; pip install 'seqexp[{extra}]'"
    known = options_of(config_roots(arguments), group)
    line = shlex.quote(f"{group}={option}")
    parts = [item.strip() for item in pieces(option)]
    if len(parts) > 1 and all(item in known for item in parts):
        return f"{line}: several options are for a sweep; add -m"
    hint = did_you_mean(option, known, close=CLOSE_OPTION)
    there_are = f"{' T' if hint else '; t'}here are {', '.join(known)}"
    return f"{line}: there is no such option{hint}{there_are}"


# --- faults of the config check ---------------------------------------------------------------


def _explain_faults(error: ConfigError, arguments: Sequence[str]) -> str:
    """The message with the file that each key is set in, where it was not typed."""
    origins = Origins(arguments)
    try:
        form = [fault for file in origins.experiments() for fault in form_faults(file)]
        others = [f for f in error.faults if not (form and GROUP_FAULT.match(f))]
        others = [f for f in others if not origins.is_copy(f, others)]
        told = [*form, *(f"{fault}{origins.told(fault)}" for fault in others)]
    except (OSError, ValueError, yaml.YAMLError):  # the faults themselves are what matters
        told = [*error.faults]
    return str(ConfigError(told, error.where))


class Origins:
    """Which file sets a key, as far as the command line tells.

    Args:
        arguments: as they were typed.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self.roots = config_roots(arguments)
        found = [parts.groups() for parts in map(KEY.fullmatch, arguments) if parts]
        self.typed = {key: value for _, key, value in found}

    def experiments(self) -> list[Path]:
        """The files of the experiments that were chosen."""
        return self._files("experiment", self.typed.get("experiment", ""))

    def told(self, fault: str) -> str:
        """`   (set in FILE)`, where a fault's key is set in a file and not on the command line."""
        key = re.match(r"[A-Za-z_][\w.-]*", fault)
        if key is None or key[0] in self.typed:
            return ""
        file = self.file(key[0])
        return f"   (set in {shown(file)})" if file is not None else ""

    def is_copy(self, fault: str, faults: Sequence[str]) -> bool:
        """Whether a fault is that of another key, whose value this one takes over."""
        key = fault.partition(" ")[0]
        file = self.file(key) if key not in self.typed else None
        if file is None:
            return False
        content = _content(file)
        value = _value(content, key) or _value(content, key.partition(".")[2])
        source = re.fullmatch(r"\$\{([\w.]+)\}", str(value))
        return source is not None and any(f.startswith(f"{source[1]} ") for f in faults)

    def file(self, key: str) -> Path | None:
        """The file that sets a key last: an experiment, an option of its group, or the base."""
        group, _, rest = key.partition(".")
        for file in self.experiments():
            if _holds(_content(file), key):
                return file
        option = self.typed.get(group) or self._chosen(group)
        waiting = self._files(group, option) if option and rest else []
        while waiting:
            file = waiting.pop(0)
            content = _content(file)
            if _holds(content, rest) or _holds(content, key):
                return file
            below = [item for item in content.get("defaults") or [] if isinstance(item, str)]
            waiting += [found for item in below for found in self._files(group, item)]
        return CONF / "config.yaml" if _holds(_content(CONF / "config.yaml"), key) else None

    def _chosen(self, group: str) -> str | None:
        """The option of a group by an experiment, or by default."""
        for file in [*self.experiments(), CONF / "config.yaml"]:
            for item in _content(file).get("defaults") or []:
                for name, option in item.items() if isinstance(item, Mapping) else ():
                    if str(name).removeprefix("override ").strip().lstrip("/") == group:
                        return str(option)
        return None

    def _files(self, group: str, options: str) -> list[Path]:
        return [
            root / group / f"{option.strip()}.yaml"
            for option in options.split(",")
            for root in reversed(self.roots)
            if option.strip() and (root / group / f"{option.strip()}.yaml").is_file()
        ]


def shown(file: Path) -> str:
    """A config file's name: ours below `conf`, others as they are reached from here."""
    if file.is_relative_to(CONF):
        return f"seqexp's conf/{file.relative_to(CONF)}"
    return str(file)


def _content(file: Path) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content if isinstance(content, dict) else {}


def _holds(node: Any, key: str) -> bool:
    """Whether a dotted key stands in a file."""
    return _value(node, key) is not _NOTHING


def _value(node: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return _NOTHING
        node = node[part]
    return node


# --- the form of an experiment file -----------------------------------------------------------


def form_faults(file: Path) -> list[str]:
    """Why a file is no experiment; the config check looks at its values."""
    where = shown(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
        content = yaml.compose(text, yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        return [f"{where}: cannot be read ({error})"]
    except yaml.YAMLError as error:
        return [_of_yaml_in(where, text, error)]
    faults = []
    if not re.search(rf"^{re.escape(PACKAGE)}\s*$", _head(text), re.M):
        faults.append(f"{where}: begins without {PACKAGE!r}; write that as its first line")
    if content is not None and not isinstance(content, yaml.MappingNode):
        return [*faults, f"{where}: is {_kind(content)}; write lines of KEY: VALUE"]
    pairs = content.value if content is not None else []
    return [*faults, *(fault for fault in _pair_faults(where, pairs, ""))]


def _head(text: str) -> str:
    """The comments before the first line that is none."""
    lines = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            break
        lines.append(line)
    return "\n".join(lines)


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else f"the text {node.value!r}"


def _of_yaml_in(where: str, text: str, error: yaml.YAMLError) -> str:
    lines = text.splitlines()
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{where}: {str(error).splitlines()[0]}"
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        problem = "a tab indents here; YAML takes blanks only"
    else:
        problem = getattr(error, "problem", None) or "is no YAML"
    return f"{where}, line {mark.line + 1}: {problem}"


def _pair_faults(
    where: str, pairs: Sequence[tuple[yaml.Node, yaml.Node]], below: str
) -> Iterator[str]:
    groups = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
    seen = set()
    for name, value in pairs:
        key, line = str(name.value), name.start_mark.line + 1
        place = f"{where}, line {line}"
        if key in seen:
            yield f"{place}: {below}{key} stands twice"
        seen.add(key)
        if not below and key == "defaults":
            yield from _defaults_faults(where, value, groups)
        elif not below and key in groups and isinstance(value, yaml.ScalarNode):
            if value.value not in ("", "null", "~"):
                yield (
                    f"{place}: {key} is {value.value}; write it in the list of defaults, as"
                    f" '- override /{key}: {value.value}'"
                )
        elif "." in key and not below:
            outer, _, inner = key.partition(".")
            yield f"{place}: {key} has a dot; write it as {outer}: {{{inner}: ...}}"
        if isinstance(value, yaml.MappingNode):
            yield from _pair_faults(where, value.value, f"{below}{key}.")


def _defaults_faults(where: str, node: yaml.Node, groups: set[str]) -> Iterator[str]:
    if not isinstance(node, yaml.SequenceNode):
        line = node.start_mark.line + 1
        yield f"{where}, line {line}: defaults has to be a list, as '- override /model: lstm'"
        return
    for item in node.value:
        if not isinstance(item, yaml.MappingNode):
            continue  # another experiment, or _self_
        for name, option in item.value:
            words = str(name.value).split()
            group = words[-1].lstrip("/") if words else ""
            place = f"{where}, line {name.start_mark.line + 1}: {name.value}: {option.value}"
            line = f"'- override /{group}: {option.value}'"
            if group not in groups:
                if "@" not in group and not group.startswith("hydra"):
                    hint = did_you_mean(group, groups) or f"; there are {', '.join(sorted(groups))}"
                    yield f"{place}: there is no group {group}{hint}"
            elif words[0] != "override" or not words[-1].startswith("/"):
                yield f"{place}: {group} is chosen already; write {line}"
