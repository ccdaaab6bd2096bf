"""The exporters that come with otel-fim, one folder each."""
