"""Runs in a store: found by what a person types, and the files that they left.

Importing this module takes seconds.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from seqexp.errors import InputError
from seqexp.tracking.store.address import database_file, local_path
from seqexp.tracking.store.best import best_of
from seqexp.tracking.store.quick import QuickClient, input_errors, is_of_mlflow, opened
from seqexp.utils.nearest import did_you_mean

if TYPE_CHECKING:
    from mlflow.entities import Run

LATEST, BEST = "latest", "best"

PARENT = "mlflow.parentRunId"

SAME_AS = "seqexp.same_as"
"""Tag of a run that only stands for another one, below one more sweep: the id of that run."""

SWEEPS = "tags.`seqexp.sweep` LIKE '%'"
"""The own runs of sweeps."""

PAGE = 1000
"""Runs that a store is asked for at a time."""

MODEL = "model/data/model"
"""The folder that `saved_model.save` wrote, among a run's artifacts."""

OURS = "tags.`seqexp.fingerprint` LIKE '%'"
"""Runs that trained something; those of sweeps have no fingerprint."""


@dataclass(frozen=True)
class Among:
    """The runs that `latest` and `best` look at.

    Args:
        experiment: name of an experiment; None: all.
        sweep: the sweep's own run whose runs they are; None: of any sweep, and of none.
        metric: that tells the best; None: what the runs optimize.
    """

    experiment: str | None = None
    sweep: "Run | None" = None
    metric: str | None = None


ANY = Among()


