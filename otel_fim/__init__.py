"""otel-fim: what changed on a host, who changed it, and whether the record of it can be trusted.

The core holds what every component shares: the record (`record`), its names (`names`), its OTLP forms
(`otlp`), its canonical form (`canonical`), the component interfaces (`component`), configuration
(`config`), the journal (`journal`) and the pipeline (`pipeline`). Components live in `receivers`,
`processors` and `exporters` and are found by entry points, never imported by the core.
"""

from otel_fim.version import __version__

__all__ = ["__version__"]
