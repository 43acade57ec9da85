"""python -m numsnn."""

import sys

from .cli import main

sys.exit(main())
