"""`python -m seqexp`: one of its commands, or else a training; see `seqexp.cli`."""

import sys

from seqexp.utils import garbage


def main() -> None:
    """Entry of `python -m seqexp` and of the command `seqexp`."""
    garbage.pause()
    try:
        begin()
    except KeyboardInterrupt:  # while it still imports: what runs hears Ctrl-C itself
        print("seqexp: interrupted", file=sys.stderr)
        sys.exit(130)


def begin() -> None:
    """Do what the first word says."""
    from seqexp.cli.subcommand import COMMANDS, run_command, say_versions

    given = sys.argv[1:]
    if given and given[0] in COMMANDS:
        sys.exit(run_command(given[0], given[1:]))
    if "--version" in given:
        sys.exit(say_versions())
    if given and given[0] in ("-sc", "--shell-completion"):
        from seqexp.cli.completion import complete

        complete(given, train)
        return
    train()


def train() -> None:
    """What is no command: a training, or what Hydra says of one."""
    from seqexp.cli.main import main as train  # Hydra, which no command's help needs

    train()


if __name__ == "__main__":
    main()
