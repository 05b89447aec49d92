"""What cannot be a place to record in; seen before any data is read."""

from collections.abc import Iterator

from seqexp.rules import Config, rule
from seqexp.tracking.address import fault, is_served


@rule("tracking")
def _store_has_an_address(config: Config) -> Iterator[str]:
    uri = config["tracking"].get("uri")
    if uri is None:
        return
    wrong = fault(uri)
    if wrong is not None:
        yield wrong
    elif config["tracking"]["_target_"].endswith(".ServerTracker") and not is_served(uri):
        yield (
            f"tracking.uri is {uri!r}, no server's address; give http://HOST:PORT, or"
            " tracking=mlflow for a file of your own"
        )
