"""The ClickHouse exporter: records into the collector's `otel_logs` table, each exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from otel_fim.component import (
    Batch,
    Exporter,
    ExporterContext,
    ExportResult,
    Health,
    PermanentError,
    RetryableError,
)
from otel_fim.config.model import ComponentConfig
from otel_fim.exporters.clickhouse.config import ClickHouseConfig
from otel_fim.exporters.clickhouse.errors import Failure, Kind, failure
from otel_fim.exporters.clickhouse.plan import Insert, plan

if TYPE_CHECKING:
    from otel_fim.exporters.clickhouse.session import Session

_ALL_REFUSED: Final = 16
"""When this many records were refused one by one and none was taken, it is the table and not the records."""
_NEW_SESSION: Final = frozenset({Kind.RIGHTS, Kind.SCHEMA})
"""After these the password and the table are looked at anew; a connection that broke is replaced anyway."""


class _Refused(Exception):  # noqa: N818 - a step of the search for the record, not an error for anyone
    """The server will not take what is in this insert."""


class ClickHouseExporter(Exporter[ClickHouseConfig]):
    """Writes batches to one table of one ClickHouse server.

    Every insert may be sent any number of times: the server leaves out what is there already. So nothing has
    to be remembered over a restart or after an attempt with an unknown outcome.
    """

    Config: ClassVar[type[ComponentConfig]] = ClickHouseConfig

    def __init__(self, config: ClickHouseConfig, context: ExporterContext) -> None:
        super().__init__(config, context)
        self._session: Session | None = None
        self._table = f"{config.database}.{config.logs_table_name}"

    def start(self) -> None:
        """Connects with the first batch: a server that is down now does not keep the agent from starting."""
        self.context.report(Health.STARTING, f"not connected to {self.config.endpoint} yet")

    def stop(self, timeout: float) -> None:  # noqa: ARG002 - closing does not wait
        """Closes the connection."""
        self._disconnect()

    def export(self, batch: Batch) -> ExportResult:
        """Returns when every row is in the table, or is one that the server will never take."""
        taken = 0
        refused: list[str] = []
        for insert in plan(batch.records):
            pending = [insert]
            while pending:
                part = pending.pop()
                try:
                    self._insert(part)
                    taken += len(part.records)
                except _Refused as reason:
                    if len(part.records) > 1:
                        first, rest = part.halves()
                        pending += (rest, first)
                        continue
                    refused.append(f"{_identity(part)}: {reason}")
                    if not taken and len(refused) >= _ALL_REFUSED:
                        raise RetryableError(
                            f"the table refuses every record, such as {refused[0]}"
                        ) from None
        if refused and not taken:
            raise PermanentError("; ".join(refused))
        return ExportResult(len(refused), "; ".join(refused[:_ALL_REFUSED]))

    def _insert(self, insert: Insert) -> None:
        """Raises `_Refused` or `RetryableError`."""
        try:
            session = self._session or self._connect()
            session.insert(insert)
        except (RetryableError, _Refused):
            raise
        except Exception as error:
            problem = failure(error, self.config, self._table)
            if problem.kind in _NEW_SESSION:
                self._disconnect()
            if problem.kind is Kind.DATA:
                raise _Refused(problem.message) from error
            raise RetryableError(problem.message) from error

    def _connect(self) -> Session:
        # 20 MB of client library that an agent without this exporter does without.
        from otel_fim.exporters.clickhouse.session import CredentialError, Session
        from otel_fim.exporters.clickhouse.table import SchemaError

        config = self.config
        try:
            session = Session(config, self.context.service_directory, self.context.logger)
        except (SchemaError, CredentialError, ValueError) as error:
            raise RetryableError(f"{config.endpoint}: {error}") from error
        except Exception as error:
            problem: Failure = failure(error, config, self._table)
            raise RetryableError(problem.message) from error
        self._session = session
        self.context.report(
            Health.OK, f"writing to {self._table} at {config.endpoint}, ClickHouse {session.server_version}"
        )
        return session

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()


def _identity(insert: Insert) -> str:
    if insert.stream is None or insert.numbers is None:
        return "a record without a stream"
    return f"record {insert.numbers[0]} of stream {insert.stream}"
