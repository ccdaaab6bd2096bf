"""OpenSSH's server: sshd, and sshd-session since 9.8.

Formats: auth.c (auth_log, getpwnamallow, allowed_user), packet.c (sshpkt_vfatal), auth-pam.c of OpenSSH 7.4 to 9.9. The
user name is the client's and may hold anything; address and port stand behind it, so every form is read from its end.
A certificate's id stands behind the address and is the client's as well: a line that can be read in two ways gives no
address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from otel_fim.receivers.auth.event import AuthEvent, Entry, Kind, changed
from otel_fim.receivers.auth.parse import build, values
from otel_fim.receivers.auth.parse.values import RejectedError

_METHODS: Final = frozenset(
    {
        "password",
        "publickey",
        "keyboard-interactive",
        "hostbased",
        "gssapi-with-mic",
        "gssapi-keyex",
        "none",
        "challenge-response",
        "kerberos",
    }
)
_PREAUTH: Final = " [preauth]"
_FINGERPRINT: Final = r"(?:SHA(?:1|256|384|512):[A-Za-z0-9+/]{20,90}=*|MD5(?::[0-9a-f]{2}){16})"
_KEY_AT_END: Final = re.compile(
    rf"(?P<rest>.*) ssh2: (?P<type>[A-Z0-9-]{{2,32}}) (?P<print>{_FINGERPRINT})", re.S
)
# Looks ahead only: the true text may begin within a forged one, where a name was cut.
_CERTIFICATE: Final = re.compile(
    r"(?= from (?P<address>[0-9A-Fa-f:.%a-z]{2,80}) port (?P<port>[0-9]{1,5}) ssh2: "
    rf"(?P<type>[A-Z0-9-]{{2,32}})(?: (?P<print>{_FINGERPRINT}))? ID )"
)
_CA_AT_END: Final = re.compile(rf".*\(serial [0-9]{{1,20}}\) CA [A-Z0-9-]{{2,32}} {_FINGERPRINT}", re.S)
_NOT_ALLOWED: Final = re.compile(
    r"User (\S{1,256})(?: from (\S{1,255}))? not allowed because (.{1,300})", re.S
)
# Longer than sshd's LoginGraceTime of two minutes: the attempt is over by then.
_GRACE: Final = 130.0


@dataclass(slots=True, frozen=True)
class _Peer:
    user: str | None
    address: str | None
    port: int | None


def parse(entry: Entry) -> tuple[AuthEvent, ...]:
    """The events of one line of sshd's own; those of PAM within sshd are `parse.pam`'s."""
    message = entry.message.removesuffix(_PREAUTH)
    first = message.partition(" ")[0]
    if first in ("Accepted", "Failed"):
        return _decided(entry, message, first == "Accepted")
    if message.startswith("Invalid user "):
        peer = _from_port(message.removeprefix("Invalid user "))
        return (_unknown(entry, peer, build.START),)
    if message.startswith("User ") and " not allowed because " in message:
        return _refused(entry, message)
    if message.startswith("ROOT LOGIN REFUSED FROM "):
        peer = _address_port(message.removeprefix("ROOT LOGIN REFUSED FROM "))
        return (_failure(entry, replace(peer, user="root"), build.START, reason=build.NOT_ALLOWED),)
    if first in ("Connection", "Disconnected", "Disconnecting"):
        return _ended(entry, message)
    if message.startswith(("error: ", "fatal: ")):
        return _error(entry, message.partition(": ")[2])
    return ()


def _decided(entry: Entry, message: str, accepted: bool) -> tuple[AuthEvent, ...]:
    _, _, text = message.partition(" ")
    method, separator, text = text.partition(" for ")
    name, _, device = method.partition("/")
    if not separator or name not in _METHODS or not re.fullmatch(r"[a-z]{0,16}", device):
        # Other programs' lines begin so too ("Failed to …", "Accepted key … found at").
        return ()
    known = not text.startswith("invalid user ")
    text = text.removeprefix("invalid user ")
    peer, key_type, fingerprint = _peer_and_key(text, known)
    if name == "none" and not accepted:
        # Every client begins with it, to ask which methods there are.
        return (_unknown(entry, peer, "none") if not known else _support(entry, peer, "none"),)
    event = build.make(
        entry,
        Kind.LOGIN,
        "login",
        outcome=build.SUCCESS if accepted else build.FAILURE,
        service="sshd",
        user=peer.user,
        user_known=True if accepted else known,
        method=name,
        reason=None if accepted else build.WRONG_CREDENTIALS if known else build.UNKNOWN_USER,
        source_address=peer.address,
        source_port=peer.port,
        key_type=key_type,
        key_fingerprint=fingerprint,
    )
    return (event,)


def _peer_and_key(text: str, known: bool) -> tuple[_Peer, str | None, str | None]:
    if text.endswith(" ssh2"):
        return _from_port(text.removesuffix(" ssh2")), None, None
    if _CA_AT_END.fullmatch(text) is not None:
        certificates = list(_CERTIFICATE.finditer(text))
        if not certificates:
            raise RejectedError("malformed")
        if len(certificates) > 1 and not known:
            # Name and certificate id are both the client's: which of the addresses is the true one is not told.
            return _Peer(None, None, None), None, None
        # An account's own name has no such text in it: the first one is sshd's.
        found = certificates[0]
        peer = _checked(text[: found.start()], found["address"], found["port"])
        return peer, found["type"], found["print"]
    key = _KEY_AT_END.fullmatch(text)
    if key is not None:
        return _from_port(key["rest"]), key["type"], key["print"]
    # gssapi and hostbased tell more behind a colon; an account's name has no " from " in it.
    head, separator, _ = text.partition(" ssh2: ")
    if separator and text.count(" ssh2: ") == 1:
        return _from_port(head), None, None
    raise RejectedError("malformed")


def _from_port(text: str) -> _Peer:
    """`NAME from ADDRESS port PORT`, read from its end."""
    head, separator, digits = text.rpartition(" port ")
    name, found, where = head.rpartition(" from ")
    if not separator or not found:
        # An empty name: "Invalid user  from 192.0.2.1 port 22" leaves " from …" only when spaces were collapsed.
        if separator and head.startswith("from "):
            return _checked("", head.removeprefix("from "), digits)
        raise RejectedError("malformed")
    return _checked(name, where, digits)


def _name_address_port(text: str) -> _Peer:
    """`NAME ADDRESS port PORT`, read from its end."""
    head, separator, digits = text.rpartition(" port ")
    name, found, where = head.rpartition(" ")
    if not separator or not found:
        raise RejectedError("malformed")
    return _checked(name, where, digits)


def _address_port(text: str) -> _Peer:
    where, separator, digits = text.rpartition(" port ")
    if not separator:
        where, digits = text, ""
    return _Peer(None, values.host(where), values.port(digits))


def _checked(name: str, where: str, digits: str) -> _Peer:
    # "UNKNOWN" is what sshd writes when it cannot tell the address of its peer.
    found = values.host(where)
    number = values.port(digits)
    if number is None or (found is None and where != "UNKNOWN"):
        raise RejectedError("bad_address")
    return _Peer(values.unvis(name)[:256], found, number)


def _failure(entry: Entry, peer: _Peer, part: str, **facts: object) -> AuthEvent:
    event = build.make(
        entry,
        Kind.LOGIN,
        "login",
        outcome=build.FAILURE,
        service="sshd",
        user=peer.user,
        source_address=peer.address,
        source_port=peer.port,
        **facts,
    )
    return build.hint(event, part, _GRACE if part != build.END else None)


def _unknown(entry: Entry, peer: _Peer, part: str) -> AuthEvent:
    return _failure(entry, peer, part, reason=build.UNKNOWN_USER, user_known=False)


def _support(entry: Entry, peer: _Peer, part: str) -> AuthEvent:
    return build.support(_failure(entry, peer, part), part)


def _refused(entry: Entry, message: str) -> tuple[AuthEvent, ...]:
    match = _NOT_ALLOWED.fullmatch(message)
    if match is None:
        raise RejectedError("malformed")
    reason = build.ACCOUNT_LOCKED if match[3] == "account is locked" else build.NOT_ALLOWED
    # The host's name is told instead of its address when sshd looks names up: then it is what the peer's DNS says.
    peer = _Peer(values.unvis(match[1]), values.address(match[2]), None)
    return (_failure(entry, peer, "refused", reason=reason, user_known=True),)


def _ended(entry: Entry, message: str) -> tuple[AuthEvent, ...]:
    for opening in ("Connection closed by ", "Connection reset by ", "Disconnected from ", "Disconnecting "):
        if message.startswith(opening):
            text = message.removeprefix(opening)
            break
    else:
        return ()
    reason = build.WRONG_CREDENTIALS
    if opening == "Disconnecting ":
        if not text.endswith(": Too many authentication failures"):
            # What follows is the client's text: only the process that wrote the line is sure.
            return (_support(entry, _Peer(None, None, None), build.END),)
        text = text.removesuffix(": Too many authentication failures")
        reason = build.TOO_MANY_ATTEMPTS
    elif opening == "Disconnected from " and not text.startswith(("authenticating user ", "invalid user ")):
        if not text.startswith("user "):
            return ()
        peer = _name_address_port(text.removeprefix("user "))
        return (_logout(entry, peer),)
    if text.startswith("invalid user "):
        return (_unknown(entry, _name_address_port(text.removeprefix("invalid user ")), build.END),)
    if text.startswith("authenticating user "):
        peer = _name_address_port(text.removeprefix("authenticating user "))
        return (_failure(entry, peer, build.END, reason=reason),)
    return ()


def _logout(entry: Entry, peer: _Peer) -> AuthEvent:
    event = build.make(
        entry,
        Kind.LOGOUT,
        "logout",
        service="sshd",
        user=peer.user,
        source_address=peer.address,
        source_port=peer.port,
    )
    # The line is written by a helper that runs as the user; the session's own end is told by its parent.
    return changed(build.hint(event, build.END), exact_pid=False)


def _error(entry: Entry, text: str) -> tuple[AuthEvent, ...]:
    if text.startswith("maximum authentication attempts exceeded for "):
        text = text.removeprefix("maximum authentication attempts exceeded for ")
        known = not text.startswith("invalid user ")
        peer = _from_port(text.removeprefix("invalid user ").removesuffix(" ssh2"))
        event = _failure(
            entry, peer, "maximum", reason=build.TOO_MANY_ATTEMPTS, user_known=None if known else False
        )
        return (changed(event, patience=None),)
    if text.startswith("PAM: ") and " for " in text and " from " in text:
        return _pam_error(entry, text.removeprefix("PAM: "))
    if text.startswith("Timeout before authentication for "):
        # The connection that timed out is another process's; it is known by address and port alone.
        peer = _address_port(text.removeprefix("Timeout before authentication for "))
        return (changed(_support(entry, peer, build.END), exact_pid=False),)
    return ()


_PAM_REASONS: Final = {
    "Authentication failure": build.WRONG_CREDENTIALS,
    "User not known to the underlying authentication module": build.UNKNOWN_USER,
    "Have exhausted maximum number of retries for service": build.TOO_MANY_ATTEMPTS,
    "Maximum number of tries exceeded": build.TOO_MANY_ATTEMPTS,
    "User account has expired": build.ACCOUNT_EXPIRED,
    "Permission denied": build.NOT_ALLOWED,
}


def _pam_error(entry: Entry, text: str) -> tuple[AuthEvent, ...]:
    cause, _, rest = text.partition(" for ")
    known = not rest.startswith("illegal user ")
    name, separator, where = rest.removeprefix("illegal user ").rpartition(" from ")
    if cause not in _PAM_REASONS:
        return ()
    if not separator:
        raise RejectedError("malformed")
    event = build.make(
        entry,
        Kind.LOGIN,
        "login",
        outcome=build.FAILURE,
        service="sshd",
        user=values.unvis(name)[:256],
        user_known=None if known else False,
        method="keyboard-interactive",
        reason=_PAM_REASONS[cause] if known else build.UNKNOWN_USER,
        source_address=values.address(where),
        part="pam_error",
    )
    return (event,)
