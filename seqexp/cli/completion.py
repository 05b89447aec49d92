"""What the Tab key offers: words of commands, values after commas; and the code that a shell reads.

Hydra knows groups, options and keys of trainings. The rest is here, without PyTorch and MLflow.
"""

import contextlib
import io
import os
import sqlite3
import sys
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from seqexp.cli.subcommand import COMMANDS, PLACE, WHICH, WORDS

FLAGS = ("-sc", "--shell-completion")

MOST_RUNS = 20
"""Ids that are offered, the newest."""

ID_LETTERS = 8

FILES = ("input", "output", "genome", "regions", "motif", "motifs", "paths.outputs", "paths.data")
"""Keys whose values are files."""

PYTHON = r"""
_seqexp_of_python()
{
    local words name=${1##*/} rest=${COMP_LINE#*-m seqexp }
    read -ra words <<< "$COMP_LINE"
    if [ "${words[1]} ${words[2]}" = "-m seqexp" ] && [ "$rest" != "$COMP_LINE" ]; then
        local offers=$(COMP_LINE="seqexp $rest" "${words[0]}" -m seqexp -sc query=bash)
        compopt -o nospace 2> /dev/null
        COMPREPLY=($(compgen -W "$offers" -- "${rest##* }"))
    elif [ -n "${_seqexp_python_function[$name]}" ]; then
        "${_seqexp_python_function[$name]}" "$@"
    fi
}
declare -gA _seqexp_python_function _seqexp_python_before
for _seqexp_name in python python3; do
    if ! complete -p $_seqexp_name &> /dev/null; then
        for _seqexp_loader in _comp_load _completion_loader; do
            type $_seqexp_loader &> /dev/null && $_seqexp_loader $_seqexp_name &> /dev/null
        done
    fi
    _seqexp_spec=$(complete -p $_seqexp_name 2> /dev/null)
    if [ -z "$_seqexp_spec" ]; then
        complete -o bashdefault -o default -F _seqexp_of_python $_seqexp_name
    elif [[ $_seqexp_spec =~ -F\ ([^\ ]+) ]] && [ "${BASH_REMATCH[1]}" != _seqexp_of_python ]; then
        _seqexp_python_before[$_seqexp_name]=$_seqexp_spec
        _seqexp_python_function[$_seqexp_name]=${BASH_REMATCH[1]}
        eval "${_seqexp_spec/-F ${BASH_REMATCH[1]}/-F _seqexp_of_python}"
    fi
done
"""
"""Completes `python -m seqexp`; any other line of python goes to what completed it before."""

NO_PYTHON = r"""
for _seqexp_name in python python3; do
    if [[ $(complete -p $_seqexp_name 2> /dev/null) == *_seqexp_of_python* ]]; then
        complete -r $_seqexp_name
        eval "${_seqexp_python_before[$_seqexp_name]}"
    fi
done
unset -f _seqexp_of_python; unset _seqexp_python_before _seqexp_python_function
"""


def complete(given: Sequence[str], hydra: Callable[[], object]) -> None:
    """Print what `-sc` is asked for.

    Args:
        given: words after the name of the program.
        hydra: prints what Hydra has to say to them.
    """
    if "query=bash" in given:
        line = os.environ.get("COMP_LINE", "seqexp x")
        own = [*offered_commands(line)]
        if own:
            print(*own)
        if not _is_of_command(line):
            _offer_trainings(line, hydra)
        return
    if any(item.endswith("install=bash") for item in given):
        sys.argv[0] = "seqexp"  # Hydra would have its function replace that of python
    hydra()
    if "install=bash" in given:
        print(PYTHON)
    elif "uninstall=bash" in given:
        print(NO_PYTHON)


def _offer_trainings(line: str, hydra: Callable[[], object]) -> None:
    """Have Hydra offer words; after a comma, those of one value more."""
    word = line.rpartition(" ")[2]
    key, equals, value = word.partition("=")
    before, comma, last = value.rpartition(",")
    if not (equals and comma) or value.startswith(("[", "{", "(", "'", '"')):
        hydra()
        return
    os.environ["COMP_LINE"] = f"{line[: len(line) - len(word)]}{key}={last}"
    with contextlib.redirect_stdout(io.StringIO()) as heard:
        hydra()
    print(*_further(key, before, heard.getvalue().split()))


def _further(key: str, before: str, offers: Sequence[str]) -> Iterator[str]:
    """Words with one value more than are there, each once."""
    there = before.split(",")
    for offer in offers:
        name, _, value = offer.partition("=")
        if name == key and value not in there:
            yield f"{key}={before},{value}"


