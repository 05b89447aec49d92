"""The command line: Hydra composes, the config is checked, and only then is anything heavy loaded.

Exit status: 0 finished; 1 a run failed; 2 a wrong config or bad input; 130 interrupted, 143
terminated, both after a checkpoint.
"""

import difflib
import errno
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml  # type: ignore[import-untyped]
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seqexp import tracking_rules  # noqa: F401  (its resolver)
from seqexp.errors import InputError, RunError, StoppedError, Terminated
from seqexp.files import full_disk
from seqexp.jobs import choices, own_overrides, run_members, start_of, told_failure
from seqexp.listing import list_without_copies
from seqexp.terminal import RED, coloured
from seqexp.tracking.address import fault

_HERE = Path(__file__).resolve().parent
CONF = next(p for p in (_HERE / "conf", _HERE.parent / "conf") if (p / "config.yaml").is_file())
"""The config folder: inside an installed package, or at the top of the source tree."""

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

EXTRAS = {"joblib": "parallel", "submitit_slurm": "slurm", "submitit_local": "slurm", "ray": "ray"}
"""Hydra's name of a launcher -> our extra that installs it."""

MODES = (
    *("-m", "--multirun", "--run", "-r", "--cfg", "-c", "--info", "-i"),
    *("--shell-completion", "-sc", "--help", "-h", "--hydra-help"),
)
"""Hydra's flags for what it is to do; it takes one of them."""

log = logging.getLogger("seqexp")

NUM_PROCESSES, RANK = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
"""Processes that `torchrun` has started to train one model, and which of them this is."""


def run_name(_root_: DictConfig) -> str:
    """Name of a single run's folder: what it is, its seed, its identity; the same every time.

    Raises:
        ConfigError: if the composition is wrong; no folder was made then.
    """
    from seqexp.config import check

    plain = OmegaConf.masked_copy(_root_, [str(key) for key in _root_ if key != "hydra"])
    return folder_name(choices(_root_.hydra.runtime.choices), check(plain))


def folder_name(chosen: Mapping[str, str], config: Mapping[str, Any]) -> str:
    """Name of the folder of a single run."""
    from seqexp.identity import identity

    together = f"-{NUM_PROCESSES}processes" if NUM_PROCESSES > 1 else ""
    name = f"{chosen.get('model')}-{chosen.get('dataset')}-seed{config['seed']}{together}"
    return f"{name}-{identity(dict(config))[:10]}"


def cores() -> int:
    """Cores that this process may use."""
    from seqexp.workers import cores

    return cores()


# here and not in main: worker processes of a launcher only import this module
OmegaConf.register_new_resolver("absolute", lambda path: str(Path(path).absolute()), replace=True)
OmegaConf.register_new_resolver("cores", cores, replace=True)
OmegaConf.register_new_resolver("run_name", run_name, replace=True)


def main() -> None:
    """Entry of `python -m seqexp` and of the command `seqexp`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would call home
    wants_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, instead of printing and exiting
    refuse_secrets(sys.argv[1:])
    sys.argv[1:] = several(sys.argv[1:])
    sys.argv[1:] = [*forgiving(sys.argv[1:]), *dry(sys.argv[1:])]
    if {"-h", "--help", "--hydra-help"} & set(sys.argv):
        list_without_copies()
    if {"-m", "--multirun"} & set(sys.argv):
        if NUM_PROCESSES > 1:
            leave(
                "torchrun trains one run by several processes; for a sweep give launcher=parallel",
                2,
            )
        sys.path.append(str(_HERE / "sweep" / "plugin"))  # of the package hydra_plugins
    refused: list[InputError | RunError] = []

    def task(config: DictConfig) -> Any:
        try:
            return job(config)
        except (InputError, RunError) as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                raise  # the launcher takes note of it and goes on
            refused.append(error)  # past Hydra, which would print lines of its own
            return None

    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(task)()
        if refused:
            raise refused[0]
    except Terminated:
        leave("terminated", 143)
    except KeyboardInterrupt:
        leave("interrupted", 130)
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, InputError) as error:
        if wants_trace:
            traceback.print_exc()
        leave(explain(error), 2)
    except RunError as error:
        if wants_trace:
            traceback.print_exc()
        leave(str(error), 130 if isinstance(error, StoppedError) else 1)
    except OSError as error:
        if full_disk(error) and not wants_trace:
            leave(f"{full_disk(error)}; see paths.outputs", 1)
        if error.errno not in _FOLDER_ERRORS or error.filename is None or wants_trace:
            raise
        leave(f"{error.filename}: cannot be written ({error.strerror}); see paths.outputs", 2)


def refuse_secrets(arguments: Sequence[str]) -> None:
    """Look at an address of a store before Hydra does, which keeps it in the run's folder."""
    for argument in arguments:
        key, _, uri = argument.lstrip("+").partition("=")
        wrong = fault(uri.strip("'\"")) if key == "tracking.uri" and "@" in uri else None
        if wrong is not None:
            leave(wrong, 2)


