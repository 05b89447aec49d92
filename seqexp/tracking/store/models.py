"""A run's model as MLflow 3 has it: with its metrics on a page of its own, and in the registry.

The files stand below the run's artifacts, as `runs:/RUN_ID/model`, and once more as the
LoggedModel's, as `models:/MODEL_ID`; where both lie in folders, they are the same files. Below our
own artifacts the LoggedModel is a link to a folder beside them: who looks for a run's weights there
finds one file.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Run
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from seqexp.errors import InputError
from seqexp.metrics import higher_is_better
from seqexp.tracking.journal.items import MODEL
from seqexp.tracking.labels import REGISTERED
from seqexp.tracking.store.address import is_served, local_path
from seqexp.tracking.wheel import FOLDER as WHEELS
from seqexp.tracking.wheel import linked

ITS_METRICS = ("test/", "best/", "reads/", "motif/", "calibration/")
"""Beginnings of metrics of the kept weights: they stand on the model's page."""

ARTIFACTS, BESIDE = "mlartifacts", "mlmodels"
"""Folders of outputs: of artifacts, and beside it that of the models of MLflow 3."""

CHAMPION = "champion"
"""Alias of the best version of a registered model."""

METRIC, VALUE, DIGEST = "seqexp.metric", "seqexp.value", "seqexp.data_digest"
"""Tags of a version: what it is judged by, and on what data."""

_UNKNOWN = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED")
"""Codes of a store that is older than MLflow 3."""


# --- the model of a run -----------------------------------------------------------------------


def of_mlflow(client: Any) -> MlflowClient:
    """MLflow's own client, of one that begins runs without it; this one knows no models."""
    found: MlflowClient = client if isinstance(client, MlflowClient) else client.mlflows()
    return found


def log_model(client: Any, run_id: str, folder: Path) -> None:
    """Send a model to its run, and make it a LoggedModel; again, it changes nothing.

    A store that is older than MLflow 3 has the model among the run's artifacts only.

    Args:
        folder: the model's files.
    """
    client = of_mlflow(client)
    run = client.get_run(run_id)
    artifacts = local_path(str(run.info.artifact_uri))
    if artifacts is not None:  # what is copied onto a link would change all models that have it
        shutil.rmtree(artifacts / MODEL / WHEELS, ignore_errors=True)
    client.log_artifacts(run_id, str(folder), MODEL)
    for wheel in folder.glob(f"{WHEELS}/*.whl"):
        if artifacts is not None:
            linked(wheel, artifacts / MODEL / WHEELS / wheel.name)
    try:
        found = _of_run(client, run) or _create(client, run)
    except MlflowException as error:
        if error.error_code in _UNKNOWN:
            return
        raise
    _send_files(client, run, found, folder)
    if found.model_id not in _outputs(run):
        step = max((metric.step for metric in _metrics(run)), default=0)
        client.log_outputs(run_id, [LoggedModelOutput(found.model_id, step)])
    client.finalize_logged_model(found.model_id, "READY")


def link_metrics(client: Any, run_id: str) -> None:
    """Show the metrics of a run that has ended on the page of its model; again, nothing changes."""
    client = of_mlflow(client)
    run = client.get_run(run_id)
    for model_id in _outputs(run):
        if metrics := list(_linked_metrics(run, model_id)):
            client.log_batch(run_id, metrics=metrics)


def _outputs(run: Run) -> list[str]:
    outputs = run.outputs.model_outputs if run.outputs is not None else []
    return [str(one.model_id) for one in outputs]


def _of_run(client: MlflowClient, run: Run) -> Any:
    """The LoggedModel of a run; None where it was not yet made."""
    for model_id in _outputs(run):
        return client.get_logged_model(model_id)
    wanted = f"source_run_id = '{run.info.run_id}'"
    return next(iter(client.search_logged_models([run.info.experiment_id], wanted)), None)


def _create(client: MlflowClient, run: Run) -> Any:
    """A LoggedModel with the name and the params of its run."""
    name = re.sub(r"""[/:.%"']""", "-", str(run.info.run_name or "seqexp"))
    return client.create_logged_model(
        run.info.experiment_id, name, run.info.run_id, params=dict(run.data.params)
    )


def _metrics(run: Run) -> list[Metric]:
    """Last points of the run's curves."""
    return list(run.data._metric_objs)


def _linked_metrics(run: Run, model_id: str) -> Iterator[Metric]:
    """What the model's page shows, with the data that it was measured on."""
    inputs = run.inputs.dataset_inputs if run.inputs is not None else []
    data = inputs[0].dataset if inputs else None
    for one in _metrics(run):
        if one.key.startswith(ITS_METRICS):
            yield Metric(
                one.key,
                one.value,
                one.timestamp,
                one.step,
                model_id=model_id,
                dataset_name=data.name if data is not None else None,
                dataset_digest=data.digest if data is not None else None,
                run_id=run.info.run_id,
            )


def _send_files(client: MlflowClient, run: Run, found: Any, folder: Path) -> None:
    """The same files, and an `MLmodel` that names the LoggedModel."""
    source, target = local_path(str(run.info.artifact_uri)), local_path(found.artifact_location)
    with tempfile.TemporaryDirectory(prefix="seqexp-") as temporary:
        described = Path(temporary) / "MLmodel"
        _describe(run, found, folder / "MLmodel", described)
        if source is not None and target is not None:
            _lead_beside(target.parent)
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    path = file.relative_to(folder)
                    (target / path).parent.mkdir(parents=True, exist_ok=True)
                    linked(source / MODEL / path, target / path)
            (target / "MLmodel").unlink()  # the run has its own
            shutil.copyfile(described, target / "MLmodel")
        else:
            client.log_model_artifacts(found.model_id, str(folder))
            client.log_model_artifact(found.model_id, str(described))


