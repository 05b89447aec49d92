"""Runs in a store: found by what a person types, and the files that they left.

Importing this module takes seconds.
"""

import re
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from seqexp.errors import InputError
from seqexp.tracking.store.address import database_file, local_path
from seqexp.tracking.store.answers import FILE_SECONDS, within
from seqexp.tracking.store.client import connect, input_errors

LATEST = "latest"

MODEL = "model/data/model"
"""The folder that `saved_model.save` wrote, among a run's artifacts."""

OURS = "tags.`seqexp.fingerprint` LIKE '%'"
"""Runs that trained something; those of sweeps have no fingerprint."""


class Runs:
    """The runs of a store.

    Raises:
        InputError: if there is no store, or it does not answer.
    """

    def __init__(self, uri: str) -> None:
        refuse_missing(uri)
        self.uri = uri
        self.client = connect(self.uri, is_written=False)
        with input_errors(self.uri):
            found = self.client.search_experiments()
        self.experiments = {str(one.experiment_id): str(one.name) for one in found}

    def find(self, text: str, key: str = "run") -> Run:
        """The run of an id, of the beginning of one, or the latest that finished.

        Raises:
            InputError: naming `key` if there is none, or more than one.
        """
        if text == LATEST:
            return self._latest(key)
        if not re.fullmatch(r"[0-9a-f]{1,32}", text):
            raise InputError(
                f"{key} is {text!r}; give the id of a run (32 digits and letters a to f), its first"
                f" few, or {LATEST}"
            )
        found = self.search(f"attributes.run_id LIKE '{text}%'", most=6)
        if not found:
            raise InputError(
                f"{key} is {text!r}, and no run in {self.uri} begins so; the latest are"
                f" {self._shown_latest()}"
            )
        if len(found) > 1:
            ids = ", ".join(str(run.info.run_id) for run in found[:5])
            more = ", ..." if len(found) > 5 else ""
            raise InputError(f"{key} is {text!r}, and several runs begin so: {ids}{more}")
        return found[0]

    def search(self, query: str, most: int = 1000) -> list[Run]:
        """Runs that a query of MLflow's finds, the newest first."""
        order = ["attributes.start_time DESC"]
        with input_errors(self.uri):
            found = self.client.search_runs(
                list(self.experiments), query, order_by=order, max_results=most
            )
        return list(found)

    def _latest(self, key: str) -> Run:
        found = self.search(f"attributes.status = 'FINISHED' AND {OURS}", most=1)
        if not found:
            raise InputError(f"{key} is {LATEST}, but no run in {self.uri} has finished")
        return found[0]

    def _shown_latest(self) -> str:
        found = self.search(OURS, most=3)
        named = [f"{run.info.run_id} ({run.info.run_name})" for run in found]
        return ", ".join(named) or "none: it has no runs"

    def download(self, run: Run, path: str, folder: str) -> Path | None:
        """A copy of an artifact below a folder of the caller's; None where the run has none.

        Raises:
            InputError: if it cannot be read, or is more than plain files.
        """
        listed = self.client.list_artifacts(run.info.run_id, str(Path(path).parent).strip("."))
        if path not in [item.path for item in listed]:
            return None
        refuse_odd_files(run, path)
        try:
            found = within(
                FILE_SECONDS,
                lambda: download_artifacts(
                    run_id=run.info.run_id,
                    artifact_path=path,
                    dst_path=folder,
                    tracking_uri=self.uri,
                ),
            )
        except (MlflowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path} of run {run.info.run_id}: cannot be read: {reason}"
            ) from error
        return Path(found)


def refuse_missing(uri: str) -> None:
    """A store that is not there would be made anew, and be empty.

    Raises:
        InputError: if its file is not there.
    """
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise InputError(
            f"{file}: is not there, so no run is known; give the folder that runs were kept in, as"
            " paths.outputs=DIR (or SEQEXP_OUTPUTS), or their server, as"
            " tracking.uri=http://HOST:PORT"
        )


def refuse_odd_files(run: Run, path: str) -> None:
    """Refuse artifacts of a folder that are no plain files: links lead anywhere, pipes do not end.

    Raises:
        InputError: naming the first.
    """
    root = local_path(str(run.info.artifact_uri))
    if root is None:
        return
    top = root / path
    for file in [top, *(top.rglob("*") if top.is_dir() and not top.is_symlink() else ())]:
        if file.is_symlink() or (file.exists() and not (file.is_file() or file.is_dir())):
            kind = "a symbolic link" if file.is_symlink() else "no plain file"
            raise InputError(f"{file}: is {kind}, so run {run.info.run_id} was not read")
