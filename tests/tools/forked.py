"""`python -m seqexp` in a process of its own that need not import PyTorch and MLflow once more.

    python forked.py SOCKET

is a server that imports what seqexp imports and then does nothing but fork. `Python` starts it and
makes an executable `python`, which has the server fork a process with the caller's words, folder,
variables and streams, waits for it, and ends as it ended. The process runs the module as `-m` does
and ends by itself. Whatever is not a plain `-m seqexp`, or asks for help, or wants an interpreter
that starts otherwise (PYTHON..., LANG), is given to the real one.
"""

import contextlib
import gc
import importlib
import marshal
import os
import pkgutil
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import stores

ROOT = Path(__file__).parent.parent.parent

HEAVY = (
    *(
        "torch._dynamo",
        "mlflow",
        "mlflow.pyfunc",
        "mlflow.store.tracking.sqlalchemy_store",
        "alembic",
    ),
    *("pandas", "matplotlib.pyplot", "PIL.Image", "jinja2", "scipy.stats", "optuna"),
    *("sklearn.linear_model", "sklearn.feature_extraction.text", "sklearn.metrics"),
)
"""Packages of others, some of which seqexp imports only where it needs them."""

LIGHT = {"-h", "--help", "--hydra-help", "--version"}
"""What is quick because it imports nothing heavy, so that a server would hide that it does."""

GIVEN = frozenset(os.environb)
"""Variables that the server was started with: imports set others, as in any process."""

CLIENT = """
import os, sys
path, *words = sys.argv[1:]
if words[:2] != ["-m", "seqexp"] or {light!r} & set(words):
    os.execv({python!r}, [{python!r}, *words])
import marshal, socket
server = socket.socket(socket.AF_UNIX)
server.connect(path)
sent = marshal.dumps((words[2:], os.getcwdb(), dict(os.environb)))
socket.send_fds(server, [len(sent).to_bytes(8, "big")], [0, 1, 2])
server.sendall(sent)
said = server.recv(8)
if not said:
    sys.exit("the server of forks is gone")
status = int(said)
if status < 0:
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@contextlib.contextmanager
def python() -> Iterator[Path]:
    """The path of an executable `python` whose `-m seqexp` is a fork of a server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "client.py").write_text(CLIENT.format(light=LIGHT, python=sys.executable))
        address = folder / "socket"
        words = f'"{sys.executable}" -IS "{folder / "client.py"}" "{address}"'
        (folder / "python").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        (folder / "python").chmod(0o755)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("SEQEXP", "HYDRA", "MLF"))}
        env |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, __file__, str(address)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=folder
        ) as server:
            assert server.stdout is not None and server.stdin is not None
            assert server.stdout.readline() == b"ready\n"
            try:
                yield folder / "python"
            finally:
                server.stdin.close()  # it ends


@dataclass(frozen=True)
class Call:
    """The words, folder and variables of a call, and where it is waited for."""

    words: list[str]
    folder: bytes
    variables: dict[bytes, bytes]
    caller: socket.socket
    streams: list[int]

    @classmethod
    def read(cls, caller: socket.socket) -> "Call":
        """What a caller sends."""
        size, streams, _, _ = socket.recv_fds(caller, 8, 3)
        sent = caller.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
        return cls(*marshal.loads(sent), caller, list(streams))

    def begin(self) -> None:
        """Become the process that was called for."""
        os.setpgid(0, 0)
        os.chdir(self.folder)
        for number, stream in enumerate(self.streams):
            os.dup2(stream, number)
            os.close(stream)
        _open_streams()
        wanted = _of_interpreter(self.variables)
        if wanted != _of_interpreter(dict(os.environb)):
            os.execve(sys.executable, [sys.executable, "-m", "seqexp", *self.words], self.variables)
        by_imports = {k: v for k, v in os.environb.items() if k not in GIVEN}
        os.environb.clear()
        os.environb.update(by_imports | self.variables)
        sys.path[0] = str(Path.cwd())
        sys.argv = ["-m", *self.words]


def _open_streams() -> None:
    """New objects for the streams, which the server's own know to be of another kind of file."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, f"__{name}__")
        stream = open(  # noqa: PTH123, SIM115
            number,
            mode="w" if number else "r",
            buffering=1 if number == 2 or os.isatty(number) else -1,
            encoding=old.encoding,
            errors=old.errors,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


READ_ONCE = (b"PYTHON", b"LC_", b"LANG", b"WORLD_SIZE", b"RANK")
"""How variables begin that are read when Python starts, or when seqexp is imported."""


def _of_interpreter(variables: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Variables of these; a path of the source tree's changes nothing."""
    named = {k: v for k, v in variables.items() if k.startswith(READ_ONCE)}
    if named.get(b"PYTHONPATH") == os.fsencode(ROOT):
        del named[b"PYTHONPATH"]
    return named


def watched(call: Call) -> None:
    """Fork the process and return in it; its parent tells the caller how it ended, and ends."""
    child = os.fork()
    if child == 0:
        call.caller.close()
        call.begin()
        return
    for stream in call.streams:
        os.close(stream)
    ends, status = os.pidfd_open(child), None
    while status is None:
        ready, _, _ = select.select([ends, call.caller], [], [])
        if ends not in ready:  # the caller was killed
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        _, ended = os.waitpid(child, 0)
        status = os.waitstatus_to_exitcode(ended)
    with contextlib.suppress(OSError):
        call.caller.sendall(str(status).encode())
    os._exit(0)


def forks(address: str) -> None:
    """Answer callers until the standard input ends; returns in each process that is called for."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([server, 0], [], [])
            if 0 in ready:
                sys.exit()
            caller, _ = server.accept()
            if os.fork() == 0:
                break
            caller.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    watched(Call.read(caller))


def prepare() -> None:
    """Import all that a command may need, and look through none of it again in a fork."""
    import seqexp

    for name in HEAVY:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for module in pkgutil.walk_packages(seqexp.__path__, "seqexp."):
        # sweepers after Hydra has looked for plugins, as in any process: it loads its own once more
        if not re.search(r"\.sweeper|\.optuna|__main__", module.name):
            importlib.import_module(module.name)
    assert "hydra._internal.core_plugins.basic_sweeper" not in sys.modules
    with contextlib.suppress(AttributeError):  # a second, in each process that saves a model
        importlib.import_module("mlflow.utils.requirements_utils")._init_modules_to_packages_map()
    stores.make_first()  # as long, in each process that has a new store
    assert threading.active_count() == 1, "a fork would miss threads"
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    prepare()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    forks(sys.argv[1])
    runpy._run_module_as_main("seqexp")  # type: ignore[attr-defined]  # what -m does
