"""`python -m otel_fim` is `otel-fim`."""

import sys

from otel_fim.cli.main import main

sys.exit(main())
