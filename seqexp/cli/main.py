"""The command line: Hydra composes, the config is checked, and only then is anything heavy loaded.

Exit status: 0 finished; 1 a run failed; 2 a wrong config or bad input; 130 interrupted, 143
terminated, both after a checkpoint.
"""

import errno
import logging
import os
import shutil
import sys
import time
import traceback
import types
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hydra
import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from seqexp.cli.arguments import prepared, several
from seqexp.cli.help import list_without_copies
from seqexp.cli.job import job
from seqexp.cli.resolvers import _HERE, NUM_PROCESSES, RANK
from seqexp.cli.subcommand import see_own_packages
from seqexp.config.groups import CONF
from seqexp.errors import InputError, LostProcessError, RunError, StoppedError, Terminated
from seqexp.tracking import check as tracking_rules  # noqa: F401  (its resolver)
from seqexp.tracking.store.address import fault
from seqexp.utils.files import LOCK, full_disk
from seqexp.utils.names import shortened, visible
from seqexp.utils.streams import at_any_terminal
from seqexp.utils.terminal import RED, coloured

_FOLDER_ERRORS = (
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENAMETOOLONG,
)

NO_JOBS = {"-h", "--help", "--hydra-help", "-c", "--cfg", "-i", "--info"}
"""Words after which a sweep has no jobs."""

log = logging.getLogger("seqexp")


@at_any_terminal
def main() -> None:
    """A training, or several: what `python -m seqexp` does without the name of a command."""
    command(sys.argv[1:])


def command(given: Sequence[str]) -> None:
    """Run the typed command; ends the process if anything is wrong."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would call home
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, instead of printing and exiting
    see_own_packages()
    try:
        composed(given)
    except SystemExit as error:  # of Hydra, which so refuses a --package that is not there
        raise SystemExit(2 if error.code == 1 else error.code) from None
    except Terminated:
        leave("terminated", 143)
    except KeyboardInterrupt:
        leave("interrupted", 130)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, InputError) as error:
        if wants_trace:
            traceback.print_exc()
        leave(told(error, given), 2)
    except RunError as error:
        if wants_trace:
            traceback.print_exc()
        status = 130 if isinstance(error, StoppedError) else 1
        leave(str(error), status, by_all=isinstance(error, LostProcessError))
    except (ValueError, TypeError, KeyError, AssertionError, RecursionError) as error:
        if wants_trace or not is_of_composition(error):
            raise
        leave(told(error, given), 2)
    except OSError as error:
        if full_disk(error) and not wants_trace:
            leave(f"{full_disk(error)}; see paths.outputs", 1)
        if error.errno not in _FOLDER_ERRORS or error.filename is None or wants_trace:
            raise
        leave(f"{error.filename}: cannot be written ({error.strerror}); see paths.outputs", 2)


def is_of_composition(error: BaseException) -> bool:
    """Whether an error was raised by Hydra or OmegaConf as they read configs, and not by us."""
    names = [
        str(frame.f_globals.get("__name__")).partition(".")[0]
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    known = [name for name in names if name in ("seqexp", "hydra", "omegaconf")]
    return bool(known) and known[-1] != "seqexp"


def told(error: Exception, given: Sequence[str]) -> str:
    """The message of an error; what explains Hydra's is imported only for that."""
    from seqexp.cli.words_of_errors import explain

    return explain(error, given)


def composed(given: Sequence[str]) -> None:
    """Have Hydra compose the config and run the job, or the jobs of a sweep."""
    refuse_secrets(given)
    is_sweep = bool({"-m", "--multirun"} & set(several(given)))
    if is_sweep:  # before Hydra looks for plugins, which it does once: here, or to find a run
        sys.path.append(str(_HERE / "sweep" / "plugin"))  # of the package hydra_plugins
    sys.argv[1:] = prepared(given)
    if is_sweep and "launcher=parallel" in given:
        begin_for_jobs(sys.argv)
    if {"-h", "--help", "--hydra-help"} & set(sys.argv):
        list_without_copies()
    if is_sweep and NUM_PROCESSES > 1:
        raise InputError(
            "torchrun trains one run by several processes; for a sweep give launcher=parallel"
        )
    refused: list[InputError | RunError] = []

    def task(config: DictConfig) -> Any:
        try:
            return job(config)
        except (InputError, RunError) as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # the launcher takes note of it and goes on
            refused.append(error)  # past Hydra, which would print lines of its own
            if isinstance(error, InputError):
                leave_nothing(config, Path(HydraConfig.get().runtime.output_dir))
            return None

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
    if refused:
        raise refused[0]


def begin_for_jobs(words: Sequence[str]) -> None:
    """Begin to import what jobs need, in another process, while Hydra composes them."""
    if NO_JOBS & {*words} or any(word.startswith("dry_run=") for word in words):
        return
    with suppress(ImportError):  # which launcher=parallel says later
        from seqexp.sweep.forked.processes import start_early

        start_early("seqexp.sweep.forked.preloaded")


def leave_nothing(config: DictConfig, folder: Path) -> None:
    """Take the folder of a run that was refused away, where nothing of the run is in it yet."""
    if folder == Path.cwd() or not folder.is_dir():
        return
    if {path.name for path in folder.iterdir()} <= {".hydra", LOCK}:
        shutil.rmtree(folder / ".hydra", ignore_errors=True)
        (folder / LOCK).unlink(missing_ok=True)
    outputs = Path(str(config.paths.outputs)).absolute()
    with suppress(OSError):  # the first that holds anything stays, and what it is in
        for path in (folder, *folder.parents):
            if not path.is_relative_to(outputs):
                break
            path.rmdir()


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Look at an address of a store before Hydra does, which keeps it in the run's folder.

    Raises:
        InputError: if the address names a user.
    """
    for argument in arguments:
        key, _, uri = argument.lstrip("+").partition("=")
        wrong = fault(uri.strip("'\"")) if key == "tracking.uri" and "@" in uri else None
        if wrong is not None:
            raise InputError(wrong)


def leave(message: str, status: int, by_all: bool = False) -> None:
    """Say why, and exit; of several processes the first one does, or those that are left."""
    if RANK == 0 or by_all:
        shown = shortened(visible(message))
        print(coloured("seqexp:", RED, sys.stderr), shown, file=sys.stderr)
    else:
        time.sleep(10)  # torchrun ends all when one ends: let the first one say why
    sys.exit(status)


class _CalledByItsOldName(types.ModuleType):
    """`from seqexp.cli import main; main()`: the module that has the function's name now."""

    def __call__(self) -> None:
        main()


sys.modules[__name__].__class__ = _CalledByItsOldName
