"""Values as they are typed: what Hydra's grammar would refuse or change is put in quotation marks.

Where an option is a text or a path by its constructor's annotation, its value is the text that
stands after the `=`, with blanks, commas and signs. A sweep (`-m`) still separates its values by
commas.
"""

import re
import shlex
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqexp.config.own import own_parameters
from seqexp.config.signature import UnknownType, signature_by_source
from seqexp.tracking import check as tracking_rules  # noqa: F401  (its resolver)

KEY = re.compile(r"(\+{0,2})([A-Za-z_$][\w$.@:/-]*)=(.*)", re.DOTALL)
"""An override that gives a value: plus signs, key, value."""

PLAIN = re.compile(r"[A-Za-z_./-][A-Za-z0-9_./@+-]*")
"""A value that Hydra reads as the text that it is, unless it is a number or one of `WORDS`."""

WORDS = ("true", "false", "null", "inf", "nan")

FUNCTION = re.compile(r"(choice|range|glob|interval|tag|sort|shuffle|int|float|str|bool)\s*\(")
"""The beginning of a function of Hydra's, which has its meaning in a sweep."""

BRACKETS = {"(": ")", "[": "]", "{": "}"}

SHELLS = re.compile(r"[^\w@%+=:,./\[\]-]|=~|^~", re.ASCII)
"""What a shell would not leave as it is; brackets alone it does."""

TAG, NOTES = "tags.", "notes"
"""Keys of words that a person says of a run: whatever stands there is a text."""

ROOT = "seqexp.config.check.Root"
SECTIONS = {"paths": "seqexp.config.check.Paths", "task": "seqexp.config.check.Scoring"}


class Kinds:
    """The types of a key: annotations of its options' constructors, read from source.

    Args:
        roots: folders of config groups.
        arguments: of the command line; those that choose options narrow what a key may be.
    """

    def __init__(self, roots: Sequence[Path], arguments: Sequence[str]) -> None:
        self.roots = roots
        self.groups = {path.name for root in roots if root.is_dir() for path in root.iterdir()}
        pairs = [found.groups()[1:] for found in map(KEY.fullmatch, arguments) if found]
        self.chosen: Mapping[str, str] = {key: value for key, value in pairs if key in self.groups}

    def annotations(self, key: str) -> list[Any]:
        """Types of the option at a dotted key; none where no source tells."""
        group, dot, name = key.partition(".")
        if name in own_parameters(group):
            return [own_parameters(group)[name].annotation]
        of_group = [SECTIONS[group]] if group in SECTIONS else self._targets(group)
        targets = of_group if dot else [ROOT]
        found = [signature_by_source(target) for target in targets]
        name = name if dot else key
        return [s.parameters[name].annotation for s in found if s and name in s.parameters]

    def is_text(self, key: str) -> bool:
        """Whether a text or a path stands there, and nothing else."""
        if key in self.groups or key.startswith(TAG):
            return True
        found = [_plain_types(annotation) for annotation in self.annotations(key)]
        return bool(found) and all(kinds & {str, Path} and not kinds & {Any} for kinds in found)

    def is_texts(self, key: str) -> bool:
        """Whether a list of texts may stand there."""
        found = [_plain_types(annotation) for annotation in self.annotations(key)]
        return bool(found) and all("texts" in kinds for kinds in found)

    def is_named(self, key: str) -> bool:
        """Whether texts by name may stand there, as `{NAME: FILE}`."""
        found = [_plain_types(annotation) for annotation in self.annotations(key)]
        return bool(found) and all("named" in kinds for kinds in found)

    def names(self, target: str) -> list[str]:
        """The arguments of a class by source."""
        found = signature_by_source(target)
        return [*found.parameters] if found is not None else []

    def keys(self, group: str) -> list[str]:
        """The dotted keys of a group's options."""
        own = [f"{group}.{name}" for name in own_parameters(group)]
        return [*(f"{group}.{name}" for t in self._targets(group) for name in self.names(t)), *own]

    def _targets(self, group: str) -> Iterator[str]:
        """The classes that the options of a group name, or those of the chosen ones."""
        options = [option.strip() for option in self.chosen.get(group, "").split(",") if option]
        for root in self.roots:
            files = [root / group / f"{option}.yaml" for option in options]
            files = [file for file in files if file.is_file()]
            for file in files or sorted((root / group).rglob("*.yaml")):
                text = file.read_text(encoding="utf-8", errors="replace")
                yield from re.findall(r"^ *_target_: *([\w.]+)", text, re.M)


