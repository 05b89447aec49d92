"""Builds what is written in C++ when it is first used, and keeps it.

What is built depends on nothing but the source, the compiler and the processor, which are its key
in the user's cache: `SEQEXP_CACHE`, or `seqexp` in `XDG_CACHE_HOME` or `~/.cache`.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMPILERS = ("c++", "g++", "clang++")
"""Tried in this order, after `CXX`."""

FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fPIC", "-shared")
"""Nobody asks for errno, without which a loop over square roots becomes one over vectors."""

THREADS = (("-fopenmp",), ())
"""With OpenMP; where the compiler has none, by one thread."""

TIMEOUT = 120
"""Seconds for a compilation, which takes two."""


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
        return Built(ctypes.CDLL(str(file)), "", f"{command[0]}: {version}")
    except _NoneBuiltError as error:
        return Built(None, str(error))
    except (OSError, subprocess.SubprocessError, IndexError) as error:
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
    flags = [*FLAGS, native, *defined]
    files = sorted(file for file in source.parent.iterdir() if file.is_file())
    sources = [file.read_text(encoding="utf-8") for file in files]
    parts = (*sources, version, _processor(), *command, *flags)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
    file = _cache() / f"{source.stem}-{key}.so"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        _build([*command, *flags, str(source)], file)
    return file


def _cache() -> Path:
    given = os.environ.get("SEQEXP_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(given) if given else Path(base) / "seqexp"


def _processor() -> str:
    """What `native` means here: other machines may share the cache."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU "))]
    return "\n".join(sorted(set(told)))


def _build(command: Sequence[str], file: Path) -> None:
    """Compile to a name of our own, then rename: other processes may be building the same."""
    with tempfile.TemporaryDirectory(dir=file.parent, prefix="building-") as folder:
        for threads in THREADS:
            output = Path(folder) / file.name
            done = subprocess.run(
                [*command, *threads, "-o", str(output)],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
            if done.returncode == 0:
                output.replace(file)
                return
    lines = done.stderr.splitlines() or [f"exit status {done.returncode}"]
    first = next((line for line in lines if "error" in line.lower()), lines[0])
    raise _NoneBuiltError(f"{command[0]} failed: {first.strip()}")


def _output(command: Sequence[str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=TIMEOUT, check=True
    ).stdout
