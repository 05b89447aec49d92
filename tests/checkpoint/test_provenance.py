"""What identifies a run."""

import copy
from pathlib import Path

import pytest
from config.test_check import CONF
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqexp.checkpoint.identity import fingerprint
from seqexp.checkpoint.provenance import flatten, run_name
from seqexp.config.check import check
from seqexp.config.groups import Config


@pytest.fixture
def config() -> Config:
    OmegaConf.register_new_resolver(
        "absolute", lambda path: str(Path(path).absolute()), replace=True
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config"))


def test_a_fingerprint_changes_with_what_is_computed(config: Config) -> None:
    seen = {fingerprint(config)}
    for group, key in (("model", "num_filters"), ("dataset", "length"), ("optimizer", "lr")):
        other = copy.deepcopy(config)
        other[group][key] += 1
        seen.add(fingerprint(other))
    assert len(seen) == 4


def test_a_fingerprint_does_not_change_with_where_a_run_is_kept(config: Config) -> None:
    other = copy.deepcopy(config)
    other["paths"]["outputs"] = "elsewhere"
    other["tracking"] = {"_target_": "seqexp.tracking.none.NoTracker"}
    other["experiment_name"] = "mine"
    other["dataset"] |= {"cache": "elsewhere", "folder": "elsewhere"}
    assert fingerprint(other) == fingerprint(config)
    reordered = dict(reversed(list(config.items())))
    assert fingerprint(reordered) == fingerprint(config)


def test_flattened_configs_keep_every_leaf() -> None:
    nested = {"a": {"b": 1, "c": {"d": None, "e": True}}, "f": [1, 2], "g": "text", "h": {}}
    assert flatten(nested) == {
        "a.b": "1",
        "a.c.d": "null",
        "a.c.e": "true",
        "f": "[1, 2]",
        "g": "text",
        "h": "{}",
    }


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "lstm-fasta seed3"),
        (("model=lstm", "seed=3", "tracking.uri=http://a", "paths.outputs=o"), "lstm-fasta seed3"),
        (
            ("experiment=fasta", "dataset.positives=/my/peaks.fa", "model.hidden_size=12"),
            "lstm-fasta experiment=fasta positives=peaks.fa hidden_size=12 seed3",
        ),
        (
            ("optimizer=sgd", "+optimizer.nesterov=true"),
            "lstm-fasta optimizer=sgd nesterov=true seed3",
        ),
        (("force=true", "dry_run=false", "experiment_name=mine"), "lstm-fasta seed3"),
        (("dataset.motif=" + 80 * "A",), f"lstm-fasta motif={54 * 'A'}... seed3"),
    ],
)
def test_a_run_is_named_by_what_was_typed_beside_its_defaults(
    overrides: tuple[str, ...], name: str
) -> None:
    assert run_name("lstm", "fasta", 3, overrides) == name
