"""A folder of rules that is as it should be, to change in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

RULE = dedent(
    """\
    title: Cron Entry Added By A Shell
    id: 5d2b5f5a-31a1-4a3f-9a33-0e5a6bb2b7aa
    status: experimental
    description: A shell wrote a cron entry. Look at what it runs and at who was logged in.
    references:
      - https://attack.mitre.org/techniques/T1053/003/
    author: The otel-fim authors
    license: Apache-2.0
    date: 2026-11-21
    tags:
      - attack.persistence
      - attack.t1053.003
      - pci_dss.11.5.2
    logsource:
      product: linux
      category: file_event
    detection:
      selection:
        TargetFilename|startswith: /etc/cron.d/
        Image|endswith: [/bash, /sh]
      condition: selection
    falsepositives:
      - An administrator with an editor that is a shell
    level: high
    confidence: medium
    """
)
SAMPLES = dedent(
    """\
    match:
      - about: a shell writes a drop-in
        records:
          - event: otel_fim.file.created
            attributes: {file.path: /etc/cron.d/x, process.executable.path: /usr/bin/bash}
    no_match:
      - about: dpkg writes it
        records:
          - event: otel_fim.file.created
            attributes: {file.path: /etc/cron.d/x, process.executable.path: /usr/bin/dpkg}
    """
)
BURST = dedent(
    """\
    title: Failed Login
    id: 1b1f54a1-2c3d-4a5e-8f60-718293a4b5c6
    name: failed_login
    author: The otel-fim authors
    license: Apache-2.0
    logsource:
      product: otel_fim
      service: auth
    detection:
      selection:
        event_name: otel_fim.auth.login
        event.outcome: failure
      condition: selection
    level: informational
    ---
    title: Many Failed Logins From One Address
    id: 0a9b8c7d-6e5f-4a3b-92c1-d0e1f2a3b4c5
    status: experimental
    description: Somebody guesses passwords. Look at whether one of the guesses was right.
    references:
      - https://attack.mitre.org/techniques/T1110/001/
    author: The otel-fim authors
    license: Apache-2.0
    date: 2026-11-21
    tags:
      - attack.credential-access
      - attack.t1110.001
      - nist_800_53.ac-7
    correlation:
      type: event_count
      rules: [failed_login]
      group-by: [source.address]
      timespan: 5m
      condition: {gte: 5}
    falsepositives:
      - A script with an old password
    level: medium
    confidence: high
    """
)
BURST_SAMPLES = dedent(
    """\
    match:
      - about: six in a minute
        findings: 1
        records:
          - event: otel_fim.auth.login
            attributes: {event.outcome: failure, user.name: 'user{i}', source.address: 203.0.113.7}
            after: 10s
            repeat: 6
    no_match:
      - about: one an hour
        records:
          - event: otel_fim.auth.login
            attributes: {event.outcome: failure, user.name: root, source.address: 203.0.113.7}
            after: 1h
            repeat: 6
      - about: six addresses
        records:
          - event: otel_fim.auth.login
            attributes: {event.outcome: failure, user.name: root, source.address: '192.0.2.{i}'}
            repeat: 6
    """
)

Write = Callable[..., Path]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with a rule, a correlation and their samples."""
    folder = tmp_path / "rules"
    folder.mkdir()
    for name, text in {
        "cron_shell.yml": RULE,
        "cron_shell.samples.yml": SAMPLES,
        "failed_logins.yml": BURST,
        "failed_logins.samples.yml": BURST_SAMPLES,
    }.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def change(rules: Path) -> Callable[..., None]:
    """Replaces a text in one of the files, which has to be there."""

    def _change(old: str, new: str, name: str = "cron_shell.yml") -> None:
        text = (rules / name).read_text()
        assert old in text
        (rules / name).write_text(text.replace(old, new))

    return _change
