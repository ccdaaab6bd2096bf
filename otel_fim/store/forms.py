"""Queries sent as a form: `query` and `param_*` as fields of multipart/form-data."""

from __future__ import annotations

from email import policy
from email.message import Message
from email.parser import BytesParser

from otel_fim.store.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, StoreError


def form_fields(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """The form's fields. Raises `StoreError`: BAD_ARGUMENTS for no form, NOT_IMPLEMENTED for files, which would
    be external tables."""
    # The parser wants text; latin-1 with its surrogate escapes brings every byte through.
    message = BytesParser(policy=policy.HTTP).parsebytes(
        b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body
    )
    if not message.is_multipart():
        raise StoreError(BAD_ARGUMENTS, "the body is not the multipart/form-data that its Content-Type says")
    fields: list[tuple[str, bytes]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if not isinstance(name, str):
            raise StoreError(BAD_ARGUMENTS, "a part of the form has no name")
        if part.get_filename() is not None:
            raise StoreError(
                NOT_IMPLEMENTED, "external tables (files in the form) are not available in the embedded store"
            )
        fields.append((name, _content(part)))
    return fields


def _content(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    return content if isinstance(content, bytes) else b""
