"""Which attribute a field of a rule is. docs/reference/sigma.md is generated from these tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from otel_fim import names
from otel_fim.names.attributes import BEFORE_PREFIX, RELAYED_PREFIX
from otel_fim.names.registry import ATTRIBUTES
from otel_fim.sigma.ir import Field, Source
from otel_fim.sigma.mapping.foreign import (
    DESTINATION_ADDRESS,
    DESTINATION_PORT,
    NETWORK_DIRECTION,
    NEVER,
)

_OWN_PREFIX: Final = "otel_fim."
RESOURCE_PREFIX: Final = "resource."
"""`resource.deployment.environment` in a rule is the resource's attribute `deployment.environment`."""

RESOURCE: Final = frozenset(
    (
        *(names.HOST_NAME, names.HOST_ID, names.HOST_ARCH, names.OS_TYPE, names.OS_NAME, names.OS_VERSION),
        *(names.SERVICE_NAME, names.SERVICE_VERSION, names.SERVICE_INSTANCE_ID),
    )
)
"""Attributes of the resource that a rule names as they are."""

OTHER: Final[Mapping[str, Field]] = {
    "EventName": Field(Source.EVENT_NAME),
    "event_name": Field(Source.EVENT_NAME),
    "event.name": Field(Source.EVENT_NAME),
    "Body": Field(Source.BODY),
    "body": Field(Source.BODY),
    "SeverityText": Field(Source.SEVERITY_TEXT),
    "severity_text": Field(Source.SEVERITY_TEXT),
    "SeverityNumber": Field(Source.SEVERITY_NUMBER),
    "severity_number": Field(Source.SEVERITY_NUMBER),
    "Timestamp": Field(Source.TIME),
    "timestamp": Field(Source.TIME),
    "@timestamp": Field(Source.TIME),
    "UtcTime": Field(Source.TIME),
    "TimeCreated": Field(Source.TIME),
}
"""Fields that are parts of the record itself."""


@dataclass(slots=True, frozen=True)
class FieldRow:
    """One field of Sigma's; `note` says what a reader could not guess."""

    sigma: tuple[str, ...]
    attribute: str
    note: str = ""


COMMON: Final[tuple[FieldRow, ...]] = (
    FieldRow(("Image",), names.PROCESS_EXECUTABLE_PATH),
    FieldRow(("ProcessName",), names.PROCESS_EXECUTABLE_NAME),
    FieldRow(
        ("CommandLine",),
        names.PROCESS_COMMAND_LINE,
        "Only with `command_line: redacted` (or `full`) in the receiver. Its arguments are quoted as for a shell; an "
        "ending (`endswith`) is also met before a closing quote.",
    ),
    FieldRow(("CurrentDirectory",), names.PROCESS_WORKING_DIRECTORY, "Without a slash at the end."),
    FieldRow(("ProcessId",), names.PROCESS_PID),
    FieldRow(("ProcessGuid",), names.PROCESS_ENTITY_ID),
    FieldRow(("ParentImage",), names.PROCESS_PARENT_EXECUTABLE_PATH),
    FieldRow(("ParentProcessName",), names.PROCESS_PARENT_COMMAND),
    FieldRow(("ParentCommandLine",), names.PROCESS_PARENT_COMMAND_LINE, "As `CommandLine`."),
    FieldRow(("ParentProcessId",), names.PROCESS_PARENT_PID),
    FieldRow(("ParentProcessGuid",), names.PROCESS_PARENT_ENTITY_ID),
    FieldRow(("ParentUser",), "process.parent.user.name", NEVER),
    FieldRow(("User", "user", "UserName"), names.USER_NAME, "The acting user."),
    FieldRow(("UserId", "uid"), names.USER_ID),
    FieldRow(("LogonId",), names.PROCESS_USER_ID, "Sysmon for Linux writes the user's number here."),
    FieldRow(("LogonGuid", "TerminalSessionId"), names.OTEL_FIM_LOGIN_SESSION_ID),
    FieldRow(("TargetFilename", "FileName", "Path"), names.FILE_PATH),
    FieldRow(("SourceFilename",), names.before(names.FILE_PATH), "Where a renamed file was."),
    FieldRow(
        ("Computer", "ComputerName", "Hostname", "hostname", "host"), names.HOST_NAME, "The resource's."
    ),
    FieldRow(("SourceIp", "src_ip", "rhost", "ClientIP", "IpAddress"), names.SOURCE_ADDRESS),
    FieldRow(
        ("SourceHostname", "WorkstationName"), names.SOURCE_ADDRESS, "A source may be an address or a name."
    ),
    FieldRow(("SourcePort", "src_port", "IpPort"), names.SOURCE_PORT),
    FieldRow(
        ("DestinationIp", "dst_ip", "DestinationHostname"),
        DESTINATION_ADDRESS,
        "In records of other agents only; an address or a name.",
    ),
    FieldRow(("DestinationPort", "dst_port"), DESTINATION_PORT, "In records of other agents only."),
    FieldRow(("Protocol",), names.NETWORK_TRANSPORT),
    FieldRow(
        ("Initiated",),
        NETWORK_DIRECTION,
        "`true` is `egress`, `false` is `ingress`. In records of other agents only.",
    ),
    FieldRow(("FileVersion",), "process.pe.file_version", NEVER),
    FieldRow(("Description",), "process.pe.description", NEVER),
    FieldRow(("Product",), "process.pe.product", NEVER),
    FieldRow(("Company",), "process.pe.company", NEVER),
    FieldRow(("OriginalFileName",), "process.pe.original_file_name", NEVER),
    FieldRow(("IntegrityLevel",), "process.integrity_level", NEVER),
)
"""Fields of all log sources."""

