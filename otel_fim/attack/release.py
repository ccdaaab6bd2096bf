"""The release of ATT&CK that `table.json` holds; written by `otel_fim.attack.generate`."""

from __future__ import annotations

from typing import Final

VERSION: Final = "19.2"
FRAMEWORK: Final = f"MITRE ATT&CK v{VERSION}"