def _lead_beside(folder: Path) -> None:
    """Make a LoggedModel's folder below our own artifacts a link to one beside them.

    Its files stay what they are when it is deleted, or its run: only the way to them is a link.
    Where a system makes no links, the folder stays among the artifacts.
    """
    if folder.parent.parent.name != ARTIFACTS or folder.exists():
        return
    beside = folder.parent.parent.with_name(BESIDE) / folder.name
    beside.mkdir(parents=True, exist_ok=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        folder.unlink(missing_ok=True)  # it led to a folder that is gone
        folder.symlink_to(Path("..", "..", BESIDE, folder.name), target_is_directory=True)


def _describe(run: Run, found: Any, file: Path, described: Path) -> None:
    model = Model.load(str(file))
    model.run_id, model.model_id = run.info.run_id, found.model_id
    model.artifact_path = found.artifact_location
    model.save(str(described))


# --- the registry -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Args:
        name: of the registered model.
        version: its number.
        champion: the version that the alias names.
        metric: by which.
    """

    name: str
    version: str
    champion: str
    metric: str

    def __str__(self) -> str:
        if self.version == self.champion:
            return f"version {self.version} of {self.name}, its {CHAMPION} by {self.metric}"
        of = f"version {self.champion} stays the {CHAMPION} by {self.metric}"
        return f"version {self.version} of {self.name}; {of}"


def refuse_without_registry(client: Any, uri: str, name: str) -> None:
    """Look whether a store keeps registered models, before anything is trained.

    Raises:
        InputError: if it does not.
    """
    try:
        client.search_registered_models(max_results=1)
    except MlflowException as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise InputError(
            f"tracking.register is {name!r}, but {uri} keeps no registered models ({reason});"
            " leave it out, or give another tracking.uri"
        ) from error


def register(client: Any, run_id: str, name: str) -> Version:
    """Make the model of a run a version of a registered model, once.

    The alias `champion` goes to the version that is best by the run's `optimized_metric`, of those
    that were trained on the same data and are judged by the same metric.

    Raises:
        InputError: if the run has no model, or the name is refused.
    """
    client = of_mlflow(client)
    run = client.get_run(run_id)
    metric = str(run.data.params.get("optimized_metric"))
    told = {METRIC: metric, DIGEST: str(run.data.tags.get(DIGEST))}
    if metric in run.data.metrics:
        told[VALUE] = repr(float(run.data.metrics[metric]))
    try:
        _make_name(client, name)
        versions = list(client.search_model_versions(f"name = '{name}'"))
        own = next((one for one in versions if one.run_id == run_id), None)
        if own is None:
            source, model_id = _source(client, run)
            own = client.create_model_version(
                name, source, run_id, tags=told, await_creation_for=0, model_id=model_id
            )
        _note_version(client, run, name, str(own.version))
        champion = _crown(client, name, told)
        client.set_tag(run_id, REGISTERED, name)
    except MlflowException as error:
        reason = (str(error).strip().splitlines() or [""])[0][:300]
        raise InputError(
            f"tracking.register is {name!r}, which the store refuses: {reason}"
        ) from error
    return Version(name, str(own.version), champion or str(own.version), metric)


def _make_name(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _source(client: MlflowClient, run: Run) -> tuple[str, str | None]:
    """Address of the model of a run, and its id where it has one.

    Raises:
        InputError: if the run has no model.
    """
    for model_id in _outputs(run):
        if is_served(client.tracking_uri):
            return f"models:/{model_id}", model_id
        # a database would look for that id where MLFLOW_TRACKING_URI says
        return str(client.get_logged_model(model_id).artifact_location), model_id
    address = f"{str(run.info.artifact_uri).rstrip('/')}/{MODEL}"
    if not get_artifact_repository(address, client.tracking_uri).list_artifacts():
        raise InputError(
            f"run {run.info.run_id} has kept no model to register (tracking.log_model)"
        )
    return address, None


def _note_version(client: MlflowClient, run: Run, name: str, version: str) -> None:
    """Have the model's page lead to its version, as servers do and databases do not."""
    for model_id in _outputs(run):
        tags = client.get_logged_model(model_id).tags
        known = json.loads(tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
        if (name, version) not in [(one["name"], str(one["version"])) for one in known]:
            told = json.dumps([*known, {"name": name, "version": version}])
            client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: told})


def _crown(client: MlflowClient, name: str, like: dict[str, str]) -> str | None:
    """Give the alias to the best version of its kind; returns which, None where none has a value.

    Of runs that end together, the last one that sets the alias has seen the versions of all.
    """
    sign = -1 if higher_is_better(like[METRIC]) else 1
    best = None
    for _ in range(5):
        rivals = [
            one
            for one in client.search_model_versions(f"name = '{name}'")
            if one.tags.get(METRIC) == like[METRIC]
            and one.tags.get(DIGEST) == like[DIGEST]
            and one.tags.get(VALUE, "nan") != "nan"
        ]
        ranked = sorted(rivals, key=lambda one: (sign * float(one.tags[VALUE]), int(one.version)))
        if not ranked:
            return None
        best = str(ranked[0].version)
        if str(client.get_registered_model(name).aliases.get(CHAMPION)) == best:
            break
        client.set_registered_model_alias(name, CHAMPION, best)
    return best
