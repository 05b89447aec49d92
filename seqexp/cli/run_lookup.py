"""Runs in a store, and what they left: their configs and models.

Importing this module takes seconds.
"""

import functools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.cli.store_location import Place
from seqexp.errors import InputError
from seqexp.inference import saved_model as saved
from seqexp.tracking.store.environment import unfollowed
from seqexp.tracking.store.runs import MODEL, OURS, PARENT, Runs
from seqexp.utils.files import MAX_JSON, parsed
from seqexp.utils.names import visible
from seqexp.utils.old_names import with_new_targets

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["OURS", "PARENT", "Store"]

MOST_TOLD = 8
"""Runs that are told of by a line each."""

ID_LETTERS = 8
"""Of a run's id, in a line."""


class Store(Runs):
    """The runs of a place.

    Raises:
        InputError: if there is no store, or it does not answer.
    """

    def __init__(self, where: Place) -> None:
        tell_unfollowed(where.uri)
        super().__init__(where.uri)

    def note(self, line: str) -> None:
        """Print what was chosen by a word."""
        print(line, file=sys.stderr)

    def tell(self, found: Sequence["Run"]) -> None:
        """Print which runs are used, and their model and data."""
        for run in found[:MOST_TOLD]:
            print(visible(described(run)), file=sys.stderr)
        if len(found) > MOST_TOLD:
            print(f"and {len(found) - MOST_TOLD:,} more runs", file=sys.stderr)

    def text(self, run: "Run", path: str) -> str | None:
        """A text artifact; None where the run has none of this name."""
        with tempfile.TemporaryDirectory() as folder:
            file = self.download(run, path, folder)
            if file is None:
                return None
            try:
                if file.stat().st_size > MAX_JSON:
                    raise InputError(
                        f"{path} of run {run.info.run_id}: is larger than {MAX_JSON:,}"
                    )
                return file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{path} of run {run.info.run_id}: {error}") from error

    def config(self, run: "Run") -> dict[str, Any]:
        """The config that a run says it had: material to check, not to trust.

        Raises:
            InputError: if it has none.
        """
        content = self.text(run, saved.CONFIG)
        if content is None:
            return _no_config(run)
        source = f"{saved.CONFIG} of run {run.info.run_id}"
        found = parsed(content, source)
        if not isinstance(found, dict):
            raise InputError(f"{source}: is damaged: it is no mapping")
        return dict(with_new_targets(found))

    @contextmanager
    def model_folder(self, run: "Run") -> Iterator[Path | None]:
        """A copy of a run's saved model; None where it has none."""
        with tempfile.TemporaryDirectory() as folder:
            yield self.download(run, MODEL, folder)

    def model(self, run: "Run", trusted: Sequence[str] = ()) -> saved.SavedModel:
        """A run's trained model, rebuilt without running anything that is stored.

        Raises:
            InputError: if it has none, or it names classes of packages that are not trusted.
        """
        with self.model_folder(run) as folder:
            if folder is None:
                raise InputError(
                    f"run {run.info.run_id} ({run.info.run_name}, {run.info.status}) has no model;"
                    " it is kept when a run finishes, unless tracking.log_model=false"
                )
            return saved.load(folder, trusted)


@functools.cache
def tell_unfollowed(uri: str) -> None:
    """Say once which variables of MLflow's name another store, and are not followed."""
    told = unfollowed(uri, only_looks=True)
    if told is not None:
        print(visible(told), file=sys.stderr)


def described(run: "Run") -> str:
    """A run, its model and its data, in a line."""
    params, tags, metrics = run.data.params, run.data.tags, run.data.metrics
    line = f"run {run.info.run_id[:ID_LETTERS]} ({run.info.run_name})"
    if "model" in params and "dataset" in params:
        digest = tags.get("seqexp.data_digest", "not known")[:ID_LETTERS]
        line += f": {params['model']} on {params['dataset']}, data {digest}"
    metric = params.get("optimized_metric", "")
    if metric in metrics:
        line += f"; {metric} {metrics[metric]:.4g}"
    return line if run.info.status == "FINISHED" else f"{line}; {run.info.status}"


def _no_config(run: "Run") -> dict[str, Any]:
    raise InputError(
        f"run {run.info.run_id} ({run.info.run_name}) has no {saved.CONFIG}; is it a run of seqexp,"
        " and not a sweep?"
    )
