"""Code that web servers load or run: nginx, Apache httpd, PHP.

Formats: nginx.org/en/docs/ngx_core_module, lua-nginx-module, ngx_http_js_module; httpd.apache.org/docs/2.4/mod;
php.net/manual/en/ini.list. Files below `…-available` are told as switched off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, hash_key, one_space
from otel_fim.receivers.persistence.formats.lines import joined, plain, unquoted, words
from otel_fim.receivers.persistence.formats.nginx import directives
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

_NGINX: Final = re.compile(
    rb"load_module|perl(?:_modules|_require|_set)?|lua_package_c?path|.{1,60}_by_lua(?:_block|_file)?"
    rb"|js_(?:import|include|path|content|set|access|preread|filter|header_filter|body_filter|periodic)"
    rb"|njs_.{1,40}|passenger_(?:root|ruby|python|nodejs|startup_file)|ssl_engine",
    re.DOTALL,
)
_APACHE_NAMED: Final = frozenset(
    (
        b"loadmodule",
        b"loadfile",
        b"action",
        b"extfilterdefine",
        b"scriptalias",
        b"scriptaliasmatch",
        b"wsgiscriptalias",
    )
)
_APACHE: Final = _APACHE_NAMED | frozenset(
    (
        b"wsgiimportscript", b"wsgiscriptaliasmatch", b"wsgipythonpath", b"wsgipythonhome", b"perlrequire",
        b"perlmodule",
        b"perlconfigrequire", b"perlpostconfigrequire", b"perlresponsehandler", b"perlloadmodule", b"perlswitches",
        b"authexternal", b"defineexternalauth", b"fastcgiserver", b"fcgidwrapper", b"fcgidinitialenv", b"script",
        b"sslpassphrasedialog",
    )
)  # fmt: skip
_APACHE_LOGS: Final = frozenset((b"customlog", b"errorlog", b"transferlog", b"globallog", b"forensiclog"))
_APACHE_HANDLERS: Final = frozenset((b"addhandler", b"sethandler", b"addtype", b"forcetype"))
_HANDLED: Final = re.compile(
    rb"cgi-script|application/x-httpd|php|lua-script|wsgi-script|fcgid-script|perl-script|proxy:"
)
_PHP_FLAGS: Final = frozenset((b"php_value", b"php_admin_value", b"php_flag", b"php_admin_flag"))
_PHP: Final = frozenset(
    (
        b"auto_prepend_file", b"auto_append_file", b"extension", b"zend_extension", b"extension_dir",
        b"opcache.preload",
        b"ffi.preload", b"sendmail_path", b"unserialize_callback_func", b"user_ini.filename", b"mail.log",
        b"include_path",
        b"allow_url_include",
    )
)  # fmt: skip
_POOL: Final = re.compile(rb"php_(?:admin_)?(?:value|flag)\[([^\]]{1,80})\]")


def _enabled(path: bytes) -> bool:
    return b"-available/" not in path


def parse_nginx(file: File) -> tuple[Item, ...]:
    """An item for each directive that loads or runs code."""
    entries = Entries(file)
    for name, arguments in directives(file.data):
        if _NGINX.fullmatch(name) is None or not arguments:
            continue
        shown = text_of(name)
        content = b" ".join((name, *arguments))
        # A module or a variable has a name; a handler is known by where it stands, which is no name.
        key = f"{shown} {text_of(arguments[0])}" if name == b"load_module" or len(arguments) > 1 else shown
        command = text_of(arguments[-1])
        entries.add(
            "nginx", key, content, command=command, trigger=f"nginx {shown}", enabled=_enabled(file.path)
        )
    return entries.done()


def parse_apache(file: File) -> tuple[Item, ...]:
    """An item for each directive that loads or runs code, pipes a log into a program or lets PHP prepend a file."""
    entries = Entries(file)
    for line in joined(file.data):
        word = line.split(None, 1)[0].lower()
        if not (
            word in _APACHE
            or word in _APACHE_LOGS
            or word in _APACHE_HANDLERS
            or word in _PHP_FLAGS
            or word in (b"rewritemap", b"options")
            or word.startswith(b"luahook")
        ):
            continue
        arguments = words(line)[1:]
        command = _apache_command(word, arguments)
        if not arguments or command is None:
            continue
        shown = text_of(line.split(None, 1)[0])
        named = word in _APACHE_NAMED or word in _PHP_FLAGS or word in (b"rewritemap", b"authexternal")
        key = one_space(arguments[0]) if named else hash_key(line)
        entries.add(
            "apache",
            f"{shown} {key}",
            line,
            command=text_of(command),
            trigger=f"Apache {shown}",
            enabled=_enabled(file.path),
        )
    return entries.done()


def _apache_command(word: bytes, arguments: list[bytes]) -> bytes | None:
    """What the directive runs or loads; None when it is of no interest."""
    rest = b" ".join(arguments[1:]) or b" ".join(arguments)
    if word in _APACHE_LOGS:
        # `|program`, and `||program` for one without a shell.
        return arguments[0].lstrip(b"|$").strip() if arguments and arguments[0].startswith(b"|") else None
    if word in _APACHE_HANDLERS:
        return b" ".join(arguments) if arguments and _HANDLED.search(arguments[0][:200].lower()) else None
    if word in _PHP_FLAGS:
        return rest if arguments and arguments[0].lower() in _PHP else None
    if word == b"rewritemap":
        return rest if len(arguments) > 1 and arguments[1].lower().startswith((b"prg:", b"dbd:")) else None
    if word == b"options":
        return (
            b" ".join(arguments)
            if any(a.lower().lstrip(b"+") in (b"execcgi", b"includes") for a in arguments)
            else None
        )
    return rest


def parse_php(file: File) -> tuple[Item, ...]:
    """An item for each setting that loads code or names a program, in php.ini, .user.ini or a pool of php-fpm."""
    entries = Entries(file)
    for line in plain(file.data, comment=b";#["):
        key, equals, value = line.partition(b"=")
        key = key.strip().lower()
        pool = _POOL.fullmatch(key)
        if pool is not None:
            key = pool[1].strip()
        value = unquoted(value.partition(b" ;")[0].strip())
        if not equals or key not in _PHP or not value:
            continue
        shown = text_of(key)
        is_list = key in (b"extension", b"zend_extension")
        entries.add(
            "php",
            f"{shown} {text_of(value)}" if is_list else shown,
            key + b"=" + value,
            command=text_of(value),
            trigger=f"PHP {shown}",
            enabled=b"/mods-available/" not in file.path,
        )
    return entries.done()


_PLACES: Final = (
    *(
        Place(path, b"*", recursive=True)
        for path in (b"/etc/nginx", b"/usr/local/etc/nginx", b"/usr/local/nginx/conf")
    ),
    Place(b"/usr/share/nginx/modules", b"*.conf"),
    *(
        Place(path, names, recursive=True)
        for path in (b"/etc/apache2", b"/etc/httpd", b"/usr/local/apache2/conf", b"/usr/local/etc/apache24")
        for names in (b"*.conf", b"*.load")
    ),
    Place(b"/etc/php.ini"),
    Place(b"/etc/php.d", b"*.ini"),
    Place(b"/etc/php-fpm.d", b"*.conf"),
    Place(b"/etc/php", b"*.ini", recursive=True),
    Place(b"/etc/php", b"*.conf", recursive=True),
    Place(b"/usr/local/etc/php", b"*.ini", recursive=True),
    Place(b"/usr/local/etc/php-fpm.d", b"*.conf"),
)


class WebServers(FileKind):
    name = "web_servers"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return _PLACES

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        parse = parse_php if b"php" in place.path else parse_nginx if b"nginx" in place.path else parse_apache
        return reader.parsed(path, parse, place) or ()


KINDS: Final[tuple[type[Kind], ...]] = (WebServers,)