BY_PROCESS: Final[tuple[FieldRow, ...]] = (
    FieldRow(("User",), names.PROCESS_USER_NAME, "The effective user of the new program."),
    FieldRow(("UserId", "uid"), names.PROCESS_USER_ID),
)
"""What differs in records about a process itself."""

BY_AUTH: Final[tuple[FieldRow, ...]] = (
    FieldRow(("USER", "TargetUser"), names.USER_EFFECTIVE_NAME, "sudo's `USER=`: whom somebody became."),
    FieldRow(("TargetUserName",), names.USER_TARGET_NAME, "The account that was changed."),
    FieldRow(("COMMAND",), names.PROCESS_COMMAND_LINE, "sudo's `COMMAND=`."),
    FieldRow(("PWD",), names.PROCESS_WORKING_DIRECTORY, "sudo's `PWD=`."),
    FieldRow(("TTY", "terminal"), names.OTEL_FIM_AUTH_TERMINAL),
    FieldRow(("service",), names.OTEL_FIM_AUTH_SERVICE),
    FieldRow(("method",), names.OTEL_FIM_AUTH_METHOD),
)
"""What records about logins and privilege have beside."""

QUOTED_FIELDS: Final = ("CommandLine", "ParentCommandLine")
"""Sigma's rules know these as arguments with spaces between them, and records have them quoted as for a shell."""
HASH_FIELDS: Final = ("Hashes", "Hash")
"""`SHA256=…` in these is the hash alone in the attribute of that algorithm."""
HASHES_OF_FILE: Final[Mapping[str, str]] = {
    "sha256": names.FILE_HASH_SHA256,
    "sha1": "file.hash.sha1",
    "md5": "file.hash.md5",
    "imphash": "file.pe.imphash",
}
HASHES_OF_PROCESS: Final[Mapping[str, str]] = {
    "sha256": names.PROCESS_HASH_SHA256,
    "sha1": "process.hash.sha1",
    "md5": "process.hash.md5",
    "imphash": "process.pe.imphash",
}


class UnknownFieldError(ValueError):
    """A rule names a field that no record can have; the message says what is known."""


def table_of(*rows: tuple[FieldRow, ...]) -> dict[str, str]:
    """Field to attribute; later rows win."""
    return {sigma: row.attribute for part in rows for row in part for sigma in row.sigma}


def field_of(name: str) -> Field:
    """Where the value of a field is, after the mapping. Names with a dot are attributes.

    Raises `UnknownFieldError` for a name without a dot, and for one of this project's own that it has not.
    """
    found = OTHER.get(name)
    if found is not None:
        return found
    if name.startswith(RESOURCE_PREFIX):
        return Field(Source.RESOURCE, name.removeprefix(RESOURCE_PREFIX))
    if name in RESOURCE:
        return Field(Source.RESOURCE, name)
    definition = ATTRIBUTES.get(name)
    if definition is not None:
        return Field(Source.ATTRIBUTE, name, definition.type == "string[]")
    if "." not in name:
        known = [*table_of(COMMON, BY_AUTH), *OTHER]
        if name in known:
            raise UnknownFieldError(
                f"the field {name!r} is one of logins only (service auth, sshd, sudo …): leave it out"
            )
        near = get_close_matches(name, known, 1)
        raise UnknownFieldError(
            f"unknown field {name!r}{_did_you_mean(near)}: records have no such value; name an attribute"
        )
    if name.startswith((BEFORE_PREFIX, RELAYED_PREFIX)):
        original = name.removeprefix(BEFORE_PREFIX).removeprefix(RELAYED_PREFIX)
        definition = ATTRIBUTES.get(original)
        return Field(Source.ATTRIBUTE, name, definition is not None and definition.type == "string[]")
    if name.startswith(_OWN_PREFIX):
        near = get_close_matches(name, ATTRIBUTES, 1)
        raise UnknownFieldError(
            f"unknown field {name!r}{_did_you_mean(near)}: see docs/reference/attributes.md"
        )
    return Field(Source.ATTRIBUTE, name)


def _did_you_mean(near: list[str]) -> str:
    return f" (did you mean {near[0]!r}?)" if near else ""
