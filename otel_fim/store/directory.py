"""The store's directory: its lock, and the files that the engine reads when it starts.

```
DIR/lock                who has the directory open (a process id)
DIR/child               locked by the agent for the store that it starts, which has the port before it has the lock
DIR/address             host:port while the store is listening
DIR/writer.password     DIR/reader.password
DIR/config/             the engine's configuration, written at every start
DIR/data/               the engine's own: tables and metadata
DIR/tmp/                emptied at every start
```
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
import uuid
from typing import Final
from xml.sax.saxutils import escape

DATA: Final = "data"
CONFIG_FILE: Final = "config/engine.xml"
ADDRESS_FILE: Final = "address"
_LOCK_FILE: Final = "lock"
_CHILD_FILE: Final = "child"
_TEMPORARY: Final = "data/_temporary_and_external_tables"

_ENGINES: Final = (
    "MergeTree",
    "ReplacingMergeTree",
    "SummingMergeTree",
    "AggregatingMergeTree",
    "CollapsingMergeTree",
    "VersionedCollapsingMergeTree",
    "Memory",
    "Null",
    "StripeLog",  # holds the rows of a large insert until they are moved into their table
)
# Nothing that reaches outside the store: no FILE, URL, S3, REMOTE, no BACKUP, no users, no SHUTDOWN.
_ON_TABLES: Final = (
    *("SHOW", "SELECT", "INSERT", "ALTER", "CREATE DATABASE", "CREATE TABLE", "CREATE VIEW"),
    *("CREATE DICTIONARY", "DROP", "UNDROP TABLE", "TRUNCATE", "OPTIMIZE", "CHECK", "dictGet"),
    *("SYSTEM MERGES", "SYSTEM TTL MERGES", "SYSTEM FLUSH LOGS", "KILL QUERY"),
    *("CREATE TEMPORARY TABLE", "CREATE ARBITRARY TEMPORARY TABLE", "CREATE FUNCTION", "DROP FUNCTION"),
)
_GRANTS: Final = (
    *(f"{right} ON *.*" for right in _ON_TABLES),
    *(f"TABLE ENGINE ON {engine}" for engine in _ENGINES),
)


class LockedError(Exception):
    """Another process has the directory open."""


class DirectoryLock:
    """The exclusive right to a store's directory, given up when the process ends, however it ends."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, _LOCK_FILE)
        self._descriptor: int | None = None

    def acquire(self, timeout: float) -> None:
        """Wait up to `timeout` seconds. Raises `LockedError` naming the process that has it, and `OSError`."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in {errno.EAGAIN, errno.EACCES}:
                    os.close(descriptor)
                    raise
                if time.monotonic() >= deadline:
                    holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
                    os.close(descriptor)
                    raise LockedError(
                        f"{os.path.dirname(self._path)} is in use by another store (process {holder}): "
                        "stop it, or give this one another --data directory"
                    ) from None
                time.sleep(0.05)
                continue
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._descriptor = descriptor
            return

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def announce(directory: str) -> int:
    """A descriptor for a process that is being started: as long as one has it, `in_use` says so. Raises `OSError`."""
    descriptor = os.open(os.path.join(directory, _CHILD_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def in_use(directory: str) -> bool:
    """Whether a store has the directory open, or has been started to do so."""
    for name in (_LOCK_FILE, _CHILD_FILE):
        try:
            descriptor = os.open(os.path.join(directory, name), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
    return False


def prepare(directory: str, *, memory: int, threads: int) -> None:
    """Make the directory ready for the engine: configuration written, leftovers removed.

    `memory` is the engine's limit in bytes, `threads` the most that one query uses. Raises `OSError`.
    """
    for name in ("config", "tmp", DATA):
        os.makedirs(os.path.join(directory, name), mode=0o700, exist_ok=True)
    for leftover in (directory, os.path.join(directory, DATA)):
        shutil.rmtree(os.path.join(leftover, "tmp"), ignore_errors=True)
        os.makedirs(os.path.join(leftover, "tmp"), mode=0o700, exist_ok=True)
    # Temporary tables that a killed process left behind.
    shutil.rmtree(os.path.join(directory, DATA, _TEMPORARY), ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(directory, ADDRESS_FILE))
    _write(directory, CONFIG_FILE, _engine_xml(memory))
    _write(directory, "config/users.xml", _users_xml(memory, threads))
    _create_default_database(os.path.join(directory, DATA))


def write_address(directory: str, address: str) -> None:
    """Tell other processes where the store listens; the file appears whole."""
    _write(directory, ADDRESS_FILE, address + "\n")


def _write(directory: str, name: str, text: str) -> None:
    path = os.path.join(directory, name)
    with open(path + ".new", "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(path + ".new", path)


def _create_default_database(data: str) -> None:
    """A plain database `default`.

    Left to itself chDB makes `default` an overlay that takes any unknown table name for a file name, so that
    `SELECT * FROM "/etc/passwd"` reads that file. With `default_database` empty and this database on disk
    before the first start, there is none of that.
    """
    definition = os.path.join(data, "metadata", "default.sql")
    if os.path.exists(definition):
        return
    identity = str(uuid.uuid4())
    os.makedirs(os.path.join(data, "metadata"), mode=0o700, exist_ok=True)
    os.makedirs(os.path.join(data, "store", identity[:3], identity), mode=0o700, exist_ok=True)
    link = os.path.join(data, "metadata", "default")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(link)
    os.symlink(f"../store/{identity[:3]}/{identity}", link)
    _write(data, "metadata/default.sql", f"ATTACH DATABASE _ UUID '{identity}'\nENGINE = Atomic\n")


def _engine_xml(memory: int) -> str:
    """ClickHouse's server configuration: small caches, few threads, every insert on disk before its answer."""
    values = {
        "default_database": "",
        "database": "default",
        "users_config": "config/users.xml",
        "max_server_memory_usage": memory,
        "mark_cache_size": memory // 32,
        "index_mark_cache_size": memory // 64,
        "primary_index_cache_size": memory // 64,
        "uncompressed_cache_size": 0,
        "query_condition_cache_size": memory // 128,
        "compiled_expression_cache_size": memory // 128,
        "background_pool_size": 2,
        "background_schedule_pool_size": 4,
        "background_common_pool_size": 2,
        "background_move_pool_size": 1,
        "background_fetches_pool_size": 1,
        "max_thread_pool_free_size": 8,
        "max_io_thread_pool_size": 16,
        "max_io_thread_pool_free_size": 0,
        "max_active_parts_loading_thread_pool_size": 4,
        "max_outdated_parts_loading_thread_pool_size": 2,
        "max_parts_cleaning_thread_pool_size": 2,
        "memory_worker_period_ms": 500,
    }
    lines = [f"<{name}>{escape(str(value))}</{name}>" for name, value in values.items()]
    lines.append(
        "<merge_tree><fsync_after_insert>1</fsync_after_insert>"
        "<fsync_part_directory>1</fsync_part_directory></merge_tree>"
    )
    return "<clickhouse>\n" + "\n".join(lines) + "\n</clickhouse>\n"


