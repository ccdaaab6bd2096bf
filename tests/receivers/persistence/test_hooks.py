"""What runs when something happens: devices, packages, networks, log rotation, calls on D-Bus, git, Python."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from otel_fim import names
from otel_fim.receivers.persistence.formats.apt import options
from otel_fim.receivers.persistence.formats.gitconfig import settings
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import Kind
from otel_fim.receivers.persistence.kinds import (
    autostart,
    git_hooks,
    kernel_modules,
    logrotate,
    on_demand,
    package_hooks,
    python_startup,
    system_hooks,
    udev,
)
from otel_fim.receivers.persistence.reader import File, Reader


def _file(path: str, text: str) -> File:
    return File(path.encode(), text.encode(), os.stat("/"))


def _read(bench: Any, kind: Kind) -> list[Item]:
    root = os.fsencode(bench.root)
    return list(kind.read(Host(root), Reader(root)))


def test_kernel_modules_configured_and_masked(bench: Any) -> None:
    bench.write("/etc/modules", "# comment\nloop max_loop=8\n")
    bench.write("/usr/lib/modules-load.d/a.conf", "evil\n")
    bench.write("/etc/modules-load.d/a.conf", "good\n")
    bench.write(
        "/etc/modprobe.d/x.conf",
        "install usb-storage /bin/true; \\\n  /tmp/x\nsoftdep a pre: b\nblacklist pcspkr\nremove m /bin/rm\n",
    )
    found = {
        item.id: (item.command, item.enabled) for item in _read(bench, kernel_modules.ConfiguredModules())
    }
    assert found == {
        "/etc/modules:loop": ("loop max_loop=8", True),
        "/etc/modules-load.d/a.conf:good": ("good", True),
        "/usr/lib/modules-load.d/a.conf:evil": ("evil", False),
        "/etc/modprobe.d/x.conf:install usb-storage": ("/bin/true;    /tmp/x", True),
        "/etc/modprobe.d/x.conf:softdep a": ("pre: b", True),
        "/etc/modprobe.d/x.conf:remove m": ("/bin/rm", True),
    }


def test_loaded_modules_with_their_taints() -> None:
    loaded, rejected = kernel_modules.parse_loaded(
        b"nf_tables 311296 12 nft_ct,nft_nat, Live 0xffffffffc0a00000\n"
        b"rootkit 16384 0 - Live 0x0000000000000000 (OE+)\nxt 1 0 - Loading 0x0 (O)\nbroken\n"
    )
    assert [(module.name, module.taints) for module in loaded] == [
        (b"nf_tables", b""), (b"rootkit", b"OE"), (b"xt", b"O"),
    ]  # fmt: skip
    assert rejected == 1


def test_modules_that_hide_are_found_in_sys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = tmp_path / "modules"
    listed.write_text("good 16384 0 - Live 0x0 (O)\n")
    for name in ("good", "hidden"):
        (tmp_path / "sys" / name).mkdir(parents=True)
        (tmp_path / "sys" / name / "initstate").write_text("live\n")
    (tmp_path / "sys" / "built_in").mkdir()
    (tmp_path / "sys" / "good" / "srcversion").write_text("ABC\n")
    monkeypatch.setattr(kernel_modules, "_PROC_MODULES", os.fsencode(listed))
    monkeypatch.setattr(kernel_modules, "_SYS_MODULE", os.fsencode(tmp_path / "sys"))
    items = list(kernel_modules.LoadedModules().read(Host(), Reader()))
    assert [(item.command, item.trigger) for item in items] == [
        ("good", "loaded; taints O"),
        ("hidden", "loaded, hidden from /proc/modules"),
    ]


def test_udev_rules_that_run_something() -> None:
    file = _file(
        "/etc/udev/rules.d/99.rules",
        "# comment\n"
        'ACTION=="add", SUBSYSTEM=="usb", \\\n  ATTR{idVendor}=="1d6b", RUN+="/bin/sh -c \\"evil\\""\n'
        'KERNEL=="sd*", PROGRAM="/usr/bin/p %k", RESULT=="x", SYMLINK+="y"\n'
        'IMPORT{program}="/bin/i"\nIMPORT{builtin}="usb_id", RUN{builtin}+="kmod load evil"\n'
        'KERNEL=="null", MODE="0666"\nnonsense\n',
    )
    assert [(item.id.partition(":")[2], item.command) for item in udev.parse(file)] == [
        ("ACTION==add SUBSYSTEM==usb ATTR{idVendor}==1d6b", '/bin/sh -c "evil"'),
        ("KERNEL==sd* RESULT==x", "/usr/bin/p %k"),
        ("every event", "/bin/i"),
        ("every event#2", "kmod load evil"),
    ]
    assert file.rejected == 1


def test_autostart_entries() -> None:
    def entry(text: str) -> Item:
        (item,) = autostart.parse_entry(_file("/etc/xdg/autostart/a.desktop", text))
        return item

    on = entry("[Desktop Entry]\nExec=/bin/x %u\nOnlyShowIn=GNOME;\n[Desktop Action y]\nExec=/bin/y\n")
    assert (on.command, on.trigger, on.enabled) == ("/bin/x %u", "graphical login; OnlyShowIn=GNOME;", True)
    assert not entry("[Desktop Entry]\nExec=a\nHidden=true\n").enabled
    assert not entry("[Desktop Entry]\nExec = a\nX-GNOME-Autostart-enabled=false\n").enabled
    assert not entry("[Desktop Entry]\nHidden=true\n").enabled
    assert autostart.parse_entry(_file("/a.desktop", "[Other]\nExec=a\n")) == ()


_APT = r"""
// comment DPkg::Pre-Invoke {"no";};
DPkg::Post-Invoke { "one"; "two \"quoted\""; };
APT { Update { Post-Invoke-Success:: "three"; Other "no"; } ; };
/* DPkg::Pre-Invoke {"no";}; */
# DPkg::Pre-Invoke {"no";};
dpkg { pre-install-pkgs {"four"}; }
Acquire::http::Proxy-Auto-Detect "/bin/five";
#include "/tmp/six.conf"
"""


def test_apt_hooks_in_every_form() -> None:
    items = package_hooks.parse_apt(_file("/etc/apt/apt.conf", _APT))
    assert [(item.trigger, item.command) for item in items] == [
        ("DPkg::Post-Invoke", "one"),
        ("DPkg::Post-Invoke", r"two \"quoted\""),
        ("APT::Update::Post-Invoke-Success", "three"),
        ("dpkg::pre-install-pkgs", "four"),
        ("Acquire::http::Proxy-Auto-Detect", "/bin/five"),
        ("#include", "/tmp/six.conf"),
    ]


@pytest.mark.skipif(shutil.which("apt-config") is None, reason="needs apt-config")
def test_the_hosts_apt_configuration_reads_as_apt_itself_reads_it(tmp_path: Path) -> None:
    def dumped(*more: str) -> set[tuple[str, str]]:
        out = subprocess.run(
            ["apt-config", *more, "dump"], check=True, capture_output=True, timeout=60, text=True
        ).stdout
        found = re.findall(r'^(\S*Invoke\S*|\S*Pre-Install-Pkgs\S*) "(.+)";$', out, re.MULTILINE)
        return {(name.rstrip(":").lower(), value) for name, value in found}

    ours = {
        (name.rstrip(b":").decode().lower(), value.decode())
        for path in sorted(Path("/etc/apt/apt.conf.d").glob("*"))
        for name, value in options(path.read_bytes())
        if re.search(rb"invoke|pre-install-pkgs", name, re.IGNORECASE) and value
    }
    assert ours == dumped()


def test_the_other_package_managers() -> None:
    (hook,) = package_hooks.parse_dpkg(_file("/etc/dpkg/dpkg.cfg", 'no-debsig\npost-invoke="/bin/x -y"\n'))
    assert (hook.command, hook.trigger) == ("/bin/x -y", "post-invoke")
    (plugin,) = package_hooks.parse_plugin_conf(
        _file("/etc/yum/pluginconf.d/evil.conf", "[main]\nenabled = 1\n")
    )
    assert (plugin.command, plugin.enabled) == ("evil", True)
    (action,) = package_hooks.parse_actions(
        _file("/etc/dnf/a.action", "# c\nbash*:in:/bin/echo a:b\nbroken\n")
    )
    assert (action.command, action.trigger) == ("/bin/echo a:b", "bash*:in")
    (alpm,) = package_hooks.parse_alpm(
        _file(
            "/a.hook", "[Trigger]\nOperation=Install\nTarget=*\n[Action]\nWhen=PostTransaction\nExec=/bin/x\n"
        )
    )
    assert (alpm.command, alpm.trigger) == ("/bin/x", "PostTransaction Install *")


def test_files_that_apt_does_not_read_are_switched_off(bench: Any) -> None:
    for name in ("90x", "91y.conf", "92z.bak"):
        bench.write(f"/etc/apt/apt.conf.d/{name}", 'DPkg::Post-Invoke {"x";};')
    found = {
        item.path.rpartition(b"/")[2]: item.enabled for item in _read(bench, package_hooks.PackageHooks())
    }
    assert found == {b"90x": True, b"91y.conf": True, b"92z.bak": False}


def test_scripts_of_the_system(bench: Any) -> None:
    bench.write("/etc/kernel/postinst.d/zz", "#!/bin/sh\n", 0o755)
    bench.write("/etc/update-motd.d/10-off", "#!/bin/sh\n", 0o644)
    bench.write("/etc/NetworkManager/dispatcher.d/pre-up.d/x", "#!/bin/sh\n", 0o755)
    bench.write("/etc/acpi/events/power", "event=button/power\naction=/etc/acpi/x.sh %e\n")
    bench.write(
        "/etc/network/interfaces", "auto eth0\niface eth0 inet dhcp\n  up /bin/a\n  post-down /bin/b c\n"
    )
    found = {
        item.id: (item.kind, item.command, item.enabled) for item in _read(bench, system_hooks.SystemHooks())
    }
    assert found == {
        "/etc/kernel/postinst.d/zz": ("kernel_hook", "", True),
        "/etc/update-motd.d/10-off": ("motd", "", False),
        "/etc/NetworkManager/dispatcher.d/pre-up.d/x": ("network_hook", "", True),
        "/etc/acpi/events/power:button/power": ("acpi_event", "/etc/acpi/x.sh %e", True),
        "/etc/network/interfaces:up eth0 /bin/a": ("network_hook", "/bin/a", True),
        "/etc/network/interfaces:post-down eth0 /bin/b 2e7d2c03a950": ("network_hook", "/bin/b c", True),
    }


def test_logrotate_scripts() -> None:
    file = _file(
        "/etc/logrotate.d/x",
        "compresscmd /bin/xz\n/var/log/a\n/var/log/b {\n  su www adm\n"
        "  postrotate\n    kill -HUP 1\n    # c\n  endscript\n}\n"
        '"/var/log/c d" { \nprerotate\n/bin/p\nendscript\n}\n/var/log/e {\nlastaction\nunfinished\n',
    )
    assert [(item.id.partition(":")[2], item.command, item.user) for item in logrotate.parse(file)] == [
        ("compresscmd", "/bin/xz", "root"),
        ("postrotate /var/log/a /var/log/b", "kill -HUP 1\n# c", "www"),
        ('prerotate "/var/log/c d"', "/bin/p", "root"),
        ("lastaction /var/log/e", "unfinished", "root"),
    ]
    assert file.rejected == 1


def test_services_on_demand(bench: Any) -> None:
    bench.write(
        "/usr/share/dbus-1/system-services/x.service",
        "[D-BUS Service]\nName=org.x\nExec=/bin/x\nUser=nobody\n",
    )
    bench.write(
        "/usr/share/dbus-1/services/y.service", "[D-BUS Service]\nName=org.y\nSystemdService=y.service\n"
    )
    services = {item.trigger: (item.command, item.user) for item in _read(bench, on_demand.DbusServices())}
    assert services == {
        "call of org.x on D-Bus": ("/bin/x", "nobody"),
        "call of org.y on D-Bus; unit y.service": ("", ""),
    }
    bench.write("/usr/lib/binfmt.d/a.conf", ":evil:E::sh::/bin/evil:C\n,x,M,0,\\x7fELF,,/bin/i,\nbroken\n")
    found = {
        item.id.rpartition(":")[2]: (item.command, item.trigger) for item in _read(bench, on_demand.Binfmt())
    }
    assert found == {
        "evil": ("/bin/evil", "start of a program with extension sh; flags C"),
        "x": ("/bin/i", "start of a program with magic \\x7fELF; flags none"),
    }
    (registered,) = on_demand.parse_registered(
        _file("/proc/sys/fs/binfmt_misc/x", "disabled\ninterpreter /bin/i\nflags: F\nextension .sh\n")
    )
    assert (registered.command, registered.enabled) == ("/bin/i", False)


_GIT = r"""
[core]
	hooksPath = "/tmp/a b" ; comment
	editor = vim
