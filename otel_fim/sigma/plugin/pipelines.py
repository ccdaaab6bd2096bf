"""otel-fim's processing pipeline, for pySigma's tools: `sigma convert -p otel_fim …`."""

from otel_fim.sigma.mapping.pipeline import otel_fim_pipeline

__all__ = ["otel_fim_pipeline"]
