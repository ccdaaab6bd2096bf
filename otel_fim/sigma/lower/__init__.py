"""From pySigma's trees to `otel_fim.sigma.ir`."""
