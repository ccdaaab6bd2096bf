"""Keys that open the door: what sshd takes for a key, with its options, from the files that it is told to read."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_fim.receivers.persistence.formats.sshd import directives, parse_key
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kinds.ssh_access import SshAccess, parse_keys
from otel_fim.receivers.persistence.reader import File, Reader

_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHPKe09s6TvyGdf2LYUSsNya4w4QppUgvljaFs2+eVhV"


def _items(bench: Any) -> dict[str, Item]:
    root = os.fsencode(bench.root)
    return {item.id: item for item in SshAccess().read(Host(root), Reader(root))}


def _parse(text: bytes) -> list[Item]:
    return list(parse_keys(File(b"/root/.ssh/authorized_keys", text, os.stat("/"))))


@pytest.mark.parametrize(
    ("options", "command", "others"),
    [
        (b"", "", ""),
        (b'command="/bin/backup --all" ', "/bin/backup --all", ""),
        (b'command="echo \\"a b\\", c" ', 'echo "a b", c', ""),
        (
            b'no-pty,COMMAND="x",from="10.0.0.0/8,*.example.org" ',
            "x",
            "no-pty; from=10.0.0.0/8,*.example.org",
        ),
        (b'environment="LD_PRELOAD=/tmp/secret.so" ', "", "environment=LD_PRELOAD"),
        (b"restrict,cert-authority\t", "", "restrict; cert-authority"),
        (b'command="C:\\dir" ', "C:\\dir", ""),
    ],
)
def test_options_are_read_as_sshd_reads_them(options: bytes, command: str, others: str) -> None:
    (item,) = _parse(options + _KEY + b" alice@laptop\n")
    assert item.command == command
    assert item.trigger == "; ".join(
        part for part in ("ssh login with ssh-ed25519", others, "comment alice@laptop") if part
    )
    assert item.id.startswith("/root/.ssh/authorized_keys:SHA256:")


@pytest.mark.parametrize(
    "line",
    [
        b'command="never closed ' + _KEY,
        b"nonsense",
        b"ssh-ed25519 !!!notbase64",
        _KEY.replace(b"ssh-ed25519", b"ssh-rsa", 1),
        b'from="a" , ' + _KEY,
        b"ssh-ed25519",
    ],
)
def test_what_is_no_key_for_sshd_is_none_and_counted(line: bytes) -> None:
    file = File(b"/root/.ssh/authorized_keys", b"# comment\n\n" + line + b"\n", os.stat("/"))
    assert parse_keys(file) == ()
    assert file.rejected == 1


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_the_fingerprint_is_that_of_ssh_keygen(tmp_path: Path, kind: str) -> None:
    key = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "c", "-f", str(key)], check=True, timeout=60
    )
    said = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{key}.pub"], check=True, capture_output=True, timeout=60
    ).stdout.split()[1]
    parsed = parse_key(key.with_suffix(".pub").read_bytes())
    assert parsed is not None
    assert parsed.fingerprint.encode() == said


@given(
    st.text(max_size=60).filter(
        lambda text: "\n" not in text and "\r" not in text and not text.endswith("\\")
    )
)
def test_any_command_comes_back_as_it_was_quoted(command: str) -> None:
    line = b'command="' + command.encode("utf-8", "surrogatepass").replace(b'"', b'\\"') + b'",no-pty ' + _KEY
    key = parse_key(line)
    # A backslash before a quote cannot be written in this format.
    if '\\"' not in command:
        assert key is not None
        assert key.option(b"command") == command.encode("utf-8", "surrogatepass")


def test_a_key_keeps_its_id_when_lines_move_and_changes_with_its_options() -> None:
    (before,) = _parse(_KEY + b" a\n")
    moved = _parse(b"# new\nbad line\n" + b'command="x" ' + _KEY + b" a\n")
    assert [item.id for item in moved] == [before.id]
    assert moved[0].content_hash != before.content_hash


def test_keys_are_looked_for_where_sshd_is_told_to(bench: Any) -> None:
    bench.write("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    bench.write("/home/alice/.ssh/authorized_keys", _KEY + b" default\n")
    bench.write("/etc/ssh/keys/alice", _KEY + b" elsewhere\n")
    bench.write("/etc/ssh/ca.pub", _KEY + b" ca\n")
    bench.write(
        "/etc/ssh/sshd_config",
        "Include /etc/ssh/sshd_config.d/*.conf\nSubsystem sftp internal-sftp\n"
        "Match User bob\n  ForceCommand /bin/jail\n",
    )
    bench.write(
        "/etc/ssh/sshd_config.d/10-keys.conf",
        'AuthorizedKeysFile = "/etc/ssh/keys/%u"\nTrustedUserCAKeys /etc/ssh/ca.pub\n'
        "authorizedkeyscommand /usr/bin/keys %u\nAuthorizedKeysCommandUser nobody\nInclude /etc/ssh/sshd_config\n",
    )
    items = _items(bench)
    by_path = {item.path: item for item in items.values() if item.kind == "authorized_key"}
    assert by_path[b"/etc/ssh/keys/alice"].enabled
    assert by_path[b"/etc/ssh/keys/alice"].user == "alice"
    assert not by_path[b"/home/alice/.ssh/authorized_keys"].enabled
    assert b"/etc/ssh/ca.pub" in by_path
    command = items["/etc/ssh/sshd_config.d/10-keys.conf:authorizedkeyscommand"]
    assert (command.command, command.user) == ("/usr/bin/keys %u", "nobody")
    files = items["/etc/ssh/sshd_config.d/10-keys.conf:authorizedkeysfile"]
    assert files.trigger == 'ssh login (AuthorizedKeysFile = "/etc/ssh/keys/%u")'
    assert items["/etc/ssh/sshd_config:forcecommand for User bob"].command == "/bin/jail"


def test_directives_are_read_with_quotes_equals_signs_and_comments() -> None:
    text = b'Port 22 # ssh\n  AuthorizedKeysFile="a b" c\nMatch all\nPermitRootLogin=no\n'
    assert [(criteria, word, arguments) for criteria, word, arguments, _ in directives(text)] == [
        (b"", b"port", [b"22"]),
        (b"", b"authorizedkeysfile", [b"a b", b"c"]),
        (b"", b"permitrootlogin", [b"no"]),
    ]


def test_a_user_does_not_have_the_agent_read_what_is_not_theirs(bench: Any) -> None:
    bench.write("/etc/passwd", "alice:x:1000:1000::/home/alice:/bin/bash\n")
    secret = bench.write("/root/keys", _KEY + b" root only\n", 0o600)
    link = bench.root / "home/alice/.ssh/authorized_keys"
    link.parent.mkdir(parents=True)
    link.symlink_to("/root/keys")
    if os.geteuid() == 0:
        os.chown(link, 1000, 1000, follow_symlinks=False)
        assert not [item for item in _items(bench).values() if item.path.startswith(b"/home")]
    assert secret.exists()
