"""Records runs on a shared MLflow server."""

from seqexp.ranges import NotNegative
from seqexp.tracking.mlflow import MlflowTracker


class ServerTracker(MlflowTracker):
    """A tracker on an `mlflow server`, which keeps the artifacts too.

    Args:
        uri: of the server, `http://HOST:PORT`.
        log_model: keep the trained model with the run.
        patience_seconds: how long a finished run tries to deliver what is left.
        register: name of a registered model that the trained one becomes a version of.
        system_metrics: record memory and CPU of the process.
    """

    def __init__(
        self,
        uri: str,
        log_model: bool = True,
        patience_seconds: NotNegative = 60.0,
        register: str | None = None,
        system_metrics: bool = False,
    ) -> None:
        super().__init__(uri, None, log_model, patience_seconds, register, system_metrics)
