"""The law of names: what configs may call, and that stored ones call nothing else."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT
from hydra import compose, initialize_config_dir

from seqexp.build import build_optimizer, build_torch, parts
from seqexp.cli import resolvers  # noqa: F401  (what its import adds to OmegaConf)
from seqexp.config.check import check
from seqexp.config.groups import CONF, SUPPLIED
from seqexp.config.trust import name_fault, offered, refuse_other_code
from seqexp.errors import ConfigError, InputError

NAMED = sorted(
    {
        (group, target)
        for group in SUPPLIED
        for file in (ROOT / "conf" / group).rglob("*.yaml")
        for target in re.findall(r"^_target_: (\S+)", file.read_text(), re.M)
    }
)


def test_every_group_is_there() -> None:
    assert {key.partition(".")[0] for key in offered()} == set(SUPPLIED)
    assert len(NAMED) > 20


@pytest.mark.parametrize(("group", "target"), NAMED)
def test_what_our_configs_name_passes(group: str, target: str) -> None:
    assert target in offered()[group]
    refuse_other_code({group: {"_target_": target}}, "a config", ())


def test_no_torch_is_imported_to_know_the_law() -> None:
    code = (
        "import sys; from seqexp.config.trust import name_fault\n"
        "assert name_fault('optimizer', 'torch.optim.RMSprop') is None\n"
        "assert name_fault('model', 'torch.hub.load') is not None\n"
        "assert not {'torch', 'pydantic', 'hydra', 'omegaconf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adagrad", "Adadelta", "NAdam", "SGD"])
def test_each_optimizer_of_pytorch_passes_where_it_belongs(name: str) -> None:
    assert name_fault("optimizer", f"torch.optim.{name}") is None
    for key in ("model", "schedule", "trainer"):
        assert name_fault(key, f"torch.optim.{name}") is not None


@pytest.mark.parametrize("name", ["lr_scheduler.StepLR", "lr_scheduler.ExponentialLR"])
def test_each_schedule_of_pytorch_passes_where_it_belongs(name: str) -> None:
    assert name_fault("schedule", f"torch.optim.{name}") is None
    assert name_fault("optimizer", f"torch.optim.{name}") is not None


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("dataset", "seqexp.dataset.characters.progress.Done"),
        ("dataset", "seqexp.dataset.pfm.read_pfms"),
        ("model", "seqexp.kernels.build._output"),
        ("model", "seqexp.model.recurrent.Recurrent"),
        ("model", "seqexp.dataset.motif.Motif"),
        ("trainer", "seqexp.trainer.settings.BPTT"),
        ("trainer.bptt", "seqexp.trainer.settings.Settings"),
        ("decode", "seqexp.decode.sample.draw"),
        ("tracking", "seqexp.sweep.launcher.Local"),
        ("optimizer", "torch.optim.swa_utils.AveragedModel"),
        ("optimizer", "torch.optim.adam.torch.load"),
        ("optimizer", "torch.optim.Optimizer"),
        ("schedule", "torch.optim.swa_utils.update_bn"),
        ("hydra.run", "seqexp.model.lstm.LSTM"),
        ("model", "seqexp.model.lstm.LSTM.__init__"),
        ("model", "LSTM"),
        ("model", ""),
        ("model", None),
        ("model", ["seqexp.model.lstm.LSTM"]),
    ],
)
def test_of_ours_only_what_conf_names_at_the_key_passes(key: str, target: Any) -> None:
    for trusted in ((), ("seqexp",), ("mine",)):
        told = name_fault(key, target, trusted)
        assert told is not None and told.startswith(f"{key}._target_ is {target!r}")


def test_part_of_ones_own_may_hold_what_its_group_offers() -> None:
    assert name_fault("dataset.base", "seqexp.dataset.chars.Chars") is None
    assert name_fault("dataset.parts[0].base", "seqexp.dataset.chars.Chars") is None
    assert name_fault("dataset.base", "seqexp.model.lstm.LSTM") is not None


OWN = """
import functools
import os
import subprocess as sp
from os import system
from subprocess import run, Popen as Program
from torch import nn
from my_own_parts.inner import Inner

class Model(nn.Module):
    system = os.system
    @classmethod
    def make(cls): return cls()

