"""Attribute names of logins, privilege and accounts."""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import attribute

USER_EFFECTIVE_ID: Final = attribute(
    "user.effective.id", "string", "Id of the user that someone became.", "0", source="ecs"
)
USER_EFFECTIVE_NAME: Final = attribute(
    "user.effective.name", "string", "The user that someone became (sudo, su).", "root", source="ecs"
)
USER_TARGET_ID: Final = attribute(
    "user.target.id", "string", "Id of the account that was changed.", "1001", source="ecs"
)
USER_TARGET_NAME: Final = attribute(
    "user.target.name", "string", "The account that was changed.", "mallory", source="ecs"
)
GROUP_ID: Final = attribute("group.id", "string", "Id of the group concerned.", "27", source="ecs")
GROUP_NAME: Final = attribute("group.name", "string", "The group concerned.", "sudo", source="ecs")
SOURCE_ADDRESS: Final = attribute(
    "source.address",
    "string",
    "Address or host name that it came from.",
    "203.0.113.7",
    source="otel",
    stability="stable",
)
SOURCE_PORT: Final = attribute(
    "source.port", "int", "Port that it came from.", "51234", source="otel", stability="stable"
)
EVENT_DURATION: Final = attribute(
    "event.duration", "int", "How long it lasted, in nanoseconds.", "93000000000", source="ecs"
)
OTEL_FIM_AUTH_METHOD: Final = attribute(
    "otel_fim.auth.method",
    "string",
    "password, publickey, keyboard-interactive, hostbased, gssapi-with-mic, none, or what the source said.",
    "publickey",
)
OTEL_FIM_AUTH_SERVICE: Final = attribute(
    "otel_fim.auth.service",
    "string",
    "The program that decided, such as sshd, login, sudo, su or useradd.",
    "sshd",
)
OTEL_FIM_AUTH_TERMINAL: Final = attribute(
    "otel_fim.auth.terminal", "string", "The terminal that it happened on.", "pts/0"
)
OTEL_FIM_AUTH_REASON: Final = attribute(
    "otel_fim.auth.reason",
    "string",
    "Why it failed: unknown_user, wrong_credentials, not_allowed, account_locked, account_expired, "
    "too_many_attempts, or what the source said.",
    "unknown_user",
)
OTEL_FIM_AUTH_USER_KNOWN: Final = attribute(
    "otel_fim.auth.user_known", "boolean", "False when the host has no such account.", "false"
)
OTEL_FIM_AUTH_KEY_FINGERPRINT: Final = attribute(
    "otel_fim.auth.key.fingerprint",
    "string",
    "Fingerprint of the key that was used.",
    "SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDa9gOr4A3gQ7A1b2c",
)
OTEL_FIM_AUTH_KEY_TYPE: Final = attribute(
    "otel_fim.auth.key.type", "string", "Kind of key that was used.", "ED25519"
)
OTEL_FIM_AUTH_SOURCES: Final = attribute(
    "otel_fim.auth.sources",
    "string[]",
    "What told of it: journald, audit, wtmp, btmp, utmp, or a log file's path.",
    "/var/log/auth.log, wtmp",
)
OTEL_FIM_AUTH_CHANGES: Final = attribute(
    "otel_fim.auth.changes",
    "string[]",
    "What changed of an account or group, as the tool that changed it says.",
    "home: /home/bob -> /srv/bob",
)
OTEL_FIM_AUTH_COUNT: Final = attribute(
    "otel_fim.auth.count", "int", "How many times, when the source says that a message was repeated.", "3"
)
LOG_RECORD_ORIGINAL: Final = attribute(
    "log.record.original",
    "string",
    "The source's own text, when configured.",
    "Accepted publickey for alice from 203.0.113.7 port 51234 ssh2",
    source="otel",
)
