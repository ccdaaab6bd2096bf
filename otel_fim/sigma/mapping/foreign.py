"""Attribute names that this project's records do not have, and others' records in the same table may."""

from __future__ import annotations

from typing import Final

DESTINATION_ADDRESS: Final = "destination.address"  # OpenTelemetry
DESTINATION_PORT: Final = "destination.port"  # OpenTelemetry
NETWORK_DIRECTION: Final = "network.direction"  # Elastic Common Schema

NEVER: Final = "No record has it, so no test of it matches."
