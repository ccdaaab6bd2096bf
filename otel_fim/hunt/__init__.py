"""`otel-fim hunt`: what rules find in the table."""
