"""Addresses of stores, looked at without opening them."""

from pathlib import Path
from urllib.parse import urlsplit

SQLITE = "sqlite:///"

ALLOWED = "sqlite:////absolute/path.db, or http://HOST:PORT of an `mlflow server`"


def is_served(uri: str) -> bool:
    """A server keeps the store, not a file."""
    return uri.startswith(("http://", "https://"))


def fault(uri: str) -> str | None:
    """What is wrong with an address of a store; never shows a password in it."""
    try:
        parts = urlsplit(uri)
        host, password, _ = parts.hostname, parts.password, parts.port
    except ValueError as error:
        return f"tracking.uri is no address ({error}); give {ALLOWED}"
    if password is not None:
        # the config is kept with every run, in its folder and in the store
        return (
            f"tracking.uri holds a password for {host}, which would be kept with every run; give"
            " it in the environment, as MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if is_served(uri):
        return None if host else f"tracking.uri is {uri!r}, without a host; give {ALLOWED}"
    if not uri.startswith(SQLITE) or uri == SQLITE:
        return f"tracking.uri is {uri!r}; give {ALLOWED}"
    return None


def database_file(uri: str) -> Path | None:
    """File of an SQLite store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None


def absolute(uri: str) -> str:
    """The same store from any folder."""
    file = database_file(uri)
    return uri if file is None else f"{SQLITE}{file.absolute()}"