def model(): return Model()
@functools.cache
def kept(): return Model()
made = type("made", (), {})
part = functools.partial(Model)

alias = os.system
listed = [os.system]
hidden = functools.partial(os.system)
try:
    from os import popen
except ImportError:
    popen = None
if True:
    from os import execv as start
def twice(): pass
try:
    from os import abort as twice
except ImportError:
    pass
with_lambda = (lambda: os.abort)()
def __getattr__(name):
    if name == "late":
        return os.system
    raise AttributeError(name)
"""


TOOLS = """
import torch

class Halved(torch.optim.SGD):
    def __init__(self, params, lr: float = 0.1, momentum: float = 0.0, nesterov: bool = False):
        super().__init__(params, lr / 2, momentum, nesterov=nesterov)

def falling(optimizer, share: float):
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: share ** step)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_own_parts").mkdir()
    (folder / "my_own_parts" / "__init__.py").write_text(OWN)
    (folder / "my_own_parts" / "inner.py").write_text("class Inner: pass")
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))


@pytest.mark.parametrize("name", ["Model", "model", "kept", "made", "part", "Inner", "inner.Inner"])
def test_what_a_trusted_package_defines_passes(own: None, name: str) -> None:
    config = {"model": {"_target_": f"my_own_parts.{name}"}}
    refuse_other_code(config, "a config", ["my_own_parts"])
    with pytest.raises(InputError, match="allowed are seqexp.model"):
        refuse_other_code(config, "a config", [])


IMPORTED = ["run", "system", "Program", "alias", "hidden", "popen", "start", "twice", "late"]
REACHED = ["os.system", "sp.run", "nn.Module", "Model.system", "listed", "with_lambda"]


@pytest.mark.parametrize("name", [*IMPORTED, *REACHED, "missing", "os", "functools.partial"])
def test_what_a_trusted_package_imports_is_not_trusted(own: None, name: str) -> None:
    target = f"my_own_parts.{name}"
    for key in ("model", "dataset.base"):
        group, _, part = key.partition(".")
        node = {"_target_": target}
        with pytest.raises(InputError, match=f"{key}._target_ is '{target}'"):
            refuse_other_code({group: {part: node} if part else node}, "x", ["my_own_parts"])


@pytest.mark.parametrize("name", ["_args_", "_partial_", "_recursive_", "_convert_"])
def test_instructions_of_hydra_are_refused(name: str) -> None:
    model = {"_target_": "seqexp.model.lstm.LSTM", name: True}
    for config in ({"model": model}, {"dataset": {"parts": [{name: 1}]}}):
        with pytest.raises(InputError, match=f"holds '{name}', an instruction of Hydra's"):
            refuse_other_code(config, "x", ["my_own_parts"])


@pytest.mark.parametrize("key", ["hydra", "extra", "paths"])
def test_names_outside_of_groups_are_refused(key: str) -> None:
    with pytest.raises(InputError, match=f"{key}.a._target_ is 'os.system'; allowed are no names"):
        refuse_other_code({key: {"a": {"_target_": "os.system"}}}, "x", [])


def test_an_own_optimizer_and_schedule_need_their_package_and_then_train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_tools.py").write_text(TOOLS)
    monkeypatch.syspath_prepend(str(tmp_path))
    given = [
        *("optimizer=sgd", "schedule=constant", "optimizer._target_=my_tools.Halved"),
        *("schedule._target_=my_tools.falling", "+schedule.share=0.5"),
        *("~optimizer.weight_decay", "~optimizer.fused", "optimizer.lr=0.5"),
    ]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = [compose("config", [*given, *t]) for t in ([], ["trusted_packages=[my_tools]"])]
    with pytest.raises(ConfigError) as error:
        check(composed[0])
    assert str(error.value).count("add your package, as trusted_packages=[my_tools]") == 2
    own = parts(check(composed[1]), only_trains=True)
    model = torch.nn.Linear(1, 1)
    optimizer = build_optimizer(own.optimizer, model, torch.device("cpu"))
    scheduler = build_torch("schedule", own.schedule, optimizer=optimizer)
    assert scheduler.get_last_lr() == [0.25]
    model(torch.ones(1, 1)).sum().backward()
    optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [0.125]
