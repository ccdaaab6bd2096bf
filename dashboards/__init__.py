"""The dashboards that come with otel-fim, one folder each."""
