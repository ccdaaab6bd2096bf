"""The agent's own telemetry: counters under the collector's names, the health endpoint, rate-limited logs."""
