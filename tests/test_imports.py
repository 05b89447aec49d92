"""Each module works by what it imports itself, whatever others have imported before."""

import os
import pkgutil
import subprocess
import sys

import pytest
from conftest import ROOT

import seqexp

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")


def test_each_module_can_be_imported_alone_and_imports_what_it_names() -> None:
    found = pkgutil.walk_packages(seqexp.__path__, "seqexp.")
    names = [module.name for module in found]
    assert {"seqexp.cli.main", "seqexp.interpret.filters.tomtom", "seqexp.tracking.mlflow"} <= {
        *names
    }
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests/tools/importing.py"), *names]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
