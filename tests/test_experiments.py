"""The experiments reach what the README says of them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from config.test_check import CONF, composed
from conftest import SHARED
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from seqexp.build import parts, prepare_training
from seqexp.config.check import check
from seqexp.errors import ConfigError
from seqexp.interpret.filters.extraction import Filters, read_filters
from seqexp.interpret.filters.tomtom import compared
from seqexp.trainer.loop import fit
from seqexp.trainer.restarts import best_start


def trained(seed: int, *overrides: str) -> dict[str, float]:
    """Metrics of an experiment, without tracking."""
    OmegaConf.register_new_resolver(
        "absolute", lambda path: str(Path(path).absolute()), replace=True
    )
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", [*overrides, f"seed={seed}"]))
    made = parts(config, only_trains=True)
    data = made.dataset.load()
    cpu = torch.device("cpu")
    training, _ = best_start(lambda start: prepare_training(made, data, cpu, start), data)
    *_, last = fit(training, data)
    model: Any = training.model.eval()
    symbols = data.spec.vocabulary.symbols
    filters = read_filters(model, data.train.tokens, symbols, data.patterns, Filters())
    return {**last.metrics, **compared(filters, data.patterns, [], symbols, 0.05).metrics}


def test_the_notebooks_network_classifies_but_its_weights_do_not_show_the_motif() -> None:
    metrics = trained(0, "experiment=notebook/motif", "dataset.num_test=2000")
    assert metrics["test/accuracy"] >= 0.99
    assert metrics["motif/weight_correlation"] < 0.9


def test_the_motif_experiment_recovers_the_motif() -> None:
    metrics = trained(0, "experiment=motif", "trainer.epochs=8")
    assert metrics["test/accuracy"] >= 0.99
    assert metrics["motif/correlation"] >= 0.99
    assert metrics["motif/weight_correlation"] >= 0.8
    assert metrics["motif/recovered"] == 1 and metrics["motif/p_value"] < 1e-12


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_all_of_twenty_seeds_classify_and_recover() -> None:
    for seed in range(20):
        notebook = trained(seed, "experiment=notebook/motif", "dataset.num_test=5000")
        assert notebook["test/accuracy"] >= 0.99, seed
        anywhere = ("dataset.placement=uniform", "dataset.strands=both")
        for changes in ((), ("model.num_filters=1",), anywhere, (*anywhere, "model.num_filters=1")):
            best = trained(seed, "experiment=motif", *changes)
            assert best["test/accuracy"] >= 0.99 and best["motif/recovered"] == 1, (seed, changes)


PROMOTERS = SHARED / "shapes" / "promoters_lafleur.tsv.gz"


@pytest.mark.skipif(not PROMOTERS.is_file(), reason="the data for development are not here")
def test_promoters_are_split_as_given_and_keep_their_strength() -> None:
    config = check(composed("experiment=promoters", f"dataset.table={PROMOTERS}"))
    data = parts(config, only_trains=True).dataset.load()
    assert len(data.test) == 2696 and data.spec.output == "regression"
    assert data.test.targets.var(correction=0).item() == pytest.approx(0.570, abs=0.001)


def test_promoters_that_are_absent_are_explained(tmp_path: Path) -> None:
    file = tmp_path / "promoters_lafleur.tsv.gz"
    with pytest.raises(ConfigError, match="not shipped: .*doi:10.1038.*open access.*a header"):
        check(composed("experiment=promoters", f"dataset.table={file}"))
