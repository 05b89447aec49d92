"""seqexp from a notebook or a script: train as a command line does, and bring a run back.

    import seqexp

    run = seqexp.train("experiment=hello", "trainer.epochs=20")
    run.history                    # a data frame: a row an epoch, a column a metric
    run.predict(["hell", "he"])    # a row a text
    run = seqexp.load("latest")    # or an id, and outputs=FOLDER; or "best", experiment="motif"
    print(run.metrics["test/accuracy"], run.model)
    run.data.test                  # what it was tested on
    run.states(["hell"])           # hidden states; run.features is what the output reads

Both return a `TrainedRun`. The model is kept by `tracking=mlflow`, which is the default. Bad input
raises `seqexp.errors.InputError`, whose text is what the command line would say.
"""

import logging
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from jaxtyping import Float
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from seqexp import build
from seqexp.checkpoint.result import Start
from seqexp.cli.arguments import prepared
from seqexp.cli.job import tell_aside
from seqexp.cli.resolvers import folder_name
from seqexp.cli.run_lookup import Store
from seqexp.cli.store_location import place
from seqexp.cli.which import Which, which
from seqexp.cli.words_of_errors import explain
from seqexp.config.check import check, check_resolved, set_aside
from seqexp.config.experiments import for_others
from seqexp.config.groups import CONF, Config
from seqexp.config.trust import refuse_other_code
from seqexp.config.typed import choices
from seqexp.data import Data
from seqexp.errors import InputError
from seqexp.inference.pyfunc import TextModel, given_of
from seqexp.inference.representation import Inner, represented
from seqexp.inference.saved_model import SavedModel
from seqexp.run import run as run_config
from seqexp.spec import TaskSpec
from seqexp.sweep.job import settled
from seqexp.utils.terminal import Console, Formatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd  # type: ignore[import-untyped]

SWEEPS = ("-m", "--multirun")

log = logging.getLogger("seqexp")


@dataclass(frozen=True)
class TrainedRun:
    """A run that has finished, with its model.

    Args:
        id: in MLflow.
        config: the whole composition, checked.
        metrics: last value of each, by the names of the MLflow UI.
        history: metrics by epoch.
        saved: the model, with its task.
    """

    id: str
    config: Config
    metrics: dict[str, float]
    history: "pd.DataFrame"
    saved: SavedModel

    @property
    def model(self) -> nn.Module:
        """The trained model, in evaluation mode: `model(tokens) -> (logits, carry)`."""
        return self.saved.model

    @property
    def spec(self) -> TaskSpec:
        """What its sequences are made of, and what it predicts."""
        return self.saved.spec

    @cached_property
    def data(self) -> Data:
        """The splits that it was trained, validated and tested on; they are read anew.

        Raises:
            InputError: if they are not there any more.
        """
        return build.load(build.parts(self.config, only_trains=True))

    def predict(self, inputs: Any) -> "pd.DataFrame":
        """What the model says, a row an input.

        Args:
            inputs: a list of texts or sequences, of arrays (time, size) where positions hold
                numbers, or a table with the columns sequence and context.

        Raises:
            InputError: if one is not what the model reads.
        """
        return TextModel(self.saved).predict(inputs)

    def features(self, inputs: Any) -> Float[np.ndarray, "inputs size"]:
        """What the model's output reads of each input.

        Raises:
            InputError: of a model that predicts at each position; `states` has these.
        """
        if self.spec.per_position:
            raise InputError("the model predicts at each position: ask for its states")
        return np.concatenate(self._represented(inputs, "features"))

    def states(self, inputs: Any) -> list[Float[np.ndarray, "positions size"]]:
        """Hidden states of each input at each position, or activations of a CNN's filters."""
        return self._represented(inputs, "states")

    def _represented(self, inputs: Any, what: Inner) -> list[np.ndarray]:
        return represented(self.saved, given_of(inputs, self.saved), what)

    def __repr__(self) -> str:
        scores = ", ".join(
            f"{name} {value:.4g}" for name, value in self.metrics.items() if "test/" in name
        )
        return f"TrainedRun({self.id}: {scores})"


