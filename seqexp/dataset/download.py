"""Files from their home on the network, checked."""

from pathlib import Path

from seqexp.errors import InputError

TIMEOUT = 30
"""Seconds without an answer or a byte."""


def download(url: str, sha256: str, path: Path) -> None:
    """Fetch a file that must have this SHA-256; it gets its name only then.

    Raises:
        InputError: if there is no network, the file is not as it should be (it is removed), or
            cannot be written. Each says how to go on.
    """
    import pooch  # a quarter of a second, and needed once
    import requests

    by_hand = f"download {url} yourself and put it at {path}"
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except requests.exceptions.RequestException as error:
        reason = f"{type(error).__name__}: {str(error)[:200]}"
        raise InputError(f"{url}: cannot be downloaded ({reason}); {by_hand}") from error
    except ValueError as error:
        raise InputError(
            f"{url}: the download is damaged, its SHA-256 is not {sha256}; it was removed. Try"
            f" again, or {by_hand}"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path.parent}: the download cannot be written there ({error.strerror});"
            " give another paths.data"
        ) from error
