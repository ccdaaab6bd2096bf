"""Attribute names of listening sockets."""

from __future__ import annotations

from typing import Final

from otel_fim.names.registry import attribute

NETWORK_TRANSPORT: Final = attribute(
    "network.transport", "string", "tcp, udp.", "tcp", source="otel", stability="stable"
)
NETWORK_TYPE: Final = attribute(
    "network.type", "string", "ipv4 or ipv6.", "ipv4", source="otel", stability="stable"
)
NETWORK_LOCAL_ADDRESS: Final = attribute(
    "network.local.address", "string", "Local address.", "192.0.2.10", source="otel", stability="stable"
)
NETWORK_LOCAL_PORT: Final = attribute(
    "network.local.port", "int", "Local port.", "8080", source="otel", stability="stable"
)
OTEL_FIM_LISTENER_EXPOSURE: Final = attribute(
    "otel_fim.listener.exposure",
    "string",
    "Who can reach it by its address: loopback, link_local, private, public, any (all addresses).",
    "any",
)
OTEL_FIM_LISTENER_BACKEND: Final = attribute(
    "otel_fim.listener.backend",
    "string",
    "What saw it: tracepoint (the kernel told at once), sock_diag, proc or psutil.",
    "sock_diag",
)
OTEL_FIM_LISTENER_IPV6_ONLY: Final = attribute(
    "otel_fim.listener.ipv6_only",
    "boolean",
    "False when an IPv6 socket takes IPv4 connections too.",
    "false",
)
OTEL_FIM_LISTENER_NETWORK_NAMESPACE: Final = attribute(
    "otel_fim.listener.network_namespace",
    "string",
    "Inode of the network namespace, when it is not the agent's own.",
    "4026532281",
)
OTEL_FIM_LISTENER_WHILE_DOWN: Final = attribute(
    "otel_fim.listener.while_down",
    "boolean",
    "True when it was opened or closed while the agent was not running.",
    "true",
)
OTEL_FIM_LISTENER_PROCESSES: Final = attribute(
    "otel_fim.listener.processes",
    "string[]",
    "All processes that hold the socket, as pid and executable, when there are several; at most eight.",
    "812 /usr/sbin/nginx",
)
