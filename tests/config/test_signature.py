"""Signatures read from source say the same as those of the imported objects."""

import inspect
import re
import sys
import types
from typing import Literal

import pytest
from conftest import ROOT

from seqexp.config.groups import SUPPLIED
from seqexp.config.signature import TargetError, signature
from seqexp.ranges import Size

TARGETS = sorted(
    {
        *re.findall(
            r"^ *_target_: ((?:seqexp|torch)\S+)",
            "\n".join(file.read_text() for file in (ROOT / "conf").rglob("*.yaml")),
            re.MULTILINE,
        ),
        "torch.optim.lr_scheduler.OneCycleLR",
    }
)


def test_targets_are_found_in_the_configs() -> None:
    assert len(TARGETS) > 10 and "seqexp.model.cnn1d.CNN1D" in TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_source_and_import_agree(target: str) -> None:
    module, _, name = target.rpartition(".")
    __import__(module)
    real = inspect.signature(getattr(sys.modules[module], name)).parameters
    read = signature(target).parameters
    assert list(read) == list(real)
    for name, parameter in real.items():
        assert read[name].required == (parameter.default is parameter.empty), name
        if isinstance(parameter.default, int | float | str | bool | None):
            assert read[name].default == parameter.default, name


def test_annotations_keep_their_range() -> None:
    parameters = signature("seqexp.model.cnn1d.CNN1D").parameters
    assert parameters["num_filters"].annotation == Size
    assert parameters["embedding_size"].annotation == Size | Literal["auto"] | None


def test_a_class_without_a_constructor_takes_that_of_its_base() -> None:
    assert "params" in signature("torch.optim.Optimizer").parameters


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("nowhere.Thing", "nowhere"),
        ("seqexp.model.cnn1d.CNN2D", "CNN2D"),
        ("seqexp.model.nothing.X", "seqexp.model.nothing"),
        ("CNN1D", "not a dotted name"),
    ],
)
def test_a_name_that_leads_nowhere_is_an_error(target: str, says: str) -> None:
    with pytest.raises(TargetError, match=says):
        signature(target)


def test_a_class_made_at_run_time_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("made_at_run_time")

    class Thing:
        def __init__(self, size: int, name: str = "x") -> None: ...

    module.Thing = Thing  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_at_run_time", module)
    found = signature("made_at_run_time.Thing")
    assert found.parameters["size"].annotation is int
    assert found.parameters["name"].default == "x"


def test_what_seqexp_supplies_is_what_constructors_take() -> None:
    assert SUPPLIED["model"] <= set(signature("seqexp.model.cnn1d.CNN1D").parameters)
    assert SUPPLIED["optimizer"] <= set(signature("torch.optim.Adam").parameters)
    schedules = (signature(f"seqexp.optimizer.schedule.{name}") for name in ("cosine", "plateau"))
    assert SUPPLIED["schedule"] <= {name for one in schedules for name in one.parameters}
