"""What sees changes: fanotify, inotify and polling, and the choice between them."""

from otel_fim.receivers.file_integrity.backends.choice import choose_backend

__all__ = ["choose_backend"]
