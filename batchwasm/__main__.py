"""`python -m batchwasm` is the command line."""

import sys

from batchwasm.cli import main

if __name__ == "__main__":
    sys.exit(main())
