"""Rules as ClickHouse SQL on `otel_logs` and its views."""

from otel_fim.sigma.sql.compile import compile_sql
from otel_fim.sigma.sql.layout import Layout, SqlError, layout_of
from otel_fim.sigma.sql.query import COLUMNS, Query

__all__ = ["COLUMNS", "Layout", "Query", "SqlError", "compile_sql", "layout_of"]
