"""The processors that come with otel-fim, one folder each."""
