"""Where single programs take their secrets: `mysql -pSECRET`, `curl -u user:SECRET`, `htpasswd -b file user SECRET`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_fim.host.secret_keys import Kind, is_plain, kind_of, looks_random
from otel_fim.host.secret_shapes import REDACTED


@dataclass(slots=True, frozen=True)
class _Program:
    """Options of a program: `next`: the next word is the secret; `attached`: the rest of the word is; `user`: the
    next word (or the rest) is `user:secret`, with `separator` between; `words`: one of these must have come before;
    `skip`: so many words that are no options stay, and the one behind them is the secret."""

    next: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    separator: str = ":"
    words: tuple[str, ...] = ()
    skip: int = -1


_MYSQL: Final = _Program(attached=("-p",))
_MONGO: Final = _Program(next=("-p",))
_LOGIN: Final = _Program(next=("-p",), words=("login",))
_CURL: Final = _Program(
    user=("-u", "-U", "--user", "--proxy-user"), next=("-b", "--cookie", "--oauth2-bearer", "--pass")
)
_HTTPIE: Final = _Program(user=("-a", "--auth"))
_SAMBA: Final = _Program(user=("-U", "--user"), separator="%")
_PROGRAMS: Final[dict[str, _Program]] = {
    **dict.fromkeys(
        ("mysql", "mysqldump", "mysqladmin", "mysqlimport", "mysqlcheck", "mysqlshow", "mycli"), _MYSQL
    ),
    **dict.fromkeys(
        ("mariadb", "mariadb-dump", "mariadb-admin", "xtrabackup", "mariabackup", "mysqlsh"), _MYSQL
    ),
    **dict.fromkeys(("mongo", "mongosh", "mongodump", "mongorestore", "mongoexport", "mongoimport"), _MONGO),
    **dict.fromkeys(
        ("docker", "podman", "nerdctl", "helm", "skopeo", "buildah", "crane", "oras", "az", "oc"), _LOGIN
    ),
    **dict.fromkeys(("http", "https", "xh", "xhs"), _HTTPIE),
    **dict.fromkeys(("smbclient", "rpcclient", "smbmap", "mount.cifs", "net"), _SAMBA),
    **dict.fromkeys(("7z", "7za", "7zr", "rar", "unrar"), _Program(attached=("-p", "-hp"))),
    **dict.fromkeys(
        ("sqlcmd", "bcp", "isql", "tsql", "ipmitool", "zip", "unzip", "zipcloak"),
        _Program(next=("-P",), attached=("-P",)),
    ),
    **dict.fromkeys(("mosquitto_pub", "mosquitto_sub", "mosquitto_rr"), _Program(next=("-P", "--pw"))),
    **dict.fromkeys(
        ("ldapsearch", "ldapmodify", "ldapadd", "ldapdelete", "ldapwhoami", "ldappasswd"),
        _Program(next=("-w", "-s"), attached=("-w",)),
    ),
    **dict.fromkeys(("snmpwalk", "snmpget", "snmpset", "snmpbulkwalk"), _Program(next=("-A", "-X", "-c"))),
    **dict.fromkeys(("useradd", "usermod", "rdesktop"), _Program(next=("-p",))),
    "curl": _CURL,
    "ab": _Program(user=("-A", "-P")),
    "lftp": _Program(user=("-u", "--user"), separator=","),
    "sshpass": _Program(next=("-p",), attached=("-p",)),
    "redis-cli": _Program(next=("-a", "--pass")),
    "openssl": _Program(next=("-k", "-K", "-pass", "-passin", "-passout", "-password", "-psk", "-srppass")),
    "keytool": _Program(next=("-storepass", "-keypass", "-srcstorepass", "-deststorepass")),
    "rclone": _Program(words=("obscure",), skip=0),
    "vault": _Program(words=("login",), skip=0),
    "rabbitmqctl": _Program(words=("add_user", "change_password", "authenticate_user"), skip=1),
    "wpa_passphrase": _Program(skip=1),
    "mkpasswd": _Program(skip=0),
    "chpasswd": _Program(),
    "xfreerdp": _Program(attached=("/p:",)),
}
_SET: Final = frozenset(("set", "config", "--global", "--local", "--system", "--add", "put"))
_WORD_SECRETS: Final = frozenset(("password", "psk", "passphrase"))
_OPTION: Final = re.compile(r"-{1,2}[A-Za-z][\w.\-]*", re.ASCII)
_HTPASSWD: Final = re.compile(r"-[a-zA-Z0-9]*b[a-zA-Z0-9]*")
_CLUSTER: Final = re.compile(r"-[a-zA-Z#]{1,12}u")
_SOURCE: Final = re.compile(r"(?:env|file|fd):.*|stdin|prompt", re.DOTALL)
_STDIN: Final = frozenset(("--password-stdin", "--stdin", "--passphrase-fd", "--secret-stdin", "-S"))
_READERS: Final = frozenset(("chpasswd", "passwd", "smbpasswd", "kinit", "cryptsetup", "chgpasswd"))


def consumes_secret(words: Sequence[str]) -> bool:
    """Whether a command reads a secret from its standard input."""
    return any(word.rpartition("/")[2] in _READERS or word in _STDIN for word in words)


class SecretsOfCommand:
    """Goes through the words of one command. `next` gives what a word is to be replaced with, or None when nothing
    is known against it."""

    def __init__(self) -> None:
        self._programs: list[tuple[str, _Program]] = []
        self._seen: set[str] = set()
        self._previous = ""
        self._expected: str | None = None
        """What the next word is: `secret`; `maybe` (or the next option); `user<separator>`; `source` (openssl's);
        `literal` (kubectl's); `random` (a secret when it looks like one)."""
        self._left = -1
        self._htpasswd = -1
        self._vault_puts = False

    def next(self, word: str) -> str | None:
        expected, self._expected = self._expected, None
        if expected is not None and (found := self._as_expected(expected, word)) is not None:
            self._previous = ""
            return found
        found = self._by_program(word)
        if found is None:
            self._expect(word)
        self._learn(word)
        self._previous = word
        return found

    @staticmethod
    def _as_expected(expected: str, word: str) -> str | None:
        if expected == "random":
            return REDACTED if looks_random(word) else None
        if expected.startswith("user"):
            name, separator, secret = word.partition(expected[4:])
            return f"{name}{separator}{REDACTED}" if separator and secret else None
        if expected == "source":
            if _SOURCE.fullmatch(word):
                return word
            return f"pass:{REDACTED}" if word.startswith("pass:") else REDACTED
        if expected == "literal":
            name, separator, secret = word.partition("=")
            return f"{name}={REDACTED}" if separator else None
        if expected == "maybe" and _OPTION.fullmatch(word):
            # `psql --password -h db`: an option that asks.
            return None
        return word if is_plain(word) else REDACTED

    def _expect(self, word: str) -> None:
        """What the word says of the next one, whatever the program."""
        if self._expected is not None:
            return
        if word == "--from-literal":
            self._expected = "literal"
        elif _OPTION.fullmatch(word) and len(word) > 2:
            kind = kind_of(word)
            if word.lstrip("-") in ("passin", "passout"):
                self._expected = "source"
            elif kind in (Kind.SECRET, Kind.HEADER):
                self._expected = "maybe"
            elif kind is Kind.ENTROPY:
                self._expected = "random"
        elif (self._previous in _SET and kind_of(word) is Kind.SECRET) or (
            word in _WORD_SECRETS and "nmcli" in self._seen
        ):
            self._expected = "secret"
        elif kind_of(word) is not Kind.HARMLESS and word.isidentifier():
            self._expected = "random"

    def _by_program(self, word: str) -> str | None:
        if word.startswith("--from-literal="):
            name, separator, _ = word[15:].partition("=")
            return f"--from-literal={name}={REDACTED}" if separator else None
        if self._vault_puts and "=" in word and not word.startswith("-"):
            return f"{word.partition('=')[0]}={REDACTED}"
        if "htpasswd" in self._seen and _HTPASSWD.fullmatch(word):
            # -n writes to the screen: then no file comes before the user.
            self._htpasswd = 1 if "n" in word else 2
            return None
        if self._htpasswd >= 0 and not word.startswith("-"):
            self._htpasswd -= 1
            if self._htpasswd < 0:
                return REDACTED
        if self._left >= 0 and not word.startswith("-"):
            self._left -= 1
            if self._left < 0:
                return word if is_plain(word) else REDACTED
        if "sqlplus" in self._seen and "/" in word and not word.startswith(("-", "/", "@")):
            name, _, rest = word.partition("/")
            secret, at, where = rest.partition("@")
            return f"{name}/{REDACTED}{at}{where}" if secret else None
        for name, program in self._programs:
            if program.words and self._seen.isdisjoint(program.words):
                continue
            found = self._option(name, program, word)
            if found is not None:
                return found
            if self._expected is not None:
                return None
        return None

    def _option(self, name: str, program: _Program, word: str) -> str | None:
        if word in program.next:
            self._expected = "source" if name == "openssl" and word not in ("-k", "-K", "-psk") else "secret"
            if name == "sshpass":
                self._programs = [each for each in self._programs if each[0] != "sshpass"]
            return None
        if word in program.user or (name == "curl" and _CLUSTER.fullmatch(word)):
            self._expected = f"user{program.separator}"
            return None
        for flag in program.attached:
            if word.startswith(flag) and len(word) > len(flag) and not word.startswith("--"):
                return flag + REDACTED if not is_plain(word[len(flag) :]) else None
        for flag in program.user:
            joint = flag + "=" if flag.startswith("--") else flag
            if word.startswith(joint) and (flag.startswith("--") or not word.startswith("--")):
                user, separator, secret = word[len(joint) :].partition(program.separator)
                if secret:
                    return f"{joint}{user}{separator}{REDACTED}"
        return None

    def _learn(self, word: str) -> None:
        """Which programs the words so far name: also behind `sudo`, `env` or `docker exec`."""
        base = word.rpartition("/")[2]
        if base == "ssh":
            # `sshpass -p SECRET ssh -p 22`
            self._programs = [each for each in self._programs if each[0] != "sshpass"]
        self._seen.add(base)
        program = _PROGRAMS.get(base)
        if program is not None and all(each[0] != base for each in self._programs):
            self._programs.append((base, program))
        if "vault" in self._seen and base in ("put", "write", "patch"):
            self._vault_puts = True
        for _, each in self._programs:
            if each.skip >= 0 and base in (each.words or (self._programs[-1][0],)) and self._left < 0:
                self._left = each.skip
