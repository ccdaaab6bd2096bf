"""Every name that leaves the agent: attributes here, events in `names.events`, metrics in `names.metrics`.

Use the constants (`names.FILE_PATH`, `events.FILE_CREATED`), never a literal: `docs/reference/` is generated
from here, and a test reads the source for literals. OpenTelemetry's names come first, then the Elastic
Common Schema's, then the draft audit data model's, then our own under `otel_fim.`.
"""

from otel_fim.names import events, metrics
from otel_fim.names.attributes import *  # noqa: F403 - the constants are this package's interface
from otel_fim.names.auth import *  # noqa: F403
from otel_fim.names.finding import *  # noqa: F403
from otel_fim.names.network import *  # noqa: F403
from otel_fim.names.persistence import *  # noqa: F403
from otel_fim.names.process import *  # noqa: F403

_ = (events, metrics)
