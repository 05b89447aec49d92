"""Regular expressions that anybody may have written, in a time that is limited.

`(a+)+$` takes longer than anyone lives on some names, and nothing in the process can interrupt it:
what may repeat is looked for by a process of its own, which is ended when its time is over.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from seqexp.errors import InputError

MAX_PATTERN = 1000
"""Letters of an expression."""

SECONDS = 5.0
"""For an expression and a few names."""

LETTERS_A_SECOND = 500_000
"""More time for many names: a sound expression takes a hundredth of it."""

_PROGRAM = """
import json, re, sys
pattern, names = json.load(sys.stdin)
found = re.compile(pattern)
json.dump([found.search(name) is not None for name in names], sys.stdout)
"""


def expression_fault(pattern: str) -> str | None:
    """What is wrong with an expression; None if nothing is."""
    if len(pattern) > MAX_PATTERN:
        return f"has {len(pattern):,} letters; give a regular expression of at most {MAX_PATTERN:,}"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is no regular expression: {error}"
    return None


def found_in(pattern: str, names: Sequence[str], key: str) -> list[bool]:
    """In which names an expression is found.

    Raises:
        InputError: naming the key and the expression, if it is none or takes too long.
    """
    shown = f"{key} is {pattern[:100]!r}"
    fault = expression_fault(pattern)
    if fault is not None:
        raise InputError(f"{shown}, which {fault}")
    if not any(sign in pattern for sign in "*+?{"):  # nothing repeats, so it is soon over
        compiled = re.compile(pattern)
        return [compiled.search(name) is not None for name in names]
    limit = SECONDS + sum(map(len, names)) / LETTERS_A_SECOND
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM],
            input=json.dumps([pattern, list(names)]),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=limit,
        )
        found: list[bool] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"{shown}, which was not found or missed in {len(names):,} names within {limit:.0f}"
            " seconds; give one without a repetition of what repeats itself, as a+ for (a+)+"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{shown}: the names could not be searched ({error})") from error
    return found
