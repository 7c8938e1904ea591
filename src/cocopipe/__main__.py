"""``python -m cocopipe``: the ``cocopipe`` command."""

import sys

from cocopipe.cli import main

sys.exit(main())
