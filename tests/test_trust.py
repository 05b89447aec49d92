"""What our own configs name passes as stored, and needs no import."""

import re
from pathlib import Path

import pytest
from conftest import ROOT

from seqexp.config import SUPPLIED
from seqexp.errors import InputError
from seqexp.trust import refuse_other_code

NAMED = sorted(
    {
        (group, target)
        for group in SUPPLIED
        for file in (ROOT / "conf" / group).rglob("*.yaml")
        for target in re.findall(r"^ *_target_: (\S+)", file.read_text(), re.M)
    }
)


def test_every_group_is_there() -> None:
    assert {group for group, _ in NAMED} == set(SUPPLIED)


@pytest.mark.parametrize(("group", "target"), NAMED)
def test_what_our_configs_name_passes(group: str, target: str) -> None:
    refuse_other_code({group: {"_target_": target}}, "a config", ())


OWN = """
import os
from subprocess import run
from torch import nn
class Model(nn.Module): pass
def model(): return Model()
made = type("made", (), {})
"""


@pytest.mark.parametrize("name", ["Model", "model", "made"])
def test_a_package_of_ones_own_passes_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "my_own.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    config = {"model": {"_target_": f"my_own.{name}"}}
    refuse_other_code(config, "a config", ["my_own"])
    with pytest.raises(InputError, match="allowed are names in seqexp.model"):
        refuse_other_code(config, "a config", [])


@pytest.mark.parametrize("name", ["run", "os.system", "nn.Module"])
def test_what_a_trusted_package_imports_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "my_own_too.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=f"_target_ is 'my_own_too.{name}'"):
        refuse_other_code({"model": {"_target_": f"my_own_too.{name}"}}, "x", ["my_own_too"])
