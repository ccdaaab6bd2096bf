"""Who did what to what, where: one line for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from otel_fim import names
from otel_fim.names import events
from otel_fim.processors.rules.match.view import text_form
from otel_fim.record import AnyValue, Record

_MOST: Final = 200
"""Characters that a value may take in the sentence; the attributes have all of it."""
_FAILURE: Final = "failure"

_Attributes = Mapping[str, AnyValue]


def plain(text: str) -> str:
    """The text on one line, without what a terminal would act on, and not too long."""
    if len(text) > _MOST:
        text = text[: _MOST - 1] + "…"
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else f"\\x{ord(each):02x}" if ord(each) < 256 else f"\\u{ord(each):04x}"
        for each in text
    )


def sentence(record: Record) -> str:
    """`alice (login bob from 203.0.113.7) changed /etc/passwd with /usr/bin/vim on web-1`."""
    attributes = record.attributes
    tell = _TELL.get(record.event_name)
    if tell is not None:
        what = tell(attributes)
    elif isinstance(record.body, str) and record.body:
        # Coverage, and the agent about itself: nobody did it, and the body says what it is.
        what = plain(record.body)
    else:
        what = _words(_who(attributes), "caused", plain(record.event_name))
    host = record.resource.attributes.get(names.HOST_NAME)
    return _words(what, f"on {plain(text_form(host))}" if host else "")


def _words(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _text(attributes: _Attributes, *names_: str) -> str:
    """The first of these that the record has."""
    for name in names_:
        value = attributes.get(name)
        if value is not None and value != "":
            return plain(text_form(value))
    return ""


def _after(word: str, text: str) -> str:
    return f"{word} {text}" if text else ""


def _who(attributes: _Attributes) -> str:
    user = _text(attributes, names.USER_NAME, names.USER_ID, names.PROCESS_REAL_USER_NAME)
    login = _text(attributes, names.OTEL_FIM_LOGIN_USER_NAME, names.OTEL_FIM_LOGIN_USER_ID)
    source = _text(attributes, names.OTEL_FIM_LOGIN_SOURCE_ADDRESS)
    if login and (login != user or source):
        return f"{user or 'somebody'} ({_words('login', login, _after('from', source))})"
    return user or login or "somebody"


def _program(attributes: _Attributes) -> str:
    return _after("with", _text(attributes, names.PROCESS_EXECUTABLE_PATH, names.PROCESS_COMMAND))


def _file(verb: str) -> Callable[[_Attributes], str]:
    def tell(attributes: _Attributes) -> str:
        path = _text(attributes, names.FILE_PATH) or "a file"
        return _words(_who(attributes), verb, path, _program(attributes))

    return tell


def _renamed(attributes: _Attributes) -> str:
    before = _text(attributes, names.before(names.FILE_PATH)) or "a file"
    path = _text(attributes, names.FILE_PATH) or "another place"
    return _words(_who(attributes), "moved", before, "to", path, _program(attributes))


def _process(verb: str) -> Callable[[_Attributes], str]:
    def tell(attributes: _Attributes) -> str:
        line = _text(
            attributes, names.PROCESS_COMMAND_LINE, names.PROCESS_EXECUTABLE_PATH, names.PROCESS_COMMAND
        )
        parent = _text(attributes, names.PROCESS_PARENT_EXECUTABLE_PATH, names.PROCESS_PARENT_COMMAND)
        return _words(_who(attributes), verb, line or "a program", _after("from", parent))

    return tell


def _access(done: str, failed: str) -> Callable[[_Attributes], str]:
    def tell(attributes: _Attributes) -> str:
        return _words(
            _text(attributes, names.USER_NAME, names.USER_ID) or "somebody",
            failed if attributes.get(names.EVENT_OUTCOME) == _FAILURE else done,
            _after("from", _text(attributes, names.SOURCE_ADDRESS)),
            _after("via", _text(attributes, names.OTEL_FIM_AUTH_SERVICE)),
        )

    return tell


def _privilege(attributes: _Attributes) -> str:
    target = _text(attributes, names.USER_EFFECTIVE_NAME, names.USER_EFFECTIVE_ID) or "another user"
    refused = attributes.get(names.EVENT_OUTCOME) == _FAILURE
    return _words(
        _who(attributes),
        f"was refused the rights of {target}" if refused else f"used the rights of {target}",
        _after("via", _text(attributes, names.OTEL_FIM_AUTH_SERVICE)),
        _after("for", _text(attributes, names.PROCESS_COMMAND_LINE)),
    )


def _account(attributes: _Attributes) -> str:
    action = _text(attributes, names.EVENT_ACTION).replace("_", " ") or "account changed"
    target = _text(attributes, names.USER_TARGET_NAME, names.USER_TARGET_ID)
    group = _text(attributes, names.GROUP_NAME, names.GROUP_ID)
    return _words(f"{action}:", target, _after("group", group), "by", _who(attributes))


def _listener(verb: str) -> Callable[[_Attributes], str]:
    def tell(attributes: _Attributes) -> str:
        address = _text(attributes, names.NETWORK_LOCAL_ADDRESS)
        port = _text(attributes, names.NETWORK_LOCAL_PORT)
        place = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        return _words(
            _who(attributes), verb, _text(attributes, names.NETWORK_TRANSPORT), place, _program(attributes)
        )

    return tell


def _persistence(verb: str) -> Callable[[_Attributes], str]:
    def tell(attributes: _Attributes) -> str:
        return _words(
            _who(attributes),
            verb,
            _text(attributes, names.OTEL_FIM_PERSISTENCE_KIND),
            _text(attributes, names.OTEL_FIM_PERSISTENCE_ID, names.FILE_PATH),
            _after("which runs", _text(attributes, names.OTEL_FIM_PERSISTENCE_COMMAND)),
            _program(attributes),
        )

    return tell


_TELL: Final[Mapping[str, Callable[[_Attributes], str]]] = {
    events.FILE_CREATED: _file("created"),
    events.FILE_MODIFIED: _file("changed"),
    events.FILE_DELETED: _file("deleted"),
    events.FILE_RENAMED: _renamed,
    events.FILE_ATTRIBUTES_CHANGED: _file("changed owner, mode or other metadata of"),
    events.PROCESS_STARTED: _process("ran"),
    events.PROCESS_EXITED: _process("ended"),
    events.AUTH_LOGIN: _access("logged in", "failed to log in"),
    events.AUTH_LOGOUT: _access("logged out", "logged out"),
    events.AUTH_PRIVILEGE: _privilege,
    events.AUTH_ACCOUNT: _account,
    events.LISTENER_OPENED: _listener("listens on"),
    events.LISTENER_CLOSED: _listener("stopped listening on"),
    events.PERSISTENCE_ADDED: _persistence("added"),
    events.PERSISTENCE_CHANGED: _persistence("changed"),
    events.PERSISTENCE_REMOVED: _persistence("removed"),
}
