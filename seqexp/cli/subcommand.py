"""Runs a command whose arguments are `key=value`, read from the signature of its function.

Its help text is the docstring of its file. Nothing but the standard library is imported for it.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqexp.errors import InputError, RunError, Terminated
from seqexp.utils import garbage
from seqexp.utils.names import shortened, visible
from seqexp.utils.streams import at_any_terminal

COMMANDS = {
    "predict": "seqexp.cli.predict.predict",
    "variants": "seqexp.cli.variants.variants",
    "explain": "seqexp.cli.explain.explain",
    "sample": "seqexp.cli.sample.sample",
    "compare": "seqexp.cli.compare.compare",
    "export": "seqexp.cli.export.export",
    "marginalize": "seqexp.cli.marginalize.marginalize",
    "spacing": "seqexp.cli.spacing.spacing",
    "reproduce": "seqexp.cli.reproduce.reproduce",
    "ui": "seqexp.cli.ui.ui",
    "deliver": "seqexp.cli.deliver.main",
    "clean": "seqexp.cli.clean.clean",
}
"""First word of a command line -> the function that it runs."""

PLACE = "place"
"""Argument of a command that says where runs are kept; given by the keys of `Place`."""

WHICH = ("one", "several", "either")
"""Arguments of commands that say which run they are about; given by the keys of `cli/which.py`."""

WORDS = "words"
"""Argument of a command that reads its words itself, since some are no `key=value`."""


@at_any_terminal
def run_command(name: str, given: Sequence[str]) -> int:
    """Run a command with the words after its name; returns the exit status."""
    if {"-h", "--help", "help"} & set(given):
        print(help_text(name))
        return 0
    try:
        return _call(COMMANDS[name], given)
    except (InputError, RunError) as error:
        print(f"seqexp: {shortened(visible(str(error)))}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except Terminated:
        print("seqexp: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("seqexp: interrupted", file=sys.stderr)
        return 130


def help_text(name: str) -> str:
    """The docstring of a command's file, which is not imported: it needs PyTorch and MLflow."""
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return text.split('"""')[1]  # the `ast` module would take half of the time


def see_own_packages() -> None:
    """Make the user's packages in the working folder importable, as `python -m` does."""
    if str(Path.cwd()) not in sys.path and "" not in sys.path:
        sys.path.append(str(Path.cwd()))


@at_any_terminal
def say_versions() -> None:
    """Print the version of seqexp and of what it is built on."""
    from importlib.metadata import version

    from seqexp import __version__

    print(f"seqexp {__version__}")
    for name in ("torch", "hydra-core", "mlflow"):
        print(f"  {name} {version(name)}")


def _call(target: str, given: Sequence[str]) -> int:
    from importlib import import_module

    from seqexp.config.signature import signature

    see_own_packages()
    module, _, name = target.rpartition(".")
    parameters = signature(target).parameters
    if WORDS in parameters:
        command = getattr(import_module(module), name)
        garbage.resume()
        return int(command(given))
    from seqexp.cli.store_location import KEYS, place
    from seqexp.cli.which import KEYS as OF_RUNS
    from seqexp.cli.which import which

    kind = next((key for key in WHICH if key in parameters), "")
    of_runs = OF_RUNS.get(kind, {})
    plain = {key: p for key, p in parameters.items() if key not in (PLACE, kind)}
    annotations = {key: p.annotation for key, p in plain.items()}
    required = [*["run"][: kind == "one"], *(key for key, p in plain.items() if p.required)]
    values = read(given, {**of_runs, **annotations, **KEYS}, required)
    where = place({key: values.pop(key) for key in KEYS if key in values})
    supplied: dict[str, Any] = {PLACE: where}
    if kind:
        asked = {key: values.pop(key) for key in of_runs if key in values}
        supplied[kind] = which(kind, asked)
    command = getattr(import_module(module), name)  # imports PyTorch and MLflow
    garbage.resume()
    status: int | None = command(**supplied, **values)
    return status or 0


def read(
    given: Sequence[str], known: Mapping[str, Any], required: Sequence[str] = ()
) -> dict[str, Any]:
    """Values by key, of the types that are known.

    Raises:
        InputError: with all that is wrong: no `key=value`, a key that is unknown or missing or
            stands twice, a value of another type or out of range.
    """
    from seqexp.config.check import describe, value_faults
    from seqexp.utils.nearest import did_you_mean

    faults: list[str] = []
    found: dict[str, Any] = {}
    for argument in given:
        key, equals, text = argument.partition("=")
        if not equals:
            faults.append(f"{argument}: cannot be read; write KEY=VALUE (--help says which)")
        elif key not in known:
            hint = did_you_mean(key, known) or f"; known are {', '.join(known)}"
            faults.append(f"{key}: unknown{hint}")
        elif key in found:
            faults.append(f"{key}: stands twice")
        else:
            found[key] = _value(text, known[key])
            faults += value_faults(key, found[key], known[key])
    named = {argument.partition("=")[0] for argument in given}
    for key in required:
        if key not in named:
            faults.append(f"{key}: missing; give {describe(known[key])}, as {key}=...")
    if faults:
        count = "an argument is wrong" if len(faults) == 1 else f"{len(faults)} arguments are wrong"
        raise InputError("\n  ".join([count, *faults]))
    return found


def _value(text: str, annotation: Any) -> Any:
    """A text as its type has it: a list by its commas, a number as JSON writes it."""
    import json
    import typing

    kinds = {annotation, *typing.get_args(annotation)}
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return [item for item in text.strip("[]").split(",") if item]
    if str in kinds or typing.get_origin(annotation) is typing.Literal:
        return text  # the id of a run may look like a number
    try:
        return json.loads(text)
    except ValueError:
        return text
