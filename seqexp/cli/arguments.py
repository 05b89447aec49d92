"""The words of the command line: what is wrong with them, and how Hydra is to read them."""

import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from seqexp.cli.subcommand import COMMANDS
from seqexp.cli.which import WORDS
from seqexp.config.groups import CONF
from seqexp.config.typed import KEY, ROOT, SECTIONS, TAG, Kinds, as_typed, pieces
from seqexp.errors import InputError
from seqexp.utils.nearest import nearest

MODES = (
    *("-m", "--multirun", "--run", "-r", "--cfg", "-c", "--info", "-i"),
    *("--shell-completion", "-sc", "--help", "-h", "--hydra-help"),
)
"""Hydra's flags for what it is to do; it takes one of them."""

HELPS = ("-h", "--help", "--hydra-help", "--version")

FOLDERS = ("--config-dir", "-cd", "--config-path", "-cp")

CHOICES = {
    **dict.fromkeys(("--cfg", "-c"), ("job", "hydra", "all")),
    **dict.fromkeys(
        ("--info", "-i"), ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
    ),
}
"""The values that a flag may have; --info needs none."""

VALUED = (*FOLDERS, "--config-name", "-cn", "--package", "-p", "--cfg", "-c")
"""Flags after which a value has to stand."""

FLAGS = (*MODES, *HELPS, *VALUED, "--resolve")

TAG_KEY = re.compile(r"tags(\.[A-Za-z_][\w-]*)+")
"""The key of a tag, as Hydra can read it."""

FROM_RUN = "model.from_run"

SEVERAL_REPLICAS = "trainer.replicas"


# --- what is wrong with them ------------------------------------------------------------------


def refuse_words(arguments: Sequence[str]) -> None:
    """Refuse what is neither `KEY=VALUE` nor a flag of Hydra's, before Hydra reads it.

    Raises:
        InputError: naming each word that is wrong, and what was probably meant.
    """
    if {"-sc", "--shell-completion"} & set(arguments):
        if not any(item.startswith(("install=", "uninstall=", "query=")) for item in arguments):
            raise InputError("-sc: give install=SHELL or uninstall=SHELL, as -sc install=bash")
        return
    faults = [*_faults(arguments)]
    if faults:
        raise InputError("\n  ".join([*_head(faults), *faults]) if len(faults) > 1 else faults[0])


def _head(faults: Sequence[str]) -> list[str]:
    return [f"{len(faults)} words of the command line are wrong"]


