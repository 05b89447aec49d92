"""`python -m seqexp`: see `seqexp.cli`."""

from seqexp.cli import main

if __name__ == "__main__":
    main()