class Runs:
    """The runs of a store.

    Raises:
        InputError: if there is no store, or it does not answer.
    """

    def __init__(self, uri: str) -> None:
        refuse_missing(uri)
        self.uri = uri
        self.client = opened(self.uri, is_written=False)
        with input_errors(self.uri):
            found = self.client.search_experiments()
        self.experiments = {str(one.experiment_id): str(one.name) for one in found}

    def note(self, line: str) -> None:
        """Hear of what was chosen by a word: ties, and runs that were no candidates."""

    def find(self, text: str, key: str = "run", among: Among = ANY) -> "Run":
        """The run of an id, of the beginning of one, the latest that finished, or the best.

        Raises:
            InputError: naming `key` if there is none, or more than one.
        """
        if text == LATEST:
            return self._latest(key, among)
        if text == BEST:
            return self._best(key, among)
        if not re.fullmatch(r"[0-9a-f]{1,32}", text):
            raise InputError(
                f"{key} is {text!r}; give the id of a run (32 digits and letters a to f), its first"
                f" few, {LATEST} or {BEST}"
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
        return self._original(found[0])

    def find_sweep(self, text: str, experiment: str | None = None) -> "Run":
        """A sweep's own run: by its id, or the one that ended last.

        Raises:
            InputError: if there is none.
        """
        if text != LATEST:
            if text == BEST:
                raise InputError(
                    f"sweep is {BEST}; give the id of a sweep's own run or {LATEST}, and run={BEST}"
                    " for the best of its runs"
                )
            return self.find(text, "sweep")
        found = self.search(SWEEPS, most=None, experiment=experiment)
        if not found:
            where = self.uri if experiment is None else f"experiment {experiment}"
            raise InputError(f"sweep is {LATEST}, but there is no sweep in {where}")
        return max(found, key=lambda run: run.info.end_time or run.info.start_time)

    def jobs(self, parent: "Run") -> list["Run"]:
        """The runs of a sweep, the first that began first; of adopted ones, the run itself.

        Raises:
            InputError: if there is none below this run.
        """
        below = f"tags.`{PARENT}` = '{parent.info.run_id}'"
        found = self.search(f"{below} AND {OURS}", most=None)
        adopted = self.search(f"{below} AND tags.`{SAME_AS}` LIKE '%'", most=None)
        found += [one for one in map(self._original, adopted) if SAME_AS not in one.data.tags]
        if not found:
            named = f"{parent.info.run_id} ({parent.info.run_name})"
            raise InputError(f"sweep is {parent.info.run_id}, but no run is below {named}")
        once = {run.info.run_id: run for run in found}
        return sorted(once.values(), key=lambda run: run.info.start_time)

    def search(
        self, query: str, most: int | None = PAGE, experiment: str | None = None
    ) -> list["Run"]:
        """Runs that a query of MLflow's finds, the newest first; `most` of None is all.

        Raises:
            InputError: if there is no such experiment.
        """
        order, places = ["attributes.start_time DESC"], self._places(experiment)
        found: list[Run] = []
        token: str | None = None
        with input_errors(self.uri):
            while True:
                page = self.client.search_runs(
                    places, query, order_by=order, max_results=most or PAGE, page_token=token
                )
                found += page
                token = page.token
                if most is not None or not token:
                    return found

    def _places(self, experiment: str | None) -> list[str]:
        """Ids of the experiments to look at."""
        if experiment is None:
            return list(self.experiments)
        found = [key for key, name in self.experiments.items() if name == experiment]
        if not found:
            names = sorted({*self.experiments.values()} - {"Default"})
            hint = did_you_mean(experiment, names) or f"; there are {', '.join(names[:8])}"
            raise InputError(
                f"experiment is {experiment!r}, and there is none in {self.uri}{hint} (a run's"
                " experiment_name: by default, the name of its dataset)"
            )
        return found

    def _original(self, run: "Run") -> "Run":
        """The run that another stands for; a run that stands for itself."""
        name = run.data.tags.get(SAME_AS)
        if name is None or not re.fullmatch(r"[0-9a-f]{32}", name):
            return run
        found = self.search(f"attributes.run_id = '{name}'", most=1)
        return found[0] if found else run

    def _finished(self, among: Among, most: int | None) -> list["Run"]:
        """The runs that finished, the newest first."""
        query = f"attributes.status = 'FINISHED' AND {OURS}"
        if among.sweep is None:
            return self.search(query, most, among.experiment)
        found = [run for run in self.jobs(among.sweep) if run.info.status == "FINISHED"]
        return found[::-1]

    def _latest(self, key: str, among: Among) -> "Run":
        found = self._finished(among, most=1)
        if not found:
            raise InputError(f"{key} is {LATEST}, but no run in {self._where(among)} has finished")
        return found[0]

    def _best(self, key: str, among: Among) -> "Run":
        found = self._finished(among, most=None)
        if not found:
            raise InputError(f"{key} is {BEST}, but no run in {self._where(among)} has finished")
        there = sorted({self.experiments[run.info.experiment_id] for run in found})
        if len(there) > 1:
            raise InputError(
                f"{key} is {BEST}, and there are runs of {len(there)} experiments, whose results"
                f" are not comparable; add experiment=NAME, one of {', '.join(there)}, or sweep=ID"
            )
        run, notes = best_of(found, among.metric, key)
        for line in notes:
            self.note(line)
        return run

    def _where(self, among: Among) -> str:
        if among.sweep is not None:
            return f"sweep {among.sweep.info.run_id} ({among.sweep.info.run_name})"
        return self.uri if among.experiment is None else f"experiment {among.experiment}"

    def _shown_latest(self) -> str:
        found = self.search(OURS, most=3)
        named = [f"{run.info.run_id} ({run.info.run_name})" for run in found]
        return ", ".join(named) or "none: it has no runs"

    def download(self, run: "Run", path: str, folder: str) -> Path | None:
        """A copy of an artifact below a folder of the caller's; None where the run has none.

        Raises:
            InputError: if it cannot be read, or is more than plain files.
        """
        listed = self.client.list_artifacts(run.info.run_id, str(Path(path).parent).strip("."))
        if path not in [item.path for item in listed]:
            return None
        refuse_odd_files(run, path)
        try:
            return self._copied(run, path, folder)
        except Exception as error:
            if not isinstance(error, OSError) and not is_of_mlflow(error):
                raise
            reason = str(error).splitlines()[0]
            raise InputError(
                f"{path} of run {run.info.run_id}: cannot be read: {reason}"
            ) from error

    def _copied(self, run: "Run", path: str, folder: str) -> Path:
        """An artifact's copy; of one on this machine without MLflow, whose import takes longer."""
        root = local_path(str(run.info.artifact_uri))
        if isinstance(self.client, QuickClient) and root is not None:
            source, to = root / path, Path(folder) / path
            to.parent.mkdir(parents=True, exist_ok=True)
            return Path(shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to))
        from mlflow.artifacts import download_artifacts

        from seqexp.tracking.store.answers import FILE_SECONDS, within

        where = {"run_id": run.info.run_id, "artifact_path": path, "tracking_uri": self.uri}
        return Path(within(FILE_SECONDS, lambda: download_artifacts(**where, dst_path=folder)))


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


def refuse_odd_files(run: "Run", path: str) -> None:
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