def _plain_types(annotation: Any) -> set[Any]:
    """The types of an annotation without None.

    `texts` for a list of texts, `named` for texts by name, Any for all others.
    """
    if typing.get_origin(annotation) is Annotated:
        return _plain_types(typing.get_args(annotation)[0])
    if annotation in (str, Path):
        return {annotation}
    if annotation in (type(None), UnknownType):
        return set()
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) in (list, tuple):
        return {"texts"} if _plain_types(arguments[0]) == {str} else {Any}
    if typing.get_origin(annotation) is dict and arguments == (str, str):
        return {"named"}
    is_union = any(item is type(None) for item in arguments) or str in map(_bare, arguments)
    if is_union and typing.get_origin(annotation) is not typing.Literal:
        return set().union(*map(_plain_types, arguments))
    return {Any}


def _bare(annotation: Any) -> Any:
    is_annotated = typing.get_origin(annotation) is Annotated
    return typing.get_args(annotation)[0] if is_annotated else annotation


# --- from what is typed to what Hydra reads ---------------------------------------------------


def as_typed(arguments: Sequence[str], roots: Sequence[Path], is_sweep: bool) -> list[str]:
    """The arguments, with quotation marks around values that Hydra would refuse or change."""
    kinds = Kinds(roots, arguments)
    return [_as_typed(argument, kinds, is_sweep) for argument in arguments]


def _as_typed(argument: str, kinds: Kinds, is_sweep: bool) -> str:
    parts = KEY.fullmatch(argument)
    if parts is None or argument.startswith("-"):
        return argument
    plus, key, value = parts.groups()
    if is_plain(value):
        return argument
    read = _reader(kinds, key)
    if not is_sweep or key == NOTES or key.startswith(TAG):  # of all runs of a sweep
        return f"{plus}{key}={read(value)}"
    told = _each_piece(value, read, strips=key in kinds.groups or read is _quoted_if_unreadable)
    return f"{plus}{key}={told}"


def _reader(kinds: Kinds, key: str) -> Callable[[str], str]:
    """The way in which one value of a key is read."""
    is_text = kinds.is_text(key)
    if kinds.is_named(key):
        return _named
    if kinds.is_texts(key):
        return _texts if is_text else _only_texts
    return _text if is_text else _quoted_if_unreadable


def is_plain(value: str) -> bool:
    """Whether Hydra reads a value as the text that it is."""
    if not PLAIN.fullmatch(value) or value.lstrip("+-").lower() in WORDS:
        return False
    try:
        float(value)
    except ValueError:
        return True
    return False


def is_quoted(value: str) -> bool:
    """Whether a value is one text in Hydra's quotation marks."""
    if len(value) < 2 or value[0] not in "'\"" or value[-1] != value[0]:
        return False
    found = _parsed(value)
    return found is not None and isinstance(found._value, QuotedString)


def quoted(value: str) -> str:
    """A text for Hydra's grammar; what only looks like an interpolation is none."""
    if "${" in value and not _interpolates(value):
        value = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", value)
    return str(QuotedString(value, Quote.single).with_quotes())


def _text(value: str) -> str:
    """A text as it stands, and null where that is what stands there."""
    is_told = is_plain(value) or value.lower() == "null" or value == "" or is_quoted(value)
    return value if is_told else quoted(value)


def _texts(value: str) -> str:
    """A list of texts, or one text."""
    return _list(value) if _is_list(value) else _text(value)


def _named(value: str) -> str:
    """Texts by name, a list of texts, or one text."""
    if not (value.startswith("{") and value.endswith("}") and len(pieces(value)) == 1):
        return _texts(value)
    pairs = [item.partition(":") for item in pieces(value[1:-1]) if item.strip()]
    if not all(colon for _, colon, _ in pairs):
        return _text(value)
    return f"{{{','.join(f'{a.strip()}:{_text(b.strip())}' for a, _, b in pairs)}}}"


def _only_texts(value: str) -> str:
    """A list of texts; what is none is for the config check."""
    return _list(value) if _is_list(value) else _quoted_if_unreadable(value)


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]") and len(pieces(value)) == 1


