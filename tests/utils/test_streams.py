"""Commands whose streams are closed, broken, or cannot write every letter."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

CODE = """
import sys
from seqexp.utils.streams import at_any_terminal

@at_any_terminal
def main():
    print(sys.argv[1] * int(sys.argv[2]))

main()
"""


def said(
    text: str, times: int = 1, redirect: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """What a command prints, through a shell that redirects it."""
    line = f'set -o pipefail; "$0" -c "$1" "$2" {times} {redirect}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, CODE, text],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
        timeout=60,
    )


def test_what_a_terminal_cannot_write_is_an_escape() -> None:
    done = said("h\u00e9 \U0001f600", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "h\\xe9 \\U0001f600\n")
    done = said("h\u00e9", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0 and done.stderr == ""


def test_a_reader_that_goes_away_ends_a_command_silently() -> None:
    done = said("x", 10**6, "| head -c 1")
    assert (done.returncode, done.stdout, done.stderr) == (141, "x", "")


def test_closed_streams_are_no_fault() -> None:
    done = said("x", 1, "<&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_full_disk_behind_standard_output_is_said_in_words() -> None:
    done = said("x", 10**6, ">/dev/full")
    assert done.returncode == 1
    assert done.stderr.startswith("seqexp: standard output: cannot be written (No space left")
    assert "Traceback" not in done.stderr