def _users_xml(memory: int, threads: int) -> str:
    """The one user that chDB knows, with what it may do and the settings that no request can change."""
    settings = {
        "max_memory_usage": memory // 4 * 3,
        "max_threads": threads,
        # Inserts are answered when they are on disk, whatever the client says of asynchronous ones.
        "async_insert": 0,
        "allow_introspection_functions": 0,
        # chDB takes `x` for `SELECT x`; ClickHouse's server does not.
        "implicit_select": 0,
        # ClickHouse's default of 256 KiB is too little for the statement as a parameter of the check.
        "max_query_size": 64 * 2**20,
    }
    constraints = {
        # The statement is looked at as ClickHouse's own dialect before it runs.
        "dialect": "<const/>",
        "allow_introspection_functions": "<const/>",
        "async_insert": "<const/>",
        "allow_experimental_eval_table_function": "<const/>",
        "max_memory_usage": f"<min>1</min><max>{memory // 4 * 3}</max>",
    }
    profile = "\n".join(f"<{name}>{value}</{name}>" for name, value in settings.items())
    limits = "\n".join(f"<{name}>{value}</{name}>" for name, value in constraints.items())
    grants = "\n".join(f"<query>GRANT {grant}</query>" for grant in _GRANTS)
    return (
        f"<clickhouse>\n<profiles><default>\n{profile}\n<constraints>\n{limits}\n</constraints>\n"
        "</default></profiles>\n<users><default><password></password><networks><ip>::/0</ip></networks>"
        f"<profile>default</profile><quota>default</quota>\n<grants>\n{grants}\n</grants></default></users>\n"
        "<quotas><default></default></quotas>\n</clickhouse>\n"
    )