def job(config: DictConfig) -> Any:
    """One run, or several in one go; returns the optimized metric, which sweepers work on.

    Of several, it returns that of each, or the error that it failed with.
    """
    from seqexp.config import check
    from seqexp.sweep.stacks import members

    hydra_config = HydraConfig.get()
    is_sweep = hydra_config.mode is RunMode.MULTIRUN
    if not is_sweep:
        refuse_words_of_sweeps(hydra_config.runtime.choices)
    plain = check(config)
    for_sweeps = {"seeds": plain["seeds"], "trainer.replicas": plain["trainer"]["replicas"]}
    for key, value in for_sweeps.items():
        if value is not None and not is_sweep:
            raise InputError(f"{key} is {value}, which is for a sweep; add -m")
    if plain["dry_run"]:
        plan(plain, hydra_config)
        return None
    # seconds of imports: only for a config that is good
    from seqexp.run import run

    if RANK > 0:
        log.setLevel(logging.ERROR)  # the first process speaks for all
    together = members()
    if together:
        return run_members(plain, hydra_config, together)
    start = start_of(hydra_config, own_overrides(hydra_config))
    if is_sweep:
        log.info(f"\njob {hydra_config.job.num}: {' '.join(start.overrides)}")
    try:
        result = run(plain, start)
    except Exception as error:
        if is_sweep:  # Hydra shows only the first job that failed
            raise told_failure(f"job {hydra_config.job.num}", error) from error
        raise
    return result.metrics.get(plain["optimized_metric"])


def refuse_words_of_sweeps(chosen: Any) -> None:
    """A launcher and a search are of use for several runs only."""
    for group, default in (("launcher", "local"), ("sweeper", "grid")):
        option = chosen.get(group)
        if option not in (None, default):
            raise InputError(f"{group}={option} is for a sweep; add -m, or give {group}={default}")


def plan(config: dict[str, Any], hydra_config: Any) -> None:
    """Say what a single run would do."""
    from seqexp.planning import say_plans

    overrides = [item.lstrip("+") for item in hydra_config.overrides.task]
    folder = Path(hydra_config.runtime.output_dir)
    if folder == Path.cwd():  # of `dry`
        name = folder_name(choices(hydra_config.runtime.choices), config)
        folder = Path(config["paths"]["outputs"]).absolute() / "runs" / name
    label = " ".join(item for item in overrides if not item.startswith("dry_run="))
    say_plans([(label, config, folder)])


def forgiving(arguments: Sequence[str]) -> list[str]:
    """Let unknown keys into the composition, so that our check can name them all at once.

    Hydra stops at the first unknown key and advises to add it with a plus; `++key=value` sets a
    key whether it is there or not, and the check then says which key was meant.
    """
    if {"-sc", "--shell-completion"} & set(arguments):
        return [*arguments, *typed_folder()]  # `query=bash` is no key
    groups = {folder.name for folder in config_folders(arguments)}
    multirun = [argument for argument in arguments if argument in ("-m", "--multirun")]
    others = [argument for argument in arguments if argument not in multirun]
    return multirun + [  # first, since argparse wants the values in one row
        f"++{argument}"
        if re.match(r"^[A-Za-z_][\w.-]*=", argument)
        and not argument.startswith(("hydra.", "hydra/"))
        and argument.partition("=")[0] not in groups
        else argument
        for argument in others
    ]


