"""The settings of the extension `embedded_store`."""

from __future__ import annotations

from pydantic import Field, field_validator

from otel_fim.config.model import ByteSize, ComponentConfig, Duration
from otel_fim.store.address import parse_listen


class RestartConfig(ComponentConfig):
    """How a store that ended by itself is started again."""

    initial_interval: Duration = Field(default=0.5, gt=0)
    """Wait before the first restart."""
    max_interval: Duration = Field(default=30.0, gt=0)
    """Upper limit of the wait; it grows by half with each restart, and starts anew after a minute without one."""


class EmbeddedStoreConfig(ComponentConfig):
    """ClickHouse in a child process of the agent."""

    listen: str = "127.0.0.1:8123"
    """Address and port. On any address but a loopback one, passwords travel unencrypted over the network."""
    data: str = ""
    """Directory of tables and passwords; relative to the state directory. Empty means `store` in it."""
    memory: ByteSize = Field(default=2 * 2**30, ge=256 * 2**20)
    """Limit of the engine's memory; a query that needs more fails, and the store goes on."""
    concurrency: int = Field(default=8, ge=1, le=256)
    """Statements that run at the same time, for the writer and for the reader each."""
    sandbox: bool = True
    """Confine the store to its directory with Landlock, where the kernel has it."""
    start_timeout: Duration = Field(default=60.0, gt=0)
    """A store that does not answer this long after its start is ended and started again. A large store takes
    longer to open."""
    restart: RestartConfig = RestartConfig()
    """What happens when the store ends by itself."""

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        parse_listen(value)
        return value
