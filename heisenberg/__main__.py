"""``python -m heisenberg``."""

import sys

from heisenberg.cli import main

if __name__ == "__main__":
    sys.exit(main())
