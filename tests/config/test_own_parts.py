"""Metrics, callbacks and losses of a user's own in a config: checked by their source alone."""

import copy
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from training import composed

from seqexp.checkpoint.identity import fingerprint
from seqexp.config.check import check
from seqexp.config.differing import differing
from seqexp.errors import ConfigError
from seqexp.metrics import OWN, direction, higher_is_better
from seqexp.sweep.dry_run import own_code

SOURCE = """
from seqexp.errors import InputError
from seqexp.ranges import Positive
raise RuntimeError("is imported")

def cost(predictions, targets, missed: Positive = 10.0): ...

def other(y_true, y_pred): ...

def loss(outputs, targets, mask, gamma: Positive): ...

class Looks:
    def __init__(self, run, every: int = 1): ...
"""

TRUSTED = "trusted_packages=[my_parts]"
COST = ("metrics.cost._target_=my_parts.cost", "metrics.cost.higher_is_better=false")


@pytest.fixture(autouse=True, scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("parts")
    (folder / "my_parts.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    for metric in [name for name in OWN if name.endswith("cost")]:
        del OWN[metric]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    plain = OmegaConf.to_container(composed(tmp_path_factory.mktemp("x")), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def checked(base: dict[str, Any], *given: str, trusted: str = TRUSTED) -> dict[str, Any]:
    """The check of a composition with more keys, as the command line would add them."""
    config = OmegaConf.create(copy.deepcopy(base))
    for item in (trusted, *given):
        key, _, value = item.partition("=")
        OmegaConf.update(config, key, yaml.safe_load(value.replace(":", ": ")), merge=False)
    return check(config)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (COST[:1], "metrics.cost.higher_is_better: missing; give true or false"),
        ((*COST, "metrics.cost.mised=1"), "metrics.cost.mised: unknown; did you mean missed?"),
        ((*COST, "metrics.cost.missed=-1"), "metrics.cost.missed is -1; give a number above 0"),
        ((*COST, "metrics.cost.targets=1"), "metrics.cost.targets: seqexp gives this itself"),
        ((*COST, "trainer.monitor=valid/costs"), "did you mean valid/cost?"),
        ((*COST, "optimized_metric=test/costs"), "no such metric; did you mean test/cost?"),
        (("metrics.a={_target_:my_parts.other}",), r"metrics.a.y_true: missing; .* by name\)"),
        (("metrics.accuracy._target_=my_parts.cost",), "seqexp has a metric of this name"),
        (("metrics.accuracy_max._target_=my_parts.cost",), "seqexp has a metric of this name"),
        (("metrics.a-b._target_=my_parts.cost",), "metrics.a-b: give a name of letters"),
        (("callbacks.a=3",), "callbacks.a is 3; give a mapping with your class"),
        (("callbacks=3",), "callbacks is 3; give a mapping"),
        (("callbacks.a._target_=my_parts.Look",), "there is no such class or function"),
        (("callbacks.a._target_=os.system",), "callbacks.a._target_ is 'os.system'; allowed are"),
        (("callbacks.a._target_=my_parts.InputError",), "which is defined in seqexp.errors"),
        (("task.loss={_target_:my_parts.loss}",), "task.loss.gamma: missing; give a number above"),
        (("task.loss={_target_:torch.nn.L1Loss}",), r"task.loss._target_ is 'torch.nn.L1Loss'; al"),
    ],
)
def test_a_fault_names_its_key_and_what_is_allowed(
    given: tuple[str, ...], said: str, base: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match=said):
        checked(base, *given)
    assert "my_parts" not in sys.modules


def test_the_message_that_misses_a_package_names_it(base: dict[str, Any]) -> None:
    given = (*COST, "callbacks.a._target_=my_parts.Looks", "task.loss={_target_:my_parts.loss}")
    with pytest.raises(ConfigError) as error:
        checked(base, *given, trusted="seed=0")
    assert str(error.value).count("add your package, as trusted_packages=[my_parts]") == 3


def test_a_sound_config_is_whole_and_its_metrics_are_known(base: dict[str, Any]) -> None:
    more = ("callbacks.look._target_=my_parts.Looks", "task.loss={_target_:my_parts.loss,gamma:2}")
    monitored = ("trainer.monitor=valid/cost", "optimized_metric=best/valid_cost")
    config = checked(base, *COST, *more, *monitored, "metrics.cost.unit=euros")
    assert config["metrics"]["cost"]["missed"] == 10.0 and config["callbacks"]["look"]["every"] == 1
    assert direction("best/valid_cost") == "lower" and OWN["test/cost"].unit == "euros"
    assert not higher_is_better("valid/cost")
    assert list(own_code(config)) == [
        "task.loss: my_parts.loss(gamma=2)",
        "metrics.cost: my_parts.cost(missed=10.0), lower is better, euros",
        "callbacks.look: my_parts.Looks(every=1)",
    ]
    rows = {key: value for key, value, _ in differing(config, {})}
    assert rows["metrics.cost._target_"] == "my_parts.cost" and rows["callbacks.look.every"] == 1
    others = [
        checked(base, *COST, *more, *monitored, "metrics.cost.unit=euros", one)
        for one in ("callbacks.look.every=2", "task.loss.gamma=3", "metrics.cost.missed=1")
    ]
    assert len({fingerprint(one) for one in (config, *others)}) == 4
    assert "my_parts" not in sys.modules


def test_a_config_without_them_is_the_config_of_an_earlier_version(base: dict[str, Any]) -> None:
    config = checked(base)
    assert not {"metrics", "callbacks"} & {*config}
    assert fingerprint({**config, "metrics": {}, "callbacks": {}}) == fingerprint(config)
