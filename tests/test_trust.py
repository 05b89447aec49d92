"""What our own configs name passes as stored, and needs no import."""

import re

import pytest
from conftest import ROOT

from seqexp.config import SUPPLIED
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
