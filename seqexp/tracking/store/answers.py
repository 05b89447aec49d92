"""Answers of servers: within a time, and what logs in goes to the servers that were named only.

MLflow has a time limit for each piece of an answer, sends its token to whatever host a database
gives as the place of its artifacts, and makes folders that are named as an address is written. That
is mended here, by functions around its own.
"""

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import mlflow.store.artifact.http_artifact_repo as http_artifacts
import mlflow.store.artifact.mlflow_artifacts_repo as served_artifacts
import mlflow.store.db.utils as databases
import mlflow.utils.rest_utils as rest
import requests
from mlflow import get_tracking_uri
from mlflow.utils.rest_utils import MlflowHostCreds

T = TypeVar("T")

ANSWER_SECONDS = 90.0
"""For a whole answer, tries included; a server that takes longer is treated as one that is away."""

FILE_SECONDS = 900.0
"""The same where a file is sent."""

_named: set[tuple[str, str, int]] = set()
"""Servers that a caller has named: scheme, host and port."""


def within(seconds: float, work: Callable[[], T]) -> T:
    """Return the result of `work` if it ends in time; otherwise leave it behind.

    Raises:
        requests.Timeout: if it takes longer.
    """
    found: list[T] = []
    failed: list[BaseException] = []

    def do() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=do, name="answer", daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not found:
        raise requests.Timeout(f"no whole answer within {seconds:g} s")
    return found[0]


def guard(uri: str | None) -> None:
    """Have MLflow's requests keep to a time, and send what logs in to this server too.

    Args:
        uri: a server that the caller names; None where there is none.
    """
    if uri is not None:
        _named.add(_server(uri))
    _wrap(rest, "_get_http_response_with_retries", _timed)
    _wrap(databases, "_make_parent_dirs_if_sqlite", _unless_encoded)
    for module in (http_artifacts, served_artifacts):
        _wrap(module, "get_default_host_creds", _for_named_servers)


def _wrap(module: Any, name: str, wrapper: Callable[[Callable[..., Any]], Any]) -> None:
    """Put a function around one of MLflow's, once."""
    before = getattr(module, name)
    if not getattr(before, "is_guarded", False):
        after: Any = functools.wraps(before)(wrapper(before))
        after.is_guarded = True
        setattr(module, name, after)


def _unless_encoded(make: Callable[[str], None]) -> Callable[[str], None]:
    """MLflow makes the folder of an address as it is written; ours is there."""

    def made(uri: str) -> None:
        if "%" not in uri:
            make(uri)

    return made


def _timed(request: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*given: Any, **options: Any) -> Any:
        is_file = hasattr(options.get("data"), "read")
        seconds = FILE_SECONDS if is_file else ANSWER_SECONDS
        return within(seconds, lambda: request(*given, **options))

    return timed


def _for_named_servers(credentials: Callable[[str], Any]) -> Callable[[str], Any]:
    def without(uri: str) -> Any:
        found = credentials(uri)
        if _server(uri) in (*_named, _server(get_tracking_uri())):
            return found
        return MlflowHostCreds(  # type: ignore[no-untyped-call]
            host=uri,
            ignore_tls_verification=found.ignore_tls_verification,
            server_cert_path=found.server_cert_path,
        )

    return without


def _server(uri: str) -> tuple[str, str, int]:
    try:
        parts = urlsplit(uri)
        port = parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:
        return "", "", 0  # no server at all
    return parts.scheme, parts.hostname or "", port
