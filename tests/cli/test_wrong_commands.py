"""Wrong commands end with a message and status 2: some of those of `tools/wrong_commands.py`."""

import subprocess
import sys

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT))  # it is run as `python -m tests.tools.wrong_commands`

from tests.tools.wrong_commands import FLAGS, KEYS, VALUES, at_random, hand_made


def test_thirty_wrong_commands_neither_crash_nor_hang_nor_leave_anything() -> None:
    command = [sys.executable, "-m", "tests.tools.wrong_commands", "--hand", "20", "--random", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "30 commands (20 by hand)" in done.stdout and " 0 at fault" in done.stdout


def test_there_are_enough_of_them_and_a_seed_gives_the_same() -> None:
    assert len(hand_made()) >= 200 and len(set(hand_made())) == len(hand_made())
    assert at_random(50, 3) == at_random(50, 3) != at_random(50, 4)
    assert min(map(len, (KEYS, VALUES, FLAGS))) > 10


@pytest.mark.parametrize("status", [1, 2])
def test_the_script_tells_a_fault(status: int) -> None:
    """A guard shows that it guards: statuses, tracebacks and files left behind."""
    from tests.tools.wrong_commands import Outcome

    assert (Outcome(("x",), status, "said", 0.1, ()).faults == []) == (status == 2)
    assert Outcome(("x",), 2, "Traceback (most recent call last)", 0.1, ()).faults == ["traceback"]
    assert Outcome(("x",), 2, "said", 61, ()).faults == ["hangs"]
    assert Outcome(("x",), 2, "said", 0.1, ("a",)).faults == ["left a"]
    assert Outcome(("x",), 2, "", 0.1, ()).faults == ["no message"]
