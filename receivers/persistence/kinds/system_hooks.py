"""Scripts that the system runs when something happens: a new kernel, a new network, a login, sleep.

A file in one of these directories is an item. Most are run as by run-parts(8): only when executable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_fim.receivers.persistence.formats.entries import Entries, command_key, one_space
from otel_fim.receivers.persistence.formats.lines import joined
from otel_fim.receivers.persistence.formats.whole import whole_file
from otel_fim.receivers.persistence.hosts import Host
from otel_fim.receivers.persistence.item import Item
from otel_fim.receivers.persistence.kind import FileKind, Kind, Place
from otel_fim.receivers.persistence.reader import File, Reader
from otel_fim.receivers.persistence.text import text_of

# Directory: (kind, when its files are run, only when executable, with sub-directories)
_DIRECTORIES: Final[dict[bytes, tuple[str, str, bool, bool]]] = {
    **{
        base + b"/kernel/" + name + b".d": ("kernel_hook", f"kernel {text_of(name)}", True, False)
        for base in (b"/etc", b"/usr/share", b"/usr/lib")
        for name in (b"preinst", b"postinst", b"prerm", b"postrm", b"install", b"header_postinst")
    },
    b"/etc/initramfs-tools/hooks": ("initramfs_hook", "building of the initramfs", True, False),
    b"/etc/initramfs-tools/scripts": ("initramfs_hook", "boot, in the initramfs", True, True),
    b"/usr/share/initramfs-tools/hooks": ("initramfs_hook", "building of the initramfs", True, False),
    b"/usr/share/initramfs-tools/scripts": ("initramfs_hook", "boot, in the initramfs", False, True),
    b"/etc/initramfs/post-update.d": ("initramfs_hook", "building of the initramfs", True, False),
    b"/etc/initcpio/hooks": ("initramfs_hook", "boot, in the initramfs", False, False),
    b"/etc/initcpio/install": ("initramfs_hook", "building of the initramfs", False, False),
    b"/etc/dracut.conf.d": ("initramfs_hook", "building of the initramfs", False, False),
    b"/etc/update-motd.d": ("motd", "login", True, False),
    b"/usr/lib/update-motd.d": ("motd", "login", True, False),
    b"/etc/NetworkManager/dispatcher.d": ("network_hook", "network change", True, True),
    b"/usr/lib/NetworkManager/dispatcher.d": ("network_hook", "network change", True, True),
    b"/etc/networkd-dispatcher": ("network_hook", "network change", True, True),
    b"/usr/lib/networkd-dispatcher": ("network_hook", "network change", True, True),
    **{
        b"/etc/network/if-" + name + b".d": ("network_hook", f"interface {text_of(name)}", True, False)
        for name in (b"pre-up", b"up", b"down", b"post-down")
    },
    b"/etc/dhcp/dhclient-enter-hooks.d": ("network_hook", "DHCP lease", False, False),
    b"/etc/dhcp/dhclient-exit-hooks.d": ("network_hook", "DHCP lease", False, False),
    b"/usr/lib/dhcpcd/dhcpcd-hooks": ("network_hook", "DHCP lease", False, False),
    b"/etc/ppp/ip-up.d": ("network_hook", "PPP link up", True, False),
    b"/etc/ppp/ip-down.d": ("network_hook", "PPP link down", True, False),
    b"/etc/resolvconf/update.d": ("network_hook", "name server change", True, False),
    b"/etc/pm/sleep.d": ("sleep_hook", "sleep and wake-up", True, False),
    b"/etc/pm/power.d": ("sleep_hook", "change of power supply", True, False),
    b"/usr/lib/pm-utils/sleep.d": ("sleep_hook", "sleep and wake-up", True, False),
    b"/etc/ca-certificates/update.d": ("system_hook", "update of the CA certificates", True, False),
    b"/etc/needrestart/hook.d": ("system_hook", "package installation (needrestart)", True, False),
    b"/etc/needrestart/restart.d": ("system_hook", "package installation (needrestart)", True, False),
    b"/etc/libvirt/hooks": ("system_hook", "virtual machine change", True, True),
    b"/etc/letsencrypt/renewal-hooks": ("system_hook", "certificate renewal", True, True),
}
_FILES: Final = {
    b"/etc/dhcp/dhclient-enter-hooks": ("network_hook", "DHCP lease", False),
    b"/etc/dhcp/dhclient-exit-hooks": ("network_hook", "DHCP lease", False),
    b"/etc/dhclient-enter-hooks": ("network_hook", "DHCP lease", False),
    b"/etc/dhclient-exit-hooks": ("network_hook", "DHCP lease", False),
    b"/etc/dhcpcd.enter-hook": ("network_hook", "DHCP lease", False),
    b"/etc/dhcpcd.exit-hook": ("network_hook", "DHCP lease", False),
    b"/etc/ppp/ip-up": ("network_hook", "PPP link up", True),
    b"/etc/ppp/ip-down": ("network_hook", "PPP link down", True),
}
_INTERFACES: Final = (Place(b"/etc/network/interfaces"), Place(b"/etc/network/interfaces.d", b"*"))
_ACPI: Final = Place(b"/etc/acpi/events", b"*")
_WHEN: Final = (b"pre-up", b"up", b"post-up", b"down", b"pre-down", b"post-down")


def parse_interfaces(file: File) -> tuple[Item, ...]:
    """An item for each command of interfaces(5): `up`, `post-up`, `pre-down`, …"""
    entries = Entries(file)
    interface = ""
    for line in joined(file.data):
        word, *rest = line.split(None, 1)
        if word in (b"iface", b"mapping"):
            interface = one_space(rest[0].split(None, 1)[0]) if rest else ""
        elif (word in _WHEN or word == b"script") and rest:
            when = f"{text_of(word)} {interface}"
            command = text_of(rest[0])
            entries.add(
                "network_hook",
                f"{when} {command_key(rest[0])}",
                line,
                command=command,
                user="root",
                trigger=when,
            )
    return entries.done()


def parse_acpi(file: File) -> tuple[Item, ...]:
    """An event and its action: acpid(8)."""
    values = dict(line.partition(b"=")[::2] for line in joined(file.data))
    values = {key.strip(): value.strip() for key, value in values.items()}
    if not values.get(b"action"):
        file.reject()
        return ()
    entries = Entries(file)
    event = text_of(values.get(b"event", b""))
    command = text_of(values[b"action"])
    entries.add("acpi_event", event, file.data, command=command, user="root", trigger=f"ACPI event {event}")
    return entries.done()


class SystemHooks(FileKind):
    name = "system_hooks"

    def places(self, host: Host) -> Sequence[Place]:
        del host
        return (
            *(Place(path, b"*", recursive=row[3]) for path, row in _DIRECTORIES.items()),
            *(Place(path) for path in _FILES),
            *_INTERFACES,
            _ACPI,
        )

    def read_file(self, path: bytes, place: Place, reader: Reader) -> Iterable[Item]:
        if place in _INTERFACES:
            return reader.parsed(path, parse_interfaces, place) or ()
        if place == _ACPI:
            return reader.parsed(path, parse_acpi, place) or ()
        kind, when, only_executable = _FILES[path] if place.names is None else _DIRECTORIES[place.path][:3]
        item = whole_file(kind, path, reader, user="root", trigger=when, must_be_executable=only_executable)
        return () if item is None else (item,)


KINDS: Final[tuple[type[Kind], ...]] = (SystemHooks,)
