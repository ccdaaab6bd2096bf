"""The resource that every record carries: which host and which agent speaks."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from otel_fim import names
from otel_fim.record import SCHEMA_URL, Attributes, Resource
from otel_fim.version import __version__

# The values of host.arch in the semantic conventions, by what uname says.
_ARCHITECTURES: Final = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm32",
    "i686": "x86",
    "i386": "x86",
    "ppc64le": "ppc64",
    "s390x": "s390x",
}


def detect_resource(
    instance_id: str, configured: Mapping[str, str], environ: Mapping[str, str] | None = None
) -> Resource:
    """Detected attributes, over them those of `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME`, over them
    the configured ones. What cannot be found out is left out."""
    environment = os.environ if environ is None else environ
    attributes: Attributes = {
        names.HOST_NAME: socket.gethostname(),
        names.HOST_ARCH: _ARCHITECTURES.get(platform.machine(), platform.machine()),
        names.OS_TYPE: platform.system().lower(),
        names.SERVICE_NAME: "otel-fim",
        names.SERVICE_VERSION: __version__,
        names.SERVICE_INSTANCE_ID: instance_id,
    }
    host_id = _machine_id()
    if host_id:
        attributes[names.HOST_ID] = host_id
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if "NAME" in release:
        attributes[names.OS_NAME] = release["NAME"]
    if "VERSION_ID" in release:
        attributes[names.OS_VERSION] = release["VERSION_ID"]
    attributes.update(parse_resource_attributes(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    if environment.get("OTEL_SERVICE_NAME"):
        attributes[names.SERVICE_NAME] = environment["OTEL_SERVICE_NAME"]
    attributes.update(configured)
    return Resource(attributes, schema_url=SCHEMA_URL)


def parse_resource_attributes(text: str) -> dict[str, str]:
    """`key=value` pairs of `OTEL_RESOURCE_ATTRIBUTES`: separated by commas, values percent-encoded.

    Pairs without `=` or without a key are left out, as the specification asks (resource SDK).
    """
    pairs = (pair.partition("=") for pair in text.split(","))
    return {key.strip(): unquote(value.strip()) for key, sign, value in pairs if sign and key.strip()}


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
    return ""
