"""nginx, Apache httpd and PHP: directives that load or run code."""

from __future__ import annotations

import os
from typing import Any

from otel_fim.receivers.persistence.formats.nginx import directives
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.kinds.web_documents import WebDocuments
from otel_fim.receivers.persistence.kinds.web_servers import WebServers, parse_apache, parse_nginx, parse_php
from otel_fim.receivers.persistence.reader import File, Reader


def _file(path: str, text: str) -> File:
    return File(path.encode(), text.encode(), os.stat("/"))


_NGINX = r"""
load_module modules/ngx_http_js_module.so; # comment;
events { worker_connections 768; }
http {
    js_import main from /etc/nginx/x.js;
    log_format a '{ "x": "$y" }';
    server {
        location / {
            content_by_lua_block {
                local t = { a = 1 }
                os.execute("x;y")
            }
        }
        location ~ \.php$ { js_content main.hello; root "/var/www/a b"; }
        perl_set $x 'sub { return 1; }';
        access_by_lua_file /etc/nginx/a.lua;
    }
}
"""


def test_nginx_directives() -> None:
    items = parse_nginx(_file("/etc/nginx/nginx.conf", _NGINX))
    assert [(item.id.partition(":")[2], item.command) for item in items] == [
        ("load_module modules/ngx_http_js_module.so", "modules/ngx_http_js_module.so"),
        ("js_import main", "/etc/nginx/x.js"),
        ("content_by_lua_block", 'local t = { a = 1 }\n                os.execute("x;y")'),
        ("js_content", "main.hello"),
        ("perl_set $x", "sub { return 1; }"),
        ("access_by_lua_file", "/etc/nginx/a.lua"),
    ]
    names = [name for name, _ in directives(_NGINX.encode())]
    assert names[:5] == [b"load_module", b"events", b"worker_connections", b"http", b"js_import"]
    off = parse_nginx(_file("/etc/nginx/sites-available/x", "load_module a;"))
    assert not off[0].enabled


def test_apache_directives() -> None:
    items = parse_apache(
        _file(
            "/etc/apache2/apache2.conf",
            "LoadModule cgi_module \\\n  modules/mod_cgi.so\n# LoadModule no no\n"
            'CustomLog "|/usr/bin/rotatelogs /var/log/x 86400" combined\nErrorLog "||/bin/e"\nErrorLog /var/log/e\n'
            "<Directory /var/www>\n  AddHandler cgi-script .cgi\n  AddHandler type-map var\n  Options +ExecCGI\n"
            "  php_admin_value auto_prepend_file /tmp/x.php\n  php_value memory_limit 1G\n</Directory>\n"
            "RewriteMap m prg:/bin/map\nRewriteMap t txt:/x\nScriptAlias /cgi-bin/ /usr/lib/cgi-bin/\n"
            "LuaHookAccessChecker /x.lua f\n",
        )
    )
    assert [item.command for item in items] == [
        "modules/mod_cgi.so",
        "/usr/bin/rotatelogs /var/log/x 86400",
        "/bin/e",
        "cgi-script .cgi",
        "+ExecCGI",
        "/tmp/x.php",
        "prg:/bin/map",
        "/usr/lib/cgi-bin/",
        "f",
    ]
    assert items[0].id == "/etc/apache2/apache2.conf:LoadModule cgi_module"


def test_php_settings() -> None:
    items = parse_php(
        _file(
            "/etc/php/8.2/fpm/pool.d/www.conf",
            "[www]\nextension = evil.so ; comment\nzend_extension=opcache\n;extension=no\nmemory_limit = 1\n"
            'php_admin_value[auto_prepend_file] = "/tmp/x.php"\nauto_append_file =\n',
        )
    )
    assert [(item.id.partition(":")[2], item.command) for item in items] == [
        ("extension evil.so", "evil.so"),
        ("zend_extension opcache", "opcache"),
        ("auto_prepend_file", "/tmp/x.php"),
    ]


def test_every_place_is_read_with_its_own_format(bench: Any) -> None:
    bench.write("/etc/nginx/sites-enabled/a", "load_module a;")
    bench.write("/etc/apache2/mods-enabled/a.load", "LoadModule a a.so\n")
    bench.write("/etc/php/8.2/cli/conf.d/a.ini", "extension=a\n")
    bench.write(
        "/var/www/html/deep/.htaccess", "php_value auto_prepend_file /x\nSetHandler application/x-httpd-php\n"
    )
    bench.write("/usr/share/nginx/html/.htaccess", "AddHandler php-script .jpg\n")
    bench.write("/var/www/html/.user.ini", "auto_prepend_file=/y\n")
    root = os.fsencode(bench.root)
    kinds = (WebServers(), WebDocuments())
    found = {(item.kind, item.command) for kind in kinds for item in kind.read(Host(root), Reader(root))}
    assert found == {
        ("nginx", "a"),
        ("apache", "a.so"),
        ("php", "a"),
        ("apache", "/x"),
        ("apache", "application/x-httpd-php"),
        ("apache", "php-script .jpg"),
        ("php", "/y"),
    }


def test_documents_are_walked_now_and_then_and_file_events_count_between(bench: Any) -> None:
    engine = bench.start(kinds=["web_documents"])
    bench.write("/var/www/html/.htaccess", "SetHandler application/x-httpd-php\n")
    assert bench.look() == []
    engine.heard([bench.file_event("/var/www/html/.htaccess"), bench.file_event("/var/www/html/.hidden")])
    engine.look_at_what_waits()
    assert [told for told, _ in bench.pipeline.told()] == ["added"]
    bench.pipeline.take()
    assert bench.look() == []
    (bench.root / "var/www/html/.htaccess").unlink()
    assert len(bench.look()) == 1
