"""The receivers that come with otel-fim, one folder each."""