def _faults(arguments: Sequence[str]) -> Iterator[str]:
    waiting = [*arguments]
    modes = []
    known = Known(arguments)
    while waiting:
        word = waiting.pop(0)
        if not _is_text(word):
            yield f"{ascii(word)}: is not text in UTF-8; give another name"
            continue
        flag, equals, value = word.partition("=")
        if word.startswith("-") and flag in FLAGS:
            modes += [flag] if flag in MODES else []
            following = value if equals else (waiting or [""])[0]
            yield from _flag_faults(flag, equals, following)
            is_value = flag in VALUED or (flag in CHOICES and following in CHOICES[flag])
            if is_value and not equals and waiting:
                waiting.pop(0)
        elif word.startswith("-"):
            bare = waiting and not waiting[0].startswith("-") and "=" not in waiting[0]
            yield known.flag(word, waiting.pop(0) if bare and not equals else None)
        elif (parts := KEY.fullmatch(word)) is not None:
            yield from known.pair(*parts.groups())
        elif word.startswith("~"):
            yield from known.deletion(word)
        elif equals:
            yield f"{shlex.quote(word)}: {flag!r} is no key; write KEY=VALUE, as trainer.epochs=3"
        else:
            bare = waiting and not waiting[0].startswith("-") and "=" not in waiting[0]
            is_first = len(waiting) + 1 == len(arguments)
            yield known.word(word, waiting[0] if bare else None, is_first)
            if bare and known.is_key(word):
                waiting.pop(0)
    found = {flag for flag in modes if flag not in HELPS}
    if len(found) > 1 and not found <= {"-m", "--multirun"}:
        yield f"{' and '.join(sorted(found))}: give one of them"
    given = {item.partition("=")[0] for item in arguments}
    for flag in ("--resolve", "--package", "-p"):
        if flag in given and not given & {"--cfg", "-c", *HELPS}:
            yield f"{flag}: is for --cfg; add --cfg job"
    yield from known.twice()


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _flag_faults(flag: str, equals: str, value: str) -> Iterator[str]:
    """The fault of one of Hydra's flags and the value after it."""
    if flag in FOLDERS and not value:
        yield f"{flag}: give the folder of your configs, as --config-dir DIR"
    elif flag in ("--config-path", "-cp"):
        yield (
            f"{flag}: is not used here, since it would replace seqexp's own configs; give yours as"
            f" --config-dir {shlex.quote(value)}"
        )
    elif flag in FOLDERS and not Path(value).is_dir():
        what = "is a file" if Path(value).exists() else "there is no such folder"
        yield (
            f"{flag} {shlex.quote(value)}: {what} (looked for {Path(value).absolute()}); give the"
            " folder that holds your groups of options, as DIR for DIR/model/mine.yaml"
        )
    elif flag in VALUED and (not value or (value.startswith("-") and not equals)):
        yield f"{flag}: a value has to stand after it"
    elif flag in ("--cfg", "-c") and value not in CHOICES[flag]:
        yield f"{flag} {shlex.quote(value)}: give one of {', '.join(CHOICES[flag])}"
    elif flag in CHOICES and equals and value not in CHOICES[flag]:
        yield f"{flag}={shlex.quote(value)}: give one of {', '.join(CHOICES[flag])}"
    elif equals and flag not in (*VALUED, *CHOICES):
        yield f"{flag}: takes no value; write {flag}"


