"""The groups of the configuration, and what each may name."""

from pathlib import Path
from typing import Any

Config = dict[str, Any]
"""A resolved composition: plain dicts, lists and values."""


SUPPLIED: dict[str, frozenset[str]] = {
    "dataset": frozenset(),
    "model": frozenset({"spec"}),
    "trainer": frozenset(),
    "optimizer": frozenset({"params"}),
    "schedule": frozenset({"optimizer", "total_steps"}),
    "interpret": frozenset(),
    "decode": frozenset(),
    "gradient_flow": frozenset(),
    "tracking": frozenset(),
    "launcher": frozenset(),
    "sweeper": frozenset(),
}
"""The config's groups, and the arguments of each that seqexp passes itself."""


OPTIONAL_GROUPS = ("interpret", "decode", "gradient_flow")


_HERE = Path(__file__).resolve().parent.parent  # the package
CONF = next(p for p in (_HERE / "conf", _HERE.parent / "conf") if (p / "config.yaml").is_file())
"""The config folder: inside an installed package, or at the top of the source tree."""