# --- commands ---------------------------------------------------------------------------------


def _is_of_command(line: str) -> bool:
    words = [word for word in line.split(" ")[1:-1] if word]
    return bool(words) and words[0] in COMMANDS


def offered_commands(line: str) -> Iterator[str]:
    """The words that may end a line: names of commands, and keys and values of one."""
    typed = line.split(" ")[1:]
    words = [word for word in typed[:-1] if word]
    if not words:
        yield from (name for name in COMMANDS if typed and name.startswith(typed[-1]))
    if not _is_of_command(line):
        return
    known = _annotations(words[0])
    key, equals, value = typed[-1].partition("=")
    if equals:
        if key in known:
            yield from _values(key, value, known[key], words)
        return
    there = {word.partition("=")[0] for word in words}
    yield from (f"{name}=" for name in known if name.startswith(key) and name not in there)


def _annotations(name: str) -> dict[str, Any]:
    """The keys of a command, and the types of their values."""
    from seqexp.config.signature import signature

    found = {k: p.annotation for k, p in signature(COMMANDS[name]).parameters.items() if k != WORDS}
    own = {key: kind for key, kind in found.items() if key != PLACE and key not in WHICH}
    for kind in set(WHICH) & {*found}:
        from seqexp.cli.which import KEYS as OF_RUNS

        own = {**OF_RUNS[kind], **own}
    if PLACE in found:
        from seqexp.cli.store_location import KEYS

        own |= KEYS
    return own


def _values(key: str, value: str, annotation: Any, words: Sequence[str]) -> Iterator[str]:
    """Values of a key that begin as what is typed."""
    before, comma, last = value.rpartition(",")
    kinds = {annotation, *typing.get_args(annotation)}
    is_list = any(typing.get_origin(kind) is tuple for kind in kinds)
    if comma and not is_list:
        return
    found: Sequence[str] = ()
    if typing.get_origin(annotation) is typing.Literal:
        found = [str(one) for one in typing.get_args(annotation)]
    elif bool in kinds:
        found = ("true", "false")
    elif key in ("run", "runs", "sweep", "experiment"):
        found = _of_store(key, words)
    elif key == "metric":
        from seqexp.metrics import METRICS

        found = [*METRICS]
    elif key in FILES:
        found = _files(last)
    there = before.split(",")
    yield from (
        f"{key}={before}{comma}{one}" for one in found if one.startswith(last) and one not in there
    )


def _files(begin: str) -> list[str]:
    """Files and folders whose path begins so; those with blanks in their names are left out."""
    folder, slash, name = begin.rpartition("/")
    try:
        entries = [*os.scandir(folder + slash or ".")]
    except OSError:
        return []
    shown = [entry for entry in entries if name.startswith(".") or not entry.name.startswith(".")]
    paths = [f"{folder}{slash}{entry.name}{'/' * entry.is_dir()}" for entry in shown]
    return sorted(path for path in paths if not any(letter.isspace() for letter in path))


def _of_store(key: str, words: Sequence[str]) -> list[str]:
    """Names of experiments, or words and ids for runs, of the database below the outputs."""
    named = {"run": ["latest", "best"], "runs": ["latest", "best"], "sweep": ["latest"]}
    given = dict(word.partition("=")[::2] for word in words)
    outputs = given.get("paths.outputs") or os.environ.get("SEQEXP_OUTPUTS") or "outputs"
    file = Path(outputs, "mlflow.db").absolute()
    if "tracking.uri" in given or not file.is_file():
        return named.get(key, [])
    tag = "seqexp.sweep" if key == "sweep" else "seqexp.fingerprint"
    query = """SELECT runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid
               WHERE tags.key = ? AND runs.lifecycle_stage = 'active'
               AND (runs.status = 'FINISHED' OR tags.key = 'seqexp.sweep')
               ORDER BY runs.start_time DESC LIMIT ?"""
    names = "SELECT name FROM experiments WHERE lifecycle_stage = 'active' AND name != 'Default'"
    try:
        with contextlib.closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            if key == "experiment":
                return [name for (name,) in database.execute(names) if " " not in name]
            found = [str(id)[:ID_LETTERS] for (id,) in database.execute(query, (tag, MOST_RUNS))]
    except sqlite3.Error:  # of another program, or locked: the Tab key is silent
        found = []
    return [*named[key], *found]