class Known:
    """The keys, groups and options that there are, to say which one was meant."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.roots = config_roots(arguments)
        self.kinds = Kinds(self.roots, arguments)
        self.ours = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra"}
        self.seen: list[str] = []

    def options(self, group: str) -> list[str]:
        """The names of a group's files."""
        return options_of(self.roots, group)

    def is_key(self, word: str) -> bool:
        """Whether a word is near the name of a key or a group."""
        return self._key(word) is not None

    def flag(self, word: str, following: str | None) -> str:
        """The words to type for a flag that Hydra does not have."""
        name, equals, value = word.partition("=")
        meant = self._line(name.lstrip("-"), value if equals else following)
        told = word if following is None else f"{word} {following}"
        hint = f"did you mean {meant}?" if meant else "write KEY=VALUE, as trainer.epochs=3"
        return f"{shlex.join(told.split(' '))}: there is no such flag; {hint}"

    def word(self, word: str, following: str | None, is_first: bool = False) -> str:
        """The words to type for a word that is no `KEY=VALUE`."""
        name = word.lstrip("+")
        shown = shlex.quote(word)
        if name.lower() == "help":
            return f"{shown}: cannot be read; did you mean --help?"
        if name in COMMANDS:
            return f"{shown}: is a command, and stands first; see python -m seqexp {name} --help"
        groups = [group for group in sorted(self.ours) if name in self.options(group)]
        if groups and name not in self.ours:
            return f"{shown}: cannot be read; write {groups[0]}={name}"
        command = nearest(name, COMMANDS) if is_first and name not in self.ours else None
        if command is not None:
            return f"{shown}: there is no such command; did you mean {command}?"
        if following is not None and self.is_key(name):
            shown = f"{shown} {shlex.quote(following)}"
        meant = self._line(name, following)
        hint = f"; did you mean {meant}?" if meant else ", as trainer.epochs=3"
        return f"{shown}: cannot be read; write KEY=VALUE{hint}"

    def pair(self, plus: str, key: str, value: str) -> Iterator[str]:
        """Faults of a group's choice; other keys are for the config check."""
        if key.startswith(TAG) and not TAG_KEY.fullmatch(key):
            yield (
                f"{shlex.quote(plus + key)}: the parts of a tag's name begin with a letter, and"
                " have letters, digits, _ and -; give another, as tags.owner=ann"
            )
            return
        if key not in self.ours:
            if re.search(r"[@:]|//", key) or (
                "/" in key and not key.startswith(("hydra/", *(f"{g}/" for g in self.ours)))
            ):
                yield f"{plus}{key}: is no key; write KEY=VALUE, as trainer.epochs=3"
            return
        if plus:
            line = shlex.quote(f"{key}={value}")
            yield f"{plus}{key}={value}: groups are chosen without a plus; write {line}"
        self.seen.append(key)
        options = self.options(key)
        for item in pieces(value):
            if item.strip().lower() not in ("", "null", "none") or item.strip() in options:
                continue
            if key == "experiment" and item.strip():
                continue  # no experiment is the default
            hint = f"write {key}=none" if "none" in options else f"give one of {', '.join(options)}"
            yield f"{key}={value}: there is no such option; {hint}"

    def twice(self) -> Iterator[str]:
        """Groups that are chosen more than once."""
        for key in dict.fromkeys(key for key in self.seen if self.seen.count(key) > 1):
            yield f"{key}: stands {self.seen.count(key)} times; give it once"

    def deletion(self, word: str) -> Iterator[str]:
        """Faults of `~KEY`: parts that a run needs are chosen, not taken away."""
        key = word[1:].partition("=")[0]
        if key in self.ours and key != "experiment":
            options = self.options(key)
            line = (
                f"{key}=none" if "none" in options else f"{key}=NAME, one of {', '.join(options)}"
            )
            yield f"{shlex.quote(word)}: a run needs its {key}; write {line}"
        elif key in (*self.kinds.names(ROOT), *SECTIONS, "experiment"):
            yield f"{shlex.quote(word)}: a run needs its {key}; leave this word out"
        elif not re.fullmatch(r"[A-Za-z_][\w./-]*", key):
            yield f"{shlex.quote(word)}: cannot be read; write KEY=VALUE"

    def _key(self, word: str) -> str | None:
        plain = word.replace("-", "_")
        names = [*self.ours, *self.kinds.names(ROOT)]
        if "." not in plain:
            found = nearest(plain, names)
            if found is not None and (found == plain or "_" in found):
                return found
        keys = [f"{key}.{name}" for key, of in SECTIONS.items() for name in self.kinds.names(of)]
        groups = ("trainer", "dataset", "model", "optimizer", *sorted(self.ours))
        keys += [key for group in dict.fromkeys(groups) for key in self.kinds.keys(group)]
        if plain in keys:
            return plain
        return nearest(plain, names) or nearest(plain, keys)

    def _line(self, word: str, value: str | None) -> str | None:
        """The override that was meant by a word and a value."""
        key = self._key(word)
        if key is None:
            return None
        if value is None:
            found = self.kinds.annotations(key)
            is_bool = any(bool in (kind, *get_args(kind)) for kind in found)
            return f"{key}=true" if is_bool else f"{key}=VALUE"
        return shlex.quote(f"{key}={value}")


# --- how Hydra is to read them ----------------------------------------------------------------


