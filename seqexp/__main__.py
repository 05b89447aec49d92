"""`python -m seqexp`: see `seqexp.cli.main`."""

from seqexp.cli.main import main

if __name__ == "__main__":
    main()
