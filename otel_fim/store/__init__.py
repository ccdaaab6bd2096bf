"""The embedded store: chDB, the in-process ClickHouse, behind ClickHouse's HTTP interface.

`otel-fim store` runs it, `EmbeddedStoreExtension` runs that command as a child of the agent. Whatever speaks
ClickHouse over HTTP can use it: the agent's own exporter, clickhouse-connect, Grafana, curl. `docs/store.md`
says what it does and what it leaves out.

This package imports chDB only in the process that serves (`engine.Engine.open`); the agent never does.
"""
