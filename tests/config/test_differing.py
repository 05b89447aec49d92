"""What differs from the defaults: of the option's file, else of the constructor."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from training import composed

from seqexp.config.check import check
from seqexp.config.differing import differing
from seqexp.config.groups import CONF

MOTIF = {
    **{"model": "cnn1d", "dataset": "motif", "trainer": "smoke", "interpret": "none"},
    **{"optimizer": "adam", "schedule": "constant", "decode": "sample", "gradient_flow": "lags"},
}

HIDDEN = OmegaConf.load(CONF / "model/lstm.yaml").hidden_size


@pytest.mark.parametrize(
    ("overrides", "chosen", "found"),
    [
        ((), {}, {}),
        (("tracking=none", "paths.data=elsewhere", "dry_run=true"), {}, {}),
        (("seed=3",), {}, {"seed": (3, 0)}),  # and not that of the dataset, which takes it
        (("task.class_weights=balanced",), {}, {"task.class_weights": ("balanced", "none")}),
        (
            ("model=lstm", "model.hidden_size=7", "trainer.epochs=9"),
            {"model": "lstm"},
            {"model.hidden_size": (7, HIDDEN), "trainer.epochs": (9, 2)},
        ),
    ],
)
def test_what_differs_has_value_and_default(
    overrides: tuple[str, ...], chosen: dict[str, str], found: dict[str, Any], tmp_path: Path
) -> None:
    config = check(composed(tmp_path, *overrides))
    rows = {key: (value, default) for key, value, default in differing(config, MOTIF | chosen)}
    assert rows == found


def test_a_key_without_a_default_differs_from_none(tmp_path: Path) -> None:
    config = check(composed(tmp_path))
    node = {**config["dataset"], "place": {"one": 1}}
    assert differing({**config, "dataset": node}, MOTIF) == [("dataset.place.one", 1, None)]
