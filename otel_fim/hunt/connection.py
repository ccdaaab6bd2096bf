"""Where the rows are, and asking for them over ClickHouse's HTTP interface."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import urllib3

from otel_fim.config.validate import AgentConfig, ComponentSpec
from otel_fim.hunt.errors import HuntError, UnreachableError
from otel_fim.sigma.sql.layout import qualified
from otel_fim.store.passwords import READER, password_file
from otel_fim.version import __version__

_CONNECT_SECONDS: Final = 10.0
_UNKNOWN_TABLE: Final = 60
_UNKNOWN_DATABASE: Final = 81
_WRONG_PASSWORD: Final = frozenset({192, 193, 194, 516})
_NO_RIGHT: Final = frozenset({164, 497})
_NOT_ENOUGH: Final = frozenset({158, 159, 160, 241, 307, 396})
_CODE: Final = re.compile(r"Code: (\d+)\.")
_CLUTTER: Final = re.compile(r"^Code: \d+\. DB::Exception: |\s*\(version [^)]*(?:\([^)]*\))?\)\s*$")
_LONGEST: Final = 500


@dataclass(slots=True, frozen=True)
class Place:
    """A table on a server, and who asks. `hint` is what to do when nobody answers."""

    endpoint: str
    username: str
    password: str
    database: str
    table: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    insecure: bool = False
    hint: str = "is the address right, and the server running?"

    @property
    def qualified(self) -> str:
        """`database.table`, where neither has a dot."""
        return (
            self.table if self.database == "default" or "." in self.table else f"{self.database}.{self.table}"
        )


def place_of(args: argparse.Namespace, config: AgentConfig | None) -> Place:
    """From the command line, or else from the configuration. Raises `HuntError`."""
    if args.endpoint or config is None:
        username = args.username or "default"
        found = Place(args.endpoint, username, _password(args), "default", "otel_logs")
    else:
        found = _configured(config, args)
    database, table = args.database or found.database, args.table or found.table
    form = "write http://host:8123 or https://host:8443"
    try:
        url = urlsplit(found.endpoint)
        _ = url.port
    except ValueError as error:
        raise HuntError(f"{found.endpoint!r} is not a URL ({error}); {form}") from None
    if url.scheme not in ("http", "https") or not url.hostname:
        raise HuntError(f"{found.endpoint!r} is not the address of ClickHouse's HTTP interface; {form}")
    return _replaced(found, database, table)


def table_of(args: argparse.Namespace, config: AgentConfig | None) -> Place:
    """Only which table it is: nobody is going to be asked."""
    exporters = [] if args.endpoint or config is None else _exporters(config)
    settings: Any = exporters[0].config if exporters else None
    database = args.database or (settings.database if settings else "default")
    return Place("", "", "", database, args.table or (settings.logs_table_name if settings else "otel_logs"))


def _exporters(config: AgentConfig) -> list[ComponentSpec]:
    """Those that write to ClickHouse, the ones in use first."""
    used = {name for pipeline in config.service.pipelines.values() for name in pipeline.exporters}
    exporters = [spec for spec in config.exporters.values() if spec.type == "clickhouse"]
    return sorted(exporters, key=lambda spec: spec.id not in used)


def _replaced(place: Place, database: str, table: str) -> Place:
    values = {name: getattr(place, name) for name in Place.__slots__}
    return Place(**{**values, "database": database, "table": table})


def _configured(config: AgentConfig, args: argparse.Namespace) -> Place:
    exporters = _exporters(config)
    if not exporters:
        raise HuntError(
            "the configuration has no clickhouse exporter: say where the rows are with --endpoint"
        )
    settings: Any = exporters[0].config
    state = config.service.state_path
    store = next((spec for spec in config.extensions.values() if spec.type == "embedded_store"), None)
    directory = None if store is None else _store_directory(store, settings.endpoint, state)
    username, password = settings.username, settings.password.get_secret_value()
    path = state / settings.password_file if settings.password_file else None
    hint = "is the address right, and the server running?"
    endpoint = settings.endpoint
    if directory is not None:
        # The embedded store has a user for this, who can only read.
        username, path = READER, Path(password_file(str(directory), READER))
        hint = "`otel-fim run` starts the embedded store, and so does `otel-fim store --data DIR`"
        if urlsplit(endpoint).port == 0:
            endpoint = _listening(directory)
    if args.username:
        username, password, path = args.username, "", None
    if args.password_file:
        password = _password(args)
    elif path is not None:
        password = _read(path, embedded=directory is not None)
    tls = settings.tls
    return Place(
        endpoint,
        username,
        password,
        settings.database,
        settings.logs_table_name,
        tls.ca_file,
        tls.cert_file,
        tls.key_file,
        tls.insecure_skip_verify,
        hint,
    )


def _store_directory(store: ComponentSpec, endpoint: str, state: Path) -> Path | None:
    """The embedded store's directory if it is what the exporter writes to."""
    settings: Any = store.config
    host, _, port = settings.listen.rpartition(":")
    url = urlsplit(endpoint)
    loopback = {"localhost", "127.0.0.1", "::1", host.strip("[]")}
    if str(url.port or 8123) != port or url.hostname not in loopback:
        return None
    return (state / (settings.data or "store")).absolute()