def prepared(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra is to have them.

    Raises:
        InputError: as `refuse_words`.
    """
    refuse_words(arguments)
    given = several([item for item in arguments if item.lower() != "experiment=null"])
    is_sweep = bool({"-m", "--multirun"} & set(given))
    if not {"-sc", "--shell-completion"} & set(given):
        given = as_typed(given, config_roots(given), is_sweep)
        given = [with_latest(item, given) for item in given]
    return [*forgiving(given), *dry(given)]


def with_latest(argument: str, arguments: Sequence[str]) -> str:
    """An override of `model.from_run` with the id of the run, where it says latest or best.

    So the jobs of a sweep do not start from each other.

    Raises:
        InputError: if no run is known.
    """
    key, equals, value = argument.partition("=")
    names = value.split(",")
    if key.lstrip("+") != FROM_RUN or not {*WORDS} & {*names}:
        return argument
    from seqexp.cli.run_lookup import Store
    from seqexp.cli.store_location import KEYS, place

    given = dict(item.lstrip("+").partition("=")[::2] for item in arguments)
    store = Store(place({key: given[key] for key in KEYS if key in given}))
    ids = {}
    for name in dict.fromkeys(name for name in names if name in WORDS):
        run = store.find(name, FROM_RUN)
        print(f"{FROM_RUN}={name} is {run.info.run_id}, {run.info.run_name}", file=sys.stderr)
        ids[name] = run.info.run_id
    return f"{key}=" + ",".join(ids.get(name, name) for name in names)


def forgiving(arguments: Sequence[str]) -> list[str]:
    """Let unknown keys into the composition, so that our check can name them all at once.

    Hydra stops at the first unknown key and advises to add it with a plus; `++key=value` sets a
    key whether it is there or not, and the check then says which key was meant.
    """
    if {"-sc", "--shell-completion"} & set(arguments):
        return [*arguments, *typed_folder()]  # `query=bash` is no key
    groups = {folder.name for folder in config_folders(arguments)}
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    others = [argument for argument in arguments if argument not in multirun]
    return multirun + [  # first, since argparse wants the values in one row
        f"++{argument}"
        if re.match(r"^[A-Za-z_][\w.-]*=", argument)
        and not argument.startswith(("hydra.", "hydra/"))
        and argument.partition("=")[0] not in groups
        else argument
        for argument in others
    ]


def several(arguments: Sequence[str]) -> list[str]:
    """Make a sweep of what is to be trained in several replicas, unless Hydra is to do another
    thing.
    """
    given = dict(item.lstrip("+").partition("=")[::2] for item in arguments)
    is_single = given.get(SEVERAL_REPLICAS, "null").lower() in ("null", "none")
    is_told = any(item.partition("=")[0] in MODES for item in arguments)
    return [*arguments] if is_single or is_told else ["-m", *arguments]


def typed_folder() -> list[str]:
    """The user's folder of configs on the line that is being completed."""
    words = os.environ.get("COMP_LINE", "").split()
    pairs = zip(words, words[1:], strict=False)
    return next(([flag, value] for flag, value in pairs if flag in ("--config-dir", "-cd")), [])


def dry(arguments: Sequence[str]) -> list[str]:
    """Have a single dry run leave no folder; a sweep knows that by itself."""
    is_dry = {"dry_run=true", "dry_run=timed"} & {item.lstrip("+").lower() for item in arguments}
    if not is_dry or {"-m", "--multirun"} & set(arguments):
        return []
    given = any(item.startswith("hydra.run.dir=") for item in arguments)
    folder = [] if given else ["hydra.run.dir=."]
    return [*folder, "hydra.output_subdir=null", "hydra.job_logging.root.handlers=[console]"]


def config_roots(arguments: Sequence[str]) -> list[Path]:
    """Folders of configs: ours, and that of `--config-dir`."""
    roots = [CONF]
    for flag, value in zip(arguments, [*arguments, ""][1:], strict=True):
        if flag in FOLDERS:
            roots.append(Path(value))
        elif flag.partition("=")[0] in FOLDERS:
            roots.append(Path(flag.partition("=")[2]))
    return [root for root in roots if root.is_dir()]


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Folders of config groups: ours, and those of `--config-dir`."""
    return [path for root in config_roots(arguments) for path in root.iterdir() if path.is_dir()]


def options_of(roots: Sequence[Path], group: str) -> list[str]:
    """The options of a group, in all folders of configs."""
    return sorted(
        {
            str(path.relative_to(root / group).with_suffix(""))
            for root in roots
            for path in (root / group).rglob("*.yaml")
        }
    )
