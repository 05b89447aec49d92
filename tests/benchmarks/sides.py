"""Who is compared: a name on the command line, what it is, and what it needs."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec

from seqexp.errors import InputError


@dataclass(frozen=True)
class Side:
    """A way to train the same network.

    `module` is that of `tests.benchmarks.peers`; `needs` are packages of the extra `bench`.
    """

    title: str
    module: str
    variant: str = ""
    needs: tuple[str, ...] = ()


SIDES = {
    "bare": Side("a bare loop", "bare"),
    "ours": Side("seqexp", "ours"),
    "ours-quiet": Side("seqexp, keeping nothing", "ours", "quiet"),
    "lightning": Side("Lightning, all off", "lightning", "", ("lightning",)),
    "lightning-logging": Side("Lightning, to MLflow", "lightning", "logging", ("lightning",)),
    "keras": Side("Keras, TensorFlow", "keras", "tensorflow", ("keras", "tensorflow")),
    "keras-xla": Side("Keras, TensorFlow's XLA", "keras", "xla", ("keras", "tensorflow")),
    "keras-torch": Side("Keras, PyTorch", "keras", "torch", ("keras",)),
}


def refuse_missing(names: Iterable[str]) -> None:
    """Say once what is not installed.

    Raises:
        InputError: naming packages, and the extra that has them.
    """
    missing = sorted(
        {package for name in names for package in SIDES[name].needs if find_spec(package) is None}
    )
    if missing:
        raise InputError(
            f"not installed: {', '.join(missing)}; pip install -e '.[bench]', or give"
            " --sides bare ours ours-quiet"
        )