def several(arguments: Sequence[str]) -> list[str]:
    """Make a sweep of what is to be trained in several replicas, unless Hydra is to do another
    thing.
    """
    given = dict(item.lstrip("+").partition("=")[::2] for item in arguments)
    is_single = given.get("trainer.replicas", "null").lower() in ("null", "none")
    is_told = any(item.partition("=")[0] in MODES for item in arguments)
    return [*arguments] if is_single or is_told else ["-m", *arguments]


def typed_folder() -> list[str]:
    """The user's folder of configs on the line that is being completed."""
    words = os.environ.get("COMP_LINE", "").split()
    pairs = zip(words, words[1:], strict=False)
    return next(([flag, value] for flag, value in pairs if flag in ("--config-dir", "-cd")), [])


def dry(arguments: Sequence[str]) -> list[str]:
    """Have a single dry run leave no folder; a sweep knows that by itself."""
    is_dry = "dry_run=true" in [item.lstrip("+").lower() for item in arguments]
    if not is_dry or {"-m", "--multirun"} & set(arguments):
        return []
    given = any(item.startswith("hydra.run.dir=") for item in arguments)
    folder = [] if given else ["hydra.run.dir=."]
    return [*folder, "hydra.output_subdir=null", "hydra.job_logging.root.handlers=[console]"]


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Folders of config groups: ours, and those of `--config-dir`."""
    roots = [CONF]
    for flag, value in zip(arguments, [*arguments, ""][1:], strict=True):
        if flag in ("--config-dir", "-cd", "--config-path", "-cp"):
            roots.append(Path(value))
        elif flag.startswith(("--config-dir=", "--config-path=")):
            roots.append(Path(flag.partition("=")[2]))
    return [path for root in roots if root.is_dir() for path in root.iterdir() if path.is_dir()]


def explain(error: Exception) -> str:
    """One message from Hydra's, OmegaConf's, YAML's and our own errors."""
    ours: BaseException | None = error
    while ours is not None:  # what a resolver raises comes wrapped in OmegaConf's errors
        if isinstance(ours, InputError):
            return str(ours)
        ours = ours.__cause__ or ours.__context__
    if isinstance(error, OverrideParseException):
        reason = str(error).splitlines()[0]
        return f"{error.override.lstrip('+')}: cannot be read ({reason}); write KEY=VALUE"
    lines = [line for line in str(error).splitlines() if line.strip()]
    cause = str(error.__cause__ or "").splitlines()
    if cause and cause[0] not in lines:
        lines.append(cause[0])
    text = "\n  ".join(line for line in lines if not line.startswith("To append to your config"))
    missing = re.search(r"Could not find '([\w-]+)/([^']+)'", text)
    if missing and missing[2].removeprefix("launcher/") in EXTRAS:
        extra = EXTRAS[missing[2].removeprefix("launcher/")]
        return f"launcher={extra}: a package is missing; pip install 'seqexp[{extra}]'"
    if missing:
        group, option = missing.groups()
        known = sorted(
            str(path.relative_to(CONF / group).with_suffix(""))
            for path in (CONF / group).rglob("*.yaml")
        )
        near = difflib.get_close_matches(option, known, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        return f"{group}={option}: there is no such option; {hint}There are {', '.join(known)}"
    return text


def leave(message: str, status: int) -> None:
    """Say why, and exit."""
    if RANK == 0:
        print(coloured("seqexp:", RED, sys.stderr), message, file=sys.stderr)
    else:
        time.sleep(10)  # torchrun ends all when one ends: let the first one say why
    sys.exit(status)
