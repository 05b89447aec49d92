"""A command that is sent a signal at a line of what it says."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path


def stopped(folder: Path, arguments: tuple[str, ...], number: int, line: str, nth: int) -> int:
    """Start a sweep, and send it a signal when a line has come for the nth time."""
    command = [sys.executable, "-u", "-m", "seqexp", *arguments]
    # a shell that starts the tests in its background has them ignore Ctrl-C, and their children
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(
        command, cwd=folder, preexec_fn=heed, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        for told in process.stdout:
            nth -= line.encode() in told
            if not nth:
                break
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode
