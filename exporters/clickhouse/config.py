"""`exporters.clickhouse`: which server, which table, and how to get there."""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from otel_fim.config.model import ComponentConfig, ConfigModel, Duration
from otel_fim.pipeline.retry import RetryConfig

_DEFAULT_PORTS: Final = {"http": 8123, "https": 8443}


class TlsConfig(ConfigModel):
    """TLS for an `https://` endpoint; the collector's keys."""

    ca_file: str = ""
    """PEM file of the authorities to trust instead of the usual ones."""
    cert_file: str = ""
    """PEM file of the client's certificate. Without a password it is also what the server knows the user by."""
    key_file: str = ""
    """PEM file of the client's key; may be left out when `cert_file` holds it too."""
    insecure_skip_verify: bool = False
    """Take any certificate. Whoever sits in between can then read the password and every record."""

    @model_validator(mode="after")
    def _key_needs_certificate(self) -> TlsConfig:
        if self.key_file and not self.cert_file:
            raise ValueError("key_file needs cert_file beside it")
        return self


class ClickHouseConfig(ComponentConfig):
    """The settings of the ClickHouse exporter. Keys that the collector's exporter has too mean the same."""

    endpoint: str = "http://127.0.0.1:8123"
    """ClickHouse's HTTP interface: `http://host:8123` or `https://host:8443`, with the path of a proxy if
    there is one."""
    username: str = "default"
    """Who writes. What rights that user needs is in the exporter's README."""
    password: SecretStr = SecretStr("")
    """The password; `${env:NAME}` and `${file:PATH}` keep it out of the file."""
    password_file: str = ""
    """A file with the password, read anew for each connection, so that a new password needs no restart.
    Relative to the state directory. The embedded store writes such a file."""
    database: str = Field(default="default", min_length=1)
    """The database."""
    logs_table_name: str = Field(default="otel_logs", min_length=1)
    """The table. Whether this agent or a collector created it makes no difference."""
    create_schema: bool = True
    """Create the database, the table and the views that do not exist. When false the only statements sent are
    DESCRIBE and INSERT; `otel-fim schema` prints what to create."""
    ttl: Duration = 0.0
    """Time after which the server removes rows, counted from Timestamp; 0 keeps them. Used when the table is
    created, and only then."""
    indexes: Literal["bloom_filter", "text"] = "bloom_filter"
    """Used when the table is created. `text` (ClickHouse 26.2 or newer) finds words in milliseconds and costs
    more than half of the insert speed and half as many bytes again."""
    compress: Literal["none", "zstd", "lz4", "gzip"] = "zstd"
    """Compression on the way to the server. `none` for a server on the same host."""
    timeout: Duration = Field(default=5.0, gt=0.0)
    """Time for the server's answer to one insert, in whole seconds. An insert that takes longer is not lost
    and not made twice: the next attempt finds its rows."""
    max_batch_records: int = Field(default=10_000, ge=1, le=1_000_000)
    """At most this many records in one insert. Fewer when fewer wait."""
    tls: TlsConfig = TlsConfig()
    """Certificates for an `https://` endpoint."""
    retry_on_failure: RetryConfig = RetryConfig()
    """What happens while the server cannot take records. The default tries for ever."""

    @field_validator("endpoint")
    @classmethod
    def _is_http(cls, value: str) -> str:
        return checked_endpoint(value)

    @model_validator(mode="after")
    def _one_password(self) -> ClickHouseConfig:
        if self.password_file and self.password.get_secret_value():
            raise ValueError("password and password_file exclude each other")
        return self

    @model_validator(mode="after")
    def _tls_has_an_effect(self) -> ClickHouseConfig:
        if self.tls != TlsConfig() and urlsplit(self.endpoint).scheme != "https":
            raise ValueError("tls has no effect on an http:// endpoint; write https://")
        return self

    @property
    def url(self) -> SplitResult:
        """The endpoint in parts."""
        return urlsplit(self.endpoint)

    @property
    def port(self) -> int:
        """The endpoint's port, or ClickHouse's default for the scheme."""
        return self.url.port or _DEFAULT_PORTS[self.url.scheme]


def checked_endpoint(value: str) -> str:
    """`value` when it is the address of an HTTP interface. Raises `ValueError` that says what to write."""
    form = "write http://host:8123 or https://host:8443"
    try:
        url = urlsplit(value)
        port = url.port
    except ValueError as error:
        raise ValueError(f"{value!r} is not a URL ({error}); {form}") from None
    if url.scheme in ("clickhouse", "tcp", "native"):
        raise ValueError(
            f"{url.scheme}:// is ClickHouse's native protocol, this exporter speaks HTTP; {form}"
        )
    if url.scheme not in _DEFAULT_PORTS or not url.hostname or port == 0:
        raise ValueError(f"{value!r} is not the address of ClickHouse's HTTP interface; {form}")
    if url.username is not None or url.password is not None:
        raise ValueError("user and password do not belong in the endpoint; use username and password")
    if url.query or url.fragment:
        raise ValueError("the endpoint takes no parameters; they have keys of their own")
    if "," in url.netloc:
        raise ValueError("one endpoint only; put a load balancer in front of several servers")
    return value