def train(*overrides: str) -> TrainedRun:
    """Train one run as `python -m seqexp OVERRIDES` does; one that has finished is not done again.

    Args:
        overrides: as they are typed, `KEY=VALUE` each.

    Raises:
        InputError: if the configuration or the data are wrong; nothing was started.
        RunError: if the run had to stop.
    """
    if {*SWEEPS} & {*overrides}:
        raise InputError("-m is for the command line; call train for each run")
    with _said():
        config, hydra = _composed(overrides)
        if config["tracking"]["_target_"].endswith("NoTracker"):
            raise InputError("tracking is none, which keeps no model; give tracking=mlflow")
        name = folder_name(choices(hydra.runtime.choices), config)
        folder = Path(config["paths"]["outputs"]).absolute() / "runs" / name
        result = run_config(config, Start(choices(hydra.runtime.choices), overrides, folder))
    store = Store(place({"tracking.uri": str(config["tracking"]["uri"])}))
    return _found(store, Which(str(result.run_id)), config["trusted_packages"])


def load(
    run: str = "latest",
    trusted: Sequence[str] = (),
    experiment: str | None = None,
    sweep: str | None = None,
    metric: str | None = None,
    **where: str,
) -> TrainedRun:
    """A run of before, with its model.

    Args:
        run: its id in MLflow, the first few letters of it, latest or best.
        trusted: your packages whose classes its model may name.
        experiment: whose runs latest and best look at.
        sweep: id of the sweep whose runs they look at, or latest.
        metric: that tells the best; by default what the runs optimize.
        where: `outputs=FOLDER` or `uri=ADDRESS` of the runs; by default ./outputs.

    Raises:
        InputError: if there is no such run, or it kept no model.
    """
    keys = {"outputs": "paths.outputs", "uri": "tracking.uri"}
    other = [name for name in where if name not in keys]
    if other:
        raise InputError(f"{other[0]}: unknown; give outputs or uri")
    store = Store(place({keys[name]: str(value) for name, value in where.items()}))
    asked = {"run": run, "experiment": experiment, "sweep": sweep, "metric": metric}
    return _found(store, which("one", asked), trusted)


def _found(store: Store, one: Which, trusted: Sequence[str]) -> TrainedRun:
    import pandas as pd

    run = one.one(store)
    saved = store.model(run, trusted)
    stored, source = store.config(run), f"config.json of run {run.info.run_id}"
    refuse_other_code(stored, source, trusted)
    config = check_resolved(stored, f" of run {run.info.run_id}")
    history = pd.DataFrame(_by_epoch(store, run)).sort_index()
    history.index.name = "epoch"
    return TrainedRun(run.info.run_id, config, dict(run.data.metrics), history, saved)


def _by_epoch(store: Store, run: Any) -> dict[str, dict[int, float]]:
    """Curves that have a point an epoch: those of nothing else have its steps."""
    names = [name for name in run.data.metrics if name.startswith(("train/", "valid/", "time/"))]
    curves = {
        name: {
            point.step: point.value
            for point in store.client.get_metric_history(run.info.run_id, name)
        }
        for name in names
    }
    epochs = {*curves.get("time/epoch_seconds", {})}
    return {name: curve for name, curve in curves.items() if {*curve} <= epochs}


def _composed(overrides: Sequence[str]) -> tuple[Config, Any]:
    """The checked configuration, and the node `hydra` of its composition.

    Says which settings of an experiment are for options that were not chosen.
    """
    try:
        words = prepared(overrides)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            config = compose("config", words, return_hydra_config=True)
        hydra = config.hydra
        with open_dict(config):
            del config["hydra"]
        others = for_others(hydra)
        plain = settled(check(config, others=others))
    except (HydraException, OmegaConfBaseException, InputError) as error:
        raise InputError(explain(error, overrides)) from error
    tell_aside(plain, set_aside(config, others), others)
    return plain, hydra


@contextmanager
def _said() -> "Iterator[None]":
    """Print what a run says, unless the caller listens to it by a handler of its own."""
    root = logging.getLogger()
    if log.handlers or root.handlers:
        yield
        return
    handler, level = Console(), log.level
    handler.setFormatter(Formatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
