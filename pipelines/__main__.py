"""`python -m pipelines` is `headwater`."""

import sys

from pipelines.cli import main

sys.exit(main())
