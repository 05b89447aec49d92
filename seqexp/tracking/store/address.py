"""Addresses of stores, looked at without opening them.

A file's address is SQLAlchemy's: `%` and `?` of its path are written %25 and %3F.
"""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

SQLITE = "sqlite:///"

ALLOWED = "sqlite:////absolute/path.db, or http://HOST:PORT of an `mlflow server`"


def is_served(uri: str) -> bool:
    """A server keeps the store, not a file."""
    return uri.startswith(("http://", "https://"))


def fault(uri: str) -> str | None:
    """The fault of a store's address; never shows a user or a password."""
    if uri.startswith(SQLITE):
        return _fault_of_file(uri)
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"tracking.uri is no address ({_without_user(str(error))}); give {ALLOWED}"
    if "@" in uri:
        # the config is kept with every run, in its folder and in the store
        what = "a password" if parts.password is not None else "a user or a token"
        return (
            f"tracking.uri holds {what}{f' for {host}' if host else ''}, which would be kept with"
            " every run; give it in the environment, as MLFLOW_TRACKING_USERNAME and"
            " MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        )
    if not is_served(uri):
        return f"tracking.uri is {uri!r}; give {ALLOWED}"
    if not host:
        return f"tracking.uri is {uri!r}, without a host; give {ALLOWED}"
    if parts.query or parts.fragment:  # a secret may stand there
        return f"tracking.uri has something after a ? or # for {host}; give http://HOST:PORT alone"
    return None


def _fault_of_file(uri: str) -> str | None:
    path, mark, query = uri.removeprefix(SQLITE).partition("?")
    if not path or path == "/":
        return f"tracking.uri is {uri!r}, without a file; give {ALLOWED}"
    if "\0" in unquote(path):
        return f"tracking.uri is {uri!r}; a file's name holds no zero byte"
    if mark and not (query and _are_options(query)):
        return (
            f"tracking.uri is {uri!r}, where a ? begins options; in the name of a file or folder"
            " it is written %3F, and a % is %25"
        )
    return None


def _are_options(query: str) -> bool:
    """Whether a query is one of SQLite's driver, and not the rest of a path."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True)
    except ValueError:
        return False
    return all(re.fullmatch(r"\w+", key) and "/" not in value for key, value in pairs)


def _without_user(text: str) -> str:
    return re.sub(r"\S*@", "...@", text)


def database_file(uri: str) -> Path | None:
    """File of an SQLite store."""
    if not uri.startswith(SQLITE):
        return None
    return Path(unquote(uri.removeprefix(SQLITE).partition("?")[0]))


def sqlite_uri(file: Path) -> str:
    """The address of a database's file, from any folder."""
    path = str(file.absolute())
    for sign in "%?":  # the percent sign first: the other becomes one
        path = path.replace(sign, f"%{ord(sign):02X}")
    return f"{SQLITE}{path}"


def absolute(uri: str) -> str:
    """The address from any folder; one text for one store."""
    file = database_file(uri)
    if file is None:
        return uri.rstrip("/")
    _, mark, query = uri.partition("?")
    return f"{sqlite_uri(Path(os.path.normpath(file.absolute())))}{mark}{query}"


def default_uri() -> str:
    """The store where the configuration says nothing else: as `conf/tracking/mlflow.yaml`."""
    outputs = os.environ.get("SEQEXP_OUTPUTS", "outputs")
    return absolute(sqlite_uri(Path(outputs, "mlflow.db")))


def local_path(address: str) -> Path | None:
    """The folder that an address of artifacts means; None if it is no folder of this machine."""
    parts = urlsplit(address)
    if parts.scheme not in ("", "file") or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path) if parts.scheme else address)
