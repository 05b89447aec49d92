"""The interface of trackers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

    from seqexp.utils.beside import Picture

Status = Literal["FINISHED", "FAILED", "KILLED"]

Kind = Literal["string", "double", "features"]
"""Of a column: texts, numbers, or of each sequence a list of a list of numbers a position."""


@dataclass(frozen=True)
class RunFacts:
    """Facts of a run when it starts.

    Args:
        parent: run id of the sweep it belongs to.
        folder: its own, for what is not delivered yet; None: nothing of it is resumed.
        run_id: of the run to go on with; None begins one, or goes on with the one that was begun
            in this folder by a process that was killed before it knew its id.
        mark: what `Tracker.mark` said when the checkpoint was written that it goes on from. What
            was told after it comes again: points and images, known by key and step, are then not
            recorded a second time. None: the run was finished, and nothing comes again.
        headline: measures of the test that the kind of task is judged by, for the table of runs.
        columns: keys of the config that tell runs apart, for the same table.
        labels: tags and notes that a person gives it, see `tracking/labels.py`; a run that goes on
            gets them too.
    """

    experiment: str
    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parent: str | None = None
    folder: Path | None = None
    run_id: str | None = None
    mark: int | None = 0
    headline: Sequence[str] = ("accuracy",)
    columns: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DataFacts:
    """A run's data: name, SHA-256 and sizes."""

    name: str
    digest: str
    profile: Mapping[str, Any]


@dataclass(frozen=True)
class ModelFiles:
    """A saved model.

    Args:
        folder: its own.
        loader_module: the module that loads it.
        inputs: kinds of the columns that it reads, by name; a single one has the empty name.
        outputs: kinds of the columns of its predictions.
        example: of what it reads: a list of one, or cells by column; None: there is none.
        params: choices that may be given with each request, by name, with their defaults.
    """

    folder: Path
    loader_module: str
    inputs: Mapping[str, Kind]
    outputs: Mapping[str, Kind]
    example: Any
    params: Mapping[str, bool | str] = field(default_factory=dict)


class Tracker(Protocol):
    """Where a run is recorded. Calls before `start` or after `finish` are errors."""

    @property
    def keeps(self) -> bool:
        """Whether anything is recorded; if not, nothing has to be drawn."""
        ...

    def start(self, facts: RunFacts) -> str | None:
        """Begin a run; returns its id, None if nothing is recorded.

        Raises:
            InputError: if the place to record in cannot be used.
        """
        ...

    def data(self, facts: DataFacts) -> None:
        """Say what data it used."""
        ...

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each of these curves, at `step` of the x axis: an update or an epoch."""
        ...

    def tags(self, values: Mapping[str, str]) -> None:
        """Say something more of the run."""
        ...

    def text(self, content: str, path: str) -> None:
        """Keep a text file."""
        ...

    def file(self, write: Callable[[Path], Any], path: str) -> None:
        """Keep a file that `write` writes at the place that it is given."""
        ...

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """Keep a table, all rows with the same columns."""
        ...

    def figure(self, figure: "Figure | Picture | bytes", path: str) -> None:
        """Keep a figure, sharp."""
        ...

    def image(self, image: bytes, key: str, step: int) -> None:
        """Keep an image, a PNG file, of a series that has one at several steps."""
        ...

    def model(self, files: ModelFiles) -> None:
        """Keep a model that can be loaded from the run alone."""
        ...

    def mark(self) -> int:
        """Put on disk all that was told; returns the number that a checkpoint keeps.

        The last three numbers returned are sure to be known to a later `start`.
        """
        ...

    def describe(self, markdown: str) -> None:
        """The text at the top of the run's page."""
        ...

    def label(self, run_ids: Sequence[str], labels: Mapping[str, str]) -> None:
        """Give tags and notes to runs that have ended; needs no `start`.

        Raises:
            InputError: if the store cannot be used.
        """
        ...

    def finish(self, status: Status) -> Mapping[str, str]:
        """Write what is left, and close the run; never fails because its store is away.

        Returns:
            Labels that the end has given it, see `RunFacts.labels`.

        Raises:
            RunError: if it would be FINISHED, but something could not be written.
        """
        ...

    def links(self, optimized_metric: str) -> Mapping[str, str]:
        """The command that opens the user interface, and the addresses of its pages."""
        ...
