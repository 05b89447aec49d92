"""Child processes of tests, which may be killed.

They are forked by a server that has imported everything and done nothing. A fork of the tests' own
process would inherit an OpenMP team whose threads are gone (it waits for them for ever), open
databases (whose locks a child then drops), and whatever lock another thread held at that moment.
"""

import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    ["torch._dynamo", "mlflow", "seqexp.run", "seqexp.tracking.mlflow", "seqexp.cli.main"]
)


def start_child(said: Path, work: Callable[..., Any], *arguments: Any) -> ForkServerProcess:
    """A process that calls `work`; what it prints goes to the end of a file.

    Its exit status is what `work` returns, 1 after an exception; None counts as 0.
    """
    child = CONTEXT.Process(target=_call, args=(said, work, arguments))
    child.start()
    return child


def last_words(said: Path, lines: int = 30) -> str:
    """The end of what it printed."""
    return "\n".join(said.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _call(said: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    # the server's own settings are those of the first test that needed it
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    status = 1
    try:
        status = work(*arguments) or 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: threads that still wait for a store are not waited for
