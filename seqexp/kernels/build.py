"""Builds what is written in C++ when it is first used, and keeps it.

What is built depends on nothing but the source, the compiler and the processor, which are its key
in the user's cache: `SEQEXP_CACHE`, or `seqexp` in `XDG_CACHE_HOME` or `~/.cache`. A library is
code that runs as us, so that one is loaded only where the folder and the file are ours and nobody
else may write there; otherwise it is built in a folder of this process's own.
"""

import atexit
import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch

from seqexp.utils.phases import KERNELS, phase

REALS = {torch.float32: "float", torch.float64: "double"}
"""Types of numbers that kernels are built for, and their names in C++."""

COMPILERS = ("c++", "g++", "clang++")
"""Tried in this order, after `CXX`."""

FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fPIC", "-shared")
"""Nobody asks for errno, without which a loop over square roots becomes one over vectors."""

EXACT = {"tomtom": ("-ffp-contract=off",)}
"""Flags by source: where numbers are rounded to whole ones, no product is fused with a sum."""

THREADS = (("-fopenmp",), ())
"""With OpenMP; where the compiler has none, by one thread."""

TIMEOUT = 40
"""Seconds for a compilation, which takes two; on a loaded machine ten."""

ANSWER = 10
"""Seconds for a compiler to say its version."""

PATIENCE = 5
"""Seconds after which a line says what is waited for."""

FUNCTIONS = {
    "recurrence": ("forward", "back", "may_run", "kept"),
    "convolution": ("forward", "back"),
    "rows": ("catch_up", "step"),
    "pair_hmm": ("align",),
    "tomtom": ("compare",),
}
"""Of each source, what its library has to have."""

log = logging.getLogger("seqexp")


@dataclass(frozen=True)
class Built:
    """A library, or why there is none; and what it was built by."""

    binary: ctypes.CDLL | None
    reason: str
    compiler: str = ""


@functools.cache
def built(source: Path, *defined: str) -> Built:
    """A library with a plain C interface, of a source file that stands in a folder of its own.

    Args:
        source: a .cpp file, perhaps with headers beside it.
        defined: macros, each `NAME=value`.

    Returns what was found or built, once a process.
    """
    try:
        command = _compiler()
        version = _output([*command, "--version"]).splitlines()[0]
        file = _kept(source, command, version, [f"-D{macro}" for macro in defined])
        binary = ctypes.CDLL(str(file))
        lacking = [name for name in FUNCTIONS[source.stem] if not hasattr(binary, name)]
        if lacking:
            raise _NoneBuiltError(f"{file} has no {', '.join(lacking)}: {command[0]} is at fault")
        return Built(binary, "", f"{command[0]}: {version}")
    except _NoneBuiltError as error:
        return Built(None, str(error))
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return Built(None, f"{type(error).__name__}: {error}")


class _NoneBuiltError(Exception):
    """Why there is nothing to load."""


def _compiler() -> list[str]:
    given = shlex.split(os.environ.get("CXX", ""))
    if given and shutil.which(given[0]) is None:
        raise _NoneBuiltError(f"CXX is {given[0]}, and there is no such compiler")
    if given:
        return given
    found = next((name for name in COMPILERS if shutil.which(name)), None)
    if found is None:
        raise _NoneBuiltError(f"there is no C++ compiler: CXX, {', '.join(COMPILERS)}")
    return [found]


def _kept(source: Path, command: Sequence[str], version: str, defined: Sequence[str]) -> Path:
    """The library in the cache, built if it is not there."""
    native = "-mcpu=native" if platform.machine() in ("aarch64", "arm64") else "-march=native"
    flags = [*FLAGS, native, *EXACT.get(source.stem, ()), *defined]
    files = sorted(file for file in source.parent.iterdir() if file.is_file())
    sources = [file.read_text(encoding="utf-8") for file in files]
    parts = (*sources, version, _processor(), *command, *flags)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    file = _place(f"{source.stem}-{key}.so")
    if not file.is_file():
        _build([*command, *flags, str(source)], file)
    return file


def _place(name: str) -> Path:
    """The place of a library, in a folder that only this user can write."""
    folder = _cache()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = _fault(folder) or _fault(folder / name)
    if told is None:
        return folder / name
    ours = _default_cache()
    with contextlib.suppress(OSError, RuntimeError):  # there may be no home
        if ours != folder:
            ours.mkdir(parents=True, exist_ok=True, mode=0o700)
            if (_fault(ours) or _fault(ours / name)) is None:
                _say_once(f"{told}; compiled kernels are kept in {ours} instead")
                return ours / name
    _say_once(f"{told}; compiled kernels are built in a private folder instead, for this process")
    return _private() / name