[alias]
	st = status
	x = "!sh -c 'echo \"hi\"'" # comment
[filter "lfs"]
	clean = git-lfs clean \
-- %f
[credential "https://x"] helper = store
[includeIf "gitdir:~/w"]
	path = other
[user]
	name = A
"""


def test_programs_that_git_runs() -> None:
    items = git_hooks.parse(_file("/root/.gitconfig", _GIT))
    assert {item.id.partition(":")[2]: item.command for item in items} == {
        "core.hookspath": "/tmp/a b",
        "core.editor": "vim",
        "alias.x": "sh -c 'echo \"hi\"'",
        "filter.lfs.clean": "git-lfs clean -- %f",
        "credential.https://x.helper": "store",
        "includeif.gitdir:~/w.path": "other",
    }


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_git_itself_reads_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(_GIT)
    out = subprocess.run(
        ["git", "config", "-z", "--file", str(path), "--list"], check=True, capture_output=True, timeout=60
    )
    theirs = [tuple(line.split(b"\n", 1)) for line in out.stdout.split(b"\0") if line]
    assert list(settings(_GIT.encode())) == theirs


def test_python_runs_import_lines_only(bench: Any) -> None:
    bench.write(
        "/usr/lib/python3/dist-packages/a.pth",
        "/some/where\nimport evil; evil.go()\n# c\nimport\tb\nimportant\n",
    )
    bench.write("/usr/lib/python3/dist-packages/.hidden.pth", "import evil\n")
    bench.write("/usr/local/lib/python3.11/dist-packages/sitecustomize.py", "x = 1\n")
    bench.write("/home/alice/.local/lib/python3.12/site-packages/usercustomize/__init__.py", "x = 1\n")
    found = {(item.kind, item.command, item.path) for item in _read(bench, python_startup.PythonStartup())}
    assert found == {
        ("python_pth", "import evil; evil.go()", b"/usr/lib/python3/dist-packages/a.pth"),
        ("python_pth", "import\tb", b"/usr/lib/python3/dist-packages/a.pth"),
        ("python_customize", "", b"/usr/local/lib/python3.11/dist-packages/sitecustomize.py"),
        (
            "python_customize",
            "",
            b"/home/alice/.local/lib/python3.12/site-packages/usercustomize/__init__.py",
        ),
    }


_ALL = [
    kind
    for module in (autostart, git_hooks, kernel_modules, logrotate, on_demand, package_hooks, python_startup,
                   system_hooks, udev)
    for kind in module.KINDS
]  # fmt: skip


@pytest.mark.parametrize("kind", _ALL, ids=lambda kind: kind.name)
def test_the_host_itself_is_read_without_a_rejected_line(kind: type[Kind]) -> None:
    reader = Reader()
    items = list(kind().read(Host(), reader))
    assert reader.rejected == 0
    assert len({(item.kind, item.id) for item in items}) == len(items)


@pytest.mark.parametrize("command_line", ["none", "redacted"])
def test_a_secret_in_a_command_stands_nowhere_in_a_record(bench: Any, command_line: str) -> None:
    bench.start(command_line=command_line)
    run = "/bin/x --password=opensesame99 -v"
    shell = "#!/bin/sh\n"
    contents = {
        "/etc/cron.d/a": f"1 1 1 1 1 root {run}\nSECRET=opensesame99\n",
        "/etc/anacrontab": f"1 5 job {run}\n",
        "/etc/network/interfaces": f"iface eth0 inet dhcp\n up {run}\n",
        "/etc/doas.conf": "permit alice as root cmd /bin/x args --password=opensesame99\n",
        "/etc/sudoers.d/a": f"alice ALL = NOPASSWD: {run}\n",
        "/etc/udev/rules.d/1.rules": f'ACTION=="add", RUN+="{run}"\n',
        "/etc/apt/apt.conf.d/1": f'DPkg::Post-Invoke {{ "{run}"; }};\n',
        "/etc/modprobe.d/1.conf": f"install dummy {run}\n",
        "/etc/pam.d/su": f"auth optional pam_exec.so {run}\n",
        "/etc/gitconfig": f"[core]\n\tfsmonitor = {run}\n",
        "/etc/logrotate.d/a": f"/var/log/a {{\n postrotate\n {run}\n endscript\n}}\n",
        "/etc/systemd/system/a.service": f"[Service]\nExecStart={run}\n",
        "/etc/systemd/system/a.service.d/b.conf": "[Service]\nEnvironment=PASSWORD=opensesame99\n",
        "/etc/xdg/autostart/a.desktop": f"[Desktop Entry]\nType=Application\nExec={run}\n",
        "/etc/inittab": f"1:2:respawn:{run}\n",
        "/etc/rc.local": f"{shell}{run}\n",
        "/etc/apache2/a.conf": f'CustomLog "|{run}" common\n',
    }
    for path, content in contents.items():
        bench.write(path, content, 0o755 if path == "/etc/rc.local" else 0o644)
    records = bench.look()
    paths = {str(record.attributes[names.FILE_PATH]).removeprefix(str(bench.root)) for record in records}
    assert paths >= contents.keys()
    assert [record for record in records if "opensesame99" in f"{record.body}{record.attributes}"] == []
