"""An experiment with another model, or other data: what it gives to its own is left out."""

from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from seqexp.cli import resolvers  # noqa: F401  (`absolute`)
from seqexp.config.check import check, set_aside
from seqexp.config.experiments import for_others
from seqexp.config.groups import OPTIONAL_GROUPS
from seqexp.errors import ConfigError, InputError
from seqexp.sweep.job import settled

CONF = ROOT / "conf"
EXPERIMENTS = sorted(
    str(file.relative_to(CONF / "experiment").with_suffix(""))
    for file in (CONF / "experiment").rglob("*.yaml")
)


def composed(*overrides: str) -> tuple[Any, Any]:
    """A composition, and the node `hydra` of it."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["paths.outputs=o", *overrides], return_hydra_config=True)
    hydra = config.hydra
    with open_dict(config):
        del config["hydra"]
    return config, hydra


def faults_of(config: Any, hydra: Any) -> list[str]:
    try:
        check(config, others=for_others(hydra))
    except ConfigError as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_settings_of_the_experiments_model_are_no_faults_of_another(experiment: str) -> None:
    _, hydra = composed(f"experiment={experiment}")
    assert for_others(hydra) == {}
    other = "lstm" if hydra.runtime.choices.model == "cnn1d" else "cnn1d"
    found = faults_of(*composed(f"experiment={experiment}", f"model={other}"))
    assert not [fault for fault in found if fault.startswith("model.")]


@pytest.mark.parametrize(
    ("overrides", "group", "left", "kept"),
    [
        (("experiment=motif", "model=lstm"), "model", "num_filters", "dropout"),
        (("experiment=imdb", "model=cnn1d"), "model", "bidirectional", "ngrams"),
        # of the experiment that it builds on
        (("experiment=imdb-ensemble", "model=cnn1d"), "model", "bidirectional", "ngrams"),
        (("experiment=notebook/motif", "model=rnn"), "model", "filter_width", "num_layers"),
        # a value that it has not
        (("experiment=notebook/motif", "model=lstm"), "model", "readout", "dropout"),
        (("experiment=imdb", "dataset=motif"), "dataset", "truncate", "seed"),
        (("experiment=denoise", "decode=none", "dataset=chars"), "dataset", "num_clusters", "seed"),
    ],
)
def test_what_another_option_has_too_is_kept(
    overrides: tuple[str, ...], group: str, left: str, kept: str
) -> None:
    config, hydra = composed(*overrides)
    others = for_others(hydra)
    assert left in set_aside(config, others)[group]
    assert left in others[group] and kept not in set_aside(config, others)[group]
    assert left not in str(faults_of(config, hydra))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_nothing_is_at_fault_where_a_group_is_left_out(experiment: str) -> None:
    choices = [f"{group}=none" for group in OPTIONAL_GROUPS]
    config, hydra = composed(f"experiment={experiment}", *choices)
    found = faults_of(config, hydra)
    assert not [one for one in found if one.startswith(OPTIONAL_GROUPS)]


def test_what_is_typed_for_a_group_that_is_left_out_is_a_fault() -> None:
    found = faults_of(*composed("experiment=fasta", "interpret=none", "+interpret.match=true"))
    assert any(one.startswith("interpret is {'match': True}") for one in found)


def test_settings_for_the_default_option_are_no_faults_of_another(tmp_path: Path) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text("# @package _global_\nmodel:\n  num_filters: 3\n")
    folder = f"hydra.searchpath=[file://{tmp_path}]"
    assert for_others(composed("experiment=mine", folder)[1]) == {}
    assert not faults_of(*composed("experiment=mine", folder, "model=lstm"))


def test_what_is_typed_is_meant_for_the_chosen_model() -> None:
    for typed, fault in (
        ("model.filter_width=3", "model.filter_width: unknown for model=lstm"),
        ("model.readout=flatten", "model.readout is 'flatten'"),
    ):
        found = faults_of(*composed("experiment=notebook/motif", "model=lstm", typed))
        assert [fault in one for one in found] == [True]


def test_words_beside_filters_are_beside_other_networks_too() -> None:
    for model in ("lstm", "rnn", "stacked-rnn"):
        config, hydra = composed("experiment=fasta", f"model={model}")
        assert "ngrams" not in set_aside(config, for_others(hydra))["model"]
    config, hydra = composed("experiment=fasta")
    assert not set_aside(config, for_others(hydra))


def test_what_no_option_has_is_a_fault_as_before() -> None:
    config, hydra = composed("experiment=motif", "model=lstm", "+model.num_filterz=3")
    assert any("model.num_filterz: unknown" in fault for fault in faults_of(config, hydra))


def test_an_experiment_that_gives_its_own_model_what_it_has_not_is_at_fault(
    tmp_path: Path,
) -> None:
    (tmp_path / "experiment").mkdir()
    file = tmp_path / "experiment" / "mine.yaml"
    file.write_text(
        "# @package _global_\ndefaults:\n  - override /model: lstm\nmodel:\n  num_filters: 3\n"
    )
    folder = f"hydra.searchpath=[file://{tmp_path}]"
    found = faults_of(*composed("experiment=mine", folder))
    assert any("model.num_filters: unknown for model=lstm" in fault for fault in found)
    assert not faults_of(*composed("experiment=mine", folder, "model=cnn1d"))
    config, hydra = composed("experiment=mine", folder, "model=rnn")
    assert set_aside(config, for_others(hydra)) == {"model": ["num_filters"]}


def test_a_run_to_start_from_is_in_a_sweep_for_the_models_that_can() -> None:
    """Alone, a model that is fitted by a solver refuses it."""
    given = ["experiment=imdb-finetune", "model.from_run=3f"]
    sweep = [*given, "hydra.mode=MULTIRUN"]
    for experiment in (sweep, ["dataset=text", "+model.from_run=3f", "hydra.mode=MULTIRUN"]):
        config, hydra = composed(*experiment, "model=ngrams")
        assert "from_run" in set_aside(config, for_others(hydra))["model"]
        assert not faults_of(config, hydra)
        config, hydra = composed(*experiment, "model=lstm")
        assert not set_aside(config, for_others(hydra))
        assert check(config, others=for_others(hydra))["model"]["from_run"] == "3f"
    (fault,) = faults_of(*composed(*given, "model=ngrams"))
    assert "model.from_run is 3f, but model=ngrams is fitted by a solver" in fault
    # a wrong value is no setting of another model
    wrong = faults_of(*composed("experiment=imdb", "model.from_run=3", "hydra.mode=MULTIRUN"))
    assert "model.from_run is 3; give a text" in str(wrong)


def test_what_an_experiment_starts_from_is_not_for_counted_words() -> None:
    config, hydra = composed("experiment=imdb-finetune", "model=ngrams")
    assert "from_run" in set_aside(config, for_others(hydra))["model"]
    assert not faults_of(config, hydra)
    with pytest.raises(InputError, match=r"model.from_run is 'RUN'; give the id of a run"):
        settled(check(composed("experiment=imdb-finetune")[0]))
