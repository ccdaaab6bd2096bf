"""The command line. Commands are modules found by the entry-point group `otel_fim.commands`."""
