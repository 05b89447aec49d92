"""A command up to its first update, and the modules that it has imported by then.

    python tests/tools/first_update.py [--to-the-end] [WORD ...]

The process ends instead of the first update, or when the command does.
"""

import os
import sys
from typing import Any

from seqexp.utils import garbage

garbage.pause()  # as the command's own first line does

import seqexp.cli.main as command  # noqa: E402


def say_modules(*_: Any) -> None:
    """Print the names of all modules, and end."""
    print(f"\nmodules: {' '.join(sorted(sys.modules))}", flush=True)
    os._exit(0)


def main() -> None:
    """What `python -m seqexp` does."""
    job, goes_on = command.job, sys.argv[1:2] == ["--to-the-end"]
    del sys.argv[1 : 1 + goes_on]

    def until_first_update(config: Any) -> Any:
        if not (config.dry_run or goes_on):
            from seqexp.trainer import update

            update.update = say_modules  # before the loop takes it
        return job(config)

    command.job = until_first_update
    try:
        command.main()
    except SystemExit as ended:  # Hydra's way after --help
        if ended.code:
            raise
    say_modules()


if __name__ == "__main__":
    main()