def _listening(directory: Path) -> str:
    try:
        return f"http://{(directory / 'address').read_text('utf-8').strip()}"
    except OSError as error:
        raise HuntError(
            f"{directory / 'address'}: {error.strerror}: is the embedded store running?"
        ) from error


def _password(args: argparse.Namespace) -> str:
    return _read(Path(args.password_file), embedded=False) if args.password_file else ""


def _read(path: Path, *, embedded: bool) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except FileNotFoundError:
        if embedded:
            raise HuntError(
                f"there is no {path}, so no embedded store has run here: start the agent in this directory (`otel-fim "
                "run`), or say where the rows are with -c FILE or --endpoint URL"
            ) from None
        raise HuntError(f"the password file {path} is not there") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        remedy = (
            "; do this as the user that the agent runs as, or give --username and --password-file"
            if embedded and isinstance(error, PermissionError)
            else ""
        )
        raise HuntError(f"the password file {path} cannot be read: {reason}{remedy}") from error


class Server:
    """Asks one server. Raises `HuntError`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._pool = urllib3.PoolManager(
            retries=False,
            cert_reqs="CERT_NONE" if place.insecure else "CERT_REQUIRED",
            ca_certs=place.ca_file or None,
            cert_file=place.cert_file or None,
            key_file=place.key_file or None,
            timeout=urllib3.Timeout(connect=_CONNECT_SECONDS, read=None),
        )
        if place.insecure:
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def rows(self, sql: str) -> Iterator[dict[str, Any]]:
        """The rows of a SELECT."""
        for line in self._ask(sql, "JSONEachRow").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                raise HuntError(self._cause(line)) from None

    def table_rows(self, sql: str) -> tuple[list[str], list[list[Any]]]:
        """The names of the columns and the rows of any statement."""
        lines = self._ask(sql, "JSONCompactEachRowWithNames").splitlines()
        try:
            found = [json.loads(line) for line in lines]
        except ValueError:
            raise HuntError(self._cause(lines[-1])) from None
        return (found[0], found[1:]) if found else ([], [])

    def columns(self) -> dict[str, str]:
        """The table's columns and their types."""
        table = qualified(self.place.qualified)
        return {row["name"]: row["type"] for row in self.rows(f"DESCRIBE TABLE {table}")}

    def _ask(self, sql: str, output_format: str) -> str:
        place = self.place
        parameters = {"database": place.database, "default_format": output_format, "wait_end_of_query": "1"}
        headers = {
            "X-ClickHouse-User": place.username,
            "User-Agent": f"otel-fim/{__version__}",
            "Content-Type": "text/plain; charset=utf-8",
        }
        if place.password:
            headers["X-ClickHouse-Key"] = place.password
        url = f"{place.endpoint.rstrip('/')}/?{urlencode(parameters)}"
        try:
            answer = self._pool.request("POST", url, body=sql.encode("utf-8", "replace"), headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise UnreachableError(
                f"{place.endpoint} does not answer ({_reason(error)}): {place.hint}"
            ) from error
        except (OSError, ValueError) as error:
            raise HuntError(f"{place.endpoint} cannot be asked: {error}") from error
        text = answer.data.decode("utf-8", "replace")
        if answer.status != 200 or "X-ClickHouse-Exception-Code" in answer.headers:
            raise HuntError(
                self._cause(text, answer.status, answer.headers.get("X-ClickHouse-Exception-Code"))
            )
        return text

    def _cause(self, text: str, status: int = 200, header: str | None = None) -> str:
        place = self.place
        found = _CODE.search(text)
        code = int(header) if header and header.isdigit() else int(found[1]) if found else 0
        said = (
            _CLUTTER.sub("", text.strip()).partition(" Expected one of: ")[0][:_LONGEST]
            or f"HTTP status {status}"
        )
        if code in _WRONG_PASSWORD or status == 401:
            return (
                f"{place.endpoint} does not let {place.username!r} in: wrong user or password; give --username and "
                "--password-file"
            )
        if code in _NO_RIGHT:
            return f"{place.username!r} may not do this on {place.endpoint}: {said}"
        if code == _UNKNOWN_TABLE:
            return (
                f"{place.endpoint} has not all tables that this reads ({said}): has an agent written there yet? "
                "--database and --table say where"
            )
        if code == _UNKNOWN_DATABASE:
            return f"{place.endpoint} has no database {place.database!r}: --database says which"
        if code in _NOT_ENOUGH:
            return f"{place.endpoint} gave up: {said}; a shorter time (--since) needs less"
        return f"{place.endpoint}: {said}"


def _reason(error: Exception) -> str:
    reason: Any = getattr(error, "reason", None) or error
    text = re.sub(r"^<[^>]*>: ?|^\w+\([^)]*\): ?", "", str(reason))
    return os.linesep.join(text.splitlines()[:1]) or type(error).__name__
