"""`python -m noiseforge`, which launchers of several processes need."""

import sys

from noiseforge.cli import main

if __name__ == "__main__":
    sys.exit(main())