def _fault(path: Path) -> str | None:
    """Why a folder or file may hold what others have put there; None if not, or if it is not there.

    Whoever may write a folder above may put another in this one's place, but for a sticky one, as
    /tmp.
    """
    if not hasattr(os, "getuid"):  # a system without such owners
        return None
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISLNK(found.st_mode) and found.st_uid == os.getuid() and path.is_dir():
        return _fault(path.resolve())
    if not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
        return f"{path} is neither a file nor a folder of ours"
    if found.st_uid != os.getuid():
        return f"{path} is of another user (number {found.st_uid})"
    if _is_open(found):
        return f"{path} may be written by others ({stat.filemode(found.st_mode)})"
    for above in path.absolute().parents:
        found = above.stat()
        if found.st_uid not in (0, os.getuid()):
            return f"{above} is of another user (number {found.st_uid})"
        if _is_open(found) and not found.st_mode & stat.S_ISVTX:
            return f"{above} may be written by others ({stat.filemode(found.st_mode)})"
    return None


def _is_open(found: os.stat_result) -> bool:
    """Whether others may write; a group that has the user alone, as some systems do, is none."""
    if not found.st_mode & stat.S_IWGRP or found.st_mode & stat.S_IWOTH:
        return bool(found.st_mode & stat.S_IWOTH)
    import grp
    import pwd

    try:
        group, user = grp.getgrgid(found.st_gid), pwd.getpwuid(os.getuid())
    except KeyError:
        return True
    is_own = group.gr_name == user.pw_name and user.pw_gid == group.gr_gid
    return not is_own or any(member != user.pw_name for member in group.gr_mem)


@functools.cache
def _private() -> Path:
    """A folder of this process's own, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="seqexp-kernels-"))  # 0700, of a name nobody knows
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _say_once(line: str) -> None:
    log.warning(line)


def _cache() -> Path:
    given = os.environ.get("SEQEXP_CACHE")
    return Path(given) if given else _default_cache()


def _default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqexp"


def _processor() -> str:
    """The processor that `native` means: other machines may share the cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU "))]
    return "\n".join(sorted(set(told)))


def _build(command: Sequence[str], file: Path) -> None:
    """Compile in a folder of our own, then rename: other processes may be building the same."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="building-") as folder:
        for threads in THREADS:
            output = Path(folder) / file.name
            with phase("building kernels, once on this machine", KERNELS):
                compiling = [*command, *threads, "-o", str(output)]
                done = _ran(compiling, TIMEOUT, "to build the kernels")
            if done.returncode == 0 and output.is_file():
                output.chmod(0o700)
                output.replace(file)
                return
    lines = done.stderr.splitlines() or [f"exit status {done.returncode}, and no library"]
    first = next((line for line in lines if "error" in line.lower()), lines[0])
    raise _NoneBuiltError(f"{command[0]} failed: {first.strip()[:500]}")


def _output(command: Sequence[str]) -> str:
    done = _ran(command, ANSWER, "to say its version")
    if done.returncode != 0 or not done.stdout.strip():
        raise _NoneBuiltError(f"{command[0]} does not say its version, and may be no compiler")
    return done.stdout


def _ran(command: Sequence[str], limit: int, what: str) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end, or until its time is over.

    Raises:
        _NoneBuiltError: when its time is over, or was for another library.
        OSError: if it cannot be started.
    """
    if command[0] in _SLOW:
        raise _NoneBuiltError(_SLOW[command[0]])
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    told = (bytearray(), bytearray())
    pipes = zip((process.stdout, process.stderr), told, strict=True)
    helpers = [threading.Thread(target=_keep, args=given, daemon=True) for given in pipes]
    line = f"waiting for {command[0]} {what}, {limit} seconds at most"
    helpers.append(waiting := threading.Timer(PATIENCE, log.warning, [line]))
    waiting.daemon = True
    try:
        for helper in helpers:
            helper.start()
        status = process.wait(limit)
    except subprocess.TimeoutExpired as error:
        _SLOW[command[0]] = f"{command[0]} took more than {limit} seconds {what}"
        log.warning(f"{_SLOW[command[0]]}; there are no compiled kernels")
        raise _NoneBuiltError(_SLOW[command[0]]) from error
    finally:
        waiting.cancel()
        _end(process)
        for helper in helpers[:-1]:
            helper.join(1)  # what it has started may live on, and hold the pipe
    out, err = (bytes(text).decode(errors="replace") for text in told)
    return subprocess.CompletedProcess(command, status, out, err)


_SLOW: dict[str, str] = {}
"""Compilers that did not answer in time, and the message of each."""


def _keep(pipe: IO[bytes], into: bytearray) -> None:
    """The first megabyte that a program prints."""
    with pipe:
        while piece := pipe.read(2**16):
            into += piece[: max(0, 2**20 - len(into))]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program, and what it has started."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            process.kill()
        process.wait()
