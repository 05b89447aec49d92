"""Every advertised training runs as it stands, in a process and a folder of its own."""

import pytest
from conftest import ROOT
from sources import COMPOSED, ELSEWHERE, STATUS, advertised, as_typed, reason, training

pytest_plugins = ("shell",)

RUN, PLANNED = training()


@pytest.mark.parametrize("command", RUN, ids=lambda command: command.line)
def test_an_advertised_training_runs(command, shell) -> None:  # type: ignore[no-untyped-def]
    shell.type(as_typed(command), STATUS.get(command.line, 0))


def test_trainings_were_found_in_every_kind_of_place() -> None:
    places = {command.place.partition(":")[0] for command in advertised()}
    assert {"README.md", "python -m seqexp --help", "conf/decode/sample.yaml"} <= places
    assert len(RUN) > 40 and len(PLANNED) > 20
    assert (ROOT / "README.md").is_file()


@pytest.mark.parametrize("part", [*COMPOSED, *ELSEWHERE])
def test_an_exception_is_still_one(part: str) -> None:
    assert any(part in command.line for command in advertised()), part
    if part in ELSEWHERE:
        assert any(reason(command) for command in advertised() if part in command.line)