def _list(value: str) -> str:
    inner = value[1:-1].strip()
    return f"[{','.join(_text(item.strip()) for item in pieces(inner))}]" if inner else "[]"


def _each_piece(value: str, read: Callable[[str], str], strips: bool) -> str:
    """The values of a sweep, each read by itself."""
    if FUNCTION.match(value):
        return _function(value, read)
    found = pieces(value)
    if len(found) > 1 or strips:
        found = [item.strip() for item in found]
    return ",".join(map(read, found))


def _function(value: str, read: Callable[[str], str]) -> str:
    """A function of Hydra's as it is, or a choice among texts that Hydra cannot read."""
    if read is _quoted_if_unreadable and _can_be_read(value):
        return value
    name, _, inner = value.partition("(")
    if name.strip() != "choice" or not value.endswith(")"):
        return value if _can_be_read(value) else read(value)
    return _each_piece(inner[:-1], read, strips=True)  # the same, and it keeps quotation marks


def _quoted_if_unreadable(value: str) -> str:
    return value if _can_be_read(value) else quoted(value)


def pieces(text: str) -> list[str]:
    """A text at its commas, but for those within brackets or quotation marks."""
    found = _pieces(text, BRACKETS)
    return found if found is not None else _pieces(text, {}) or text.split(",")


def _pieces(text: str, brackets: Mapping[str, str]) -> list[str] | None:
    """None where a bracket or quotation mark is not closed."""
    found: list[str] = []
    closing: list[str] = []
    start = 0
    for place, sign in enumerate(text):
        if closing and closing[-1] in "'\"":
            if sign == closing[-1] and text[place - 1] != "\\":
                closing.pop()
        elif sign in "'\"" and text[start:place].strip() == "":
            closing.append(sign)
        elif sign in brackets:
            closing.append(brackets[sign])
        elif closing and sign == closing[-1]:
            closing.pop()
        elif sign in brackets.values():
            return None
        elif sign == "," and not closing:
            found.append(text[start:place])
            start = place + 1
    return None if closing else [*found, text[start:]]


def _parsed(value: str) -> Override | None:
    try:
        found: Override = OverridesParser.create().parse_override(f"key={value}")
    except (HydraException, RecursionError):
        return None
    return found


def _can_be_read(value: str) -> bool:
    return _parsed(value) is not None


def _interpolates(value: str) -> bool:
    """Whether OmegaConf finds interpolations that are whole in a text."""
    try:
        OmegaConf.create({"key": value})
    except OmegaConfBaseException:
        return False
    return True


# --- and back ---------------------------------------------------------------------------------


def written(override: str, roots: Sequence[Path], others: Sequence[str] = ()) -> str:
    """An override as one would type it: without quotation marks that `as_typed` would give it."""
    bare = override.lstrip("+")
    parts = KEY.fullmatch(bare)
    if parts is None or not is_quoted(parts[3]):
        return bare
    found = _parsed(parts[3])
    text = str(found.value()) if found is not None else parts[3]
    if not _interpolates(bared := re.sub(r"((?:\\\\)*)\\\$\{", _half, text)):
        text = bared
    typed = f"{parts[2]}={text}"
    same = _as_typed(typed, Kinds(roots, others), is_sweep=False) == f"{parts[2]}={quoted(text)}"
    return typed if same else bare


def _half(found: re.Match[str]) -> str:
    return found[1][: len(found[1]) // 2] + "${"


def command_line(overrides: Iterable[str]) -> str:
    """Overrides as one line that a shell reads as them; quoted where it would not otherwise."""
    return " ".join(
        shlex.quote(item) if SHELLS.search(item) or not item else item for item in overrides
    )


def typed(overrides: Sequence[str], hydra_config: Any) -> list[str]:
    """Overrides as a person types them, from what Hydra reads."""
    roots = roots_of(hydra_config)
    return [written(item, roots, overrides) for item in overrides]


def roots_of(hydra_config: Any) -> list[Path]:
    """The folders of configs that Hydra composed from."""
    sources = hydra_config.runtime.config_sources
    return [Path(source.path) for source in sources if source.schema == "file"]


def choices(chosen: Any) -> dict[str, str]:
    """The option taken of each of our groups."""
    return {
        str(group): str(option)
        for group, option in chosen.items()
        if not str(group).startswith(("hydra/", "launcher", "sweeper")) and option is not None
    }
