"""The table of groups says what the config, the check and the constructors say."""

import yaml
from conftest import ROOT

from seqexp.config.check import SECTIONS, Root
from seqexp.config.groups import BESIDE, GROUPS, NOT_IN_FINGERPRINT, OPTIONAL_GROUPS, UNTOLD
from seqexp.config.signature import signature

CONF = ROOT / "conf"


def test_the_table_has_the_groups_that_the_config_composes() -> None:
    entries = yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    composed = {name for entry in entries if isinstance(entry, dict) for name in entry}
    assert composed == {*GROUPS, "experiment"}
    assert {*BESIDE} == {*Root.__annotations__, *SECTIONS}


def test_a_group_that_may_be_null_has_an_option_none() -> None:
    assert OPTIONAL_GROUPS
    for name in OPTIONAL_GROUPS:
        assert yaml.safe_load((CONF / name / "none.yaml").read_text()) == {name: None}


def test_what_decides_nothing_of_the_result_is_an_argument_of_some_option() -> None:
    for group in GROUPS.values():
        files = sorted((CONF / group.name).glob("*.yaml"))
        nodes = [yaml.safe_load(file.read_text()) for file in files]
        targets = {node["_target_"] for node in nodes if "_target_" in node}
        known = {name for target in targets for name in signature(target).parameters}
        assert known >= {*group.free}, group.name


def test_what_a_run_depends_on_is_told_of_it() -> None:
    assert {"dataset", "model", "trainer", "seed"} & {*NOT_IN_FINGERPRINT} == set()
    assert {"paths", "tracking", "force"} <= {*NOT_IN_FINGERPRINT}
    assert {*UNTOLD} < {*NOT_IN_FINGERPRINT}
