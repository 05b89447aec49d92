"""Records nothing."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqexp.tracking.tracker import DataFacts, ModelFiles, RunFacts, Status

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # half a second, and only for its name

    from seqexp.utils.beside import Picture


class NoTracker:
    """A tracker for trials: metrics are printed, nothing is kept."""

    keeps = False

    def start(self, facts: RunFacts) -> None:
        """Nothing to begin."""

    def data(self, facts: DataFacts) -> None:
        """Not kept."""

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Not kept."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Not kept."""

    def text(self, content: str, path: str) -> None:
        """Not kept."""

    def file(self, write: Callable[[Path], Any], path: str) -> None:
        """Not kept."""

    def table(self, rows: Sequence[Mapping[str, Any]], path: str) -> None:
        """Not kept."""

    def figure(self, figure: "Figure | Picture | bytes", path: str) -> None:
        """Not kept."""

    def image(self, image: bytes, key: str, step: int) -> None:
        """Not kept."""

    def model(self, files: ModelFiles) -> None:
        """Not kept."""

    def mark(self) -> int:
        """Nothing to know again."""
        return 0

    def describe(self, markdown: str) -> None:
        """Not kept."""

    def label(self, run_ids: Sequence[str], labels: Mapping[str, str]) -> None:
        """Not kept."""

    def finish(self, status: Status) -> dict[str, str]:
        """Nothing to close."""
        return {}

    def links(self, optimized_metric: str) -> dict[str, str]:
        """Nowhere to look."""
        return {}
