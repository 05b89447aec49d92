"""A command as `key=value`: what it may be given is read from the signature of its function.

Nothing but the standard library is imported for `--help`.
"""

import json
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from seqexp.errors import InputError, RunError, Terminated
from seqexp.utils.names import shortened, visible
from seqexp.utils.nearest import did_you_mean
from seqexp.utils.streams import at_any_terminal

PLACE = "place"
"""Argument of a command that says where runs are kept; given by the keys of `Place`."""


@at_any_terminal
def run_command(text: str | None, target: str, arguments: Sequence[str] | None = None) -> int:
    """Run the function at a dotted name with the arguments that are given.

    Args:
        text: what `--help` says.
        target: the function; returns the exit status, None is 0.
        arguments: None are those of this process.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if {"-h", "--help", "help"} & set(given):
        print(text)
        return 0
    try:
        return _call(target, given)
    except (InputError, RunError) as error:
        print(f"seqexp: {shortened(visible(str(error)))}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except Terminated:
        print("seqexp: terminated", file=sys.stderr)
        return 143
    except KeyboardInterrupt:
        print("seqexp: interrupted", file=sys.stderr)
        return 130


def _call(target: str, given: Sequence[str]) -> int:
    from seqexp.cli.store_location import KEYS, place
    from seqexp.config.signature import signature

    parameters = signature(target).parameters
    annotations = {key: p.annotation for key, p in parameters.items() if key != PLACE}
    required = [key for key, p in parameters.items() if key != PLACE and p.required]
    values = read(given, {**annotations, **KEYS}, required)
    where = place({key: values.pop(key) for key in KEYS if key in values})

    from hydra.utils import get_object  # imports the command, and what it needs

    status: int | None = get_object(target)(**{PLACE: where}, **values)
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
    kinds = {annotation, *typing.get_args(annotation)}
    if any(typing.get_origin(kind) is tuple for kind in kinds):
        return [item for item in text.strip("[]").split(",") if item]
    if str in kinds or typing.get_origin(annotation) is typing.Literal:
        return text  # the id of a run may look like a number
    try:
        return json.loads(text)
    except ValueError:
        return text
