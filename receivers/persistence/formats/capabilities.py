"""File capabilities: the extended attribute `security.capability`.

Format: struct vfs_cap_data and vfs_ns_cap_data, linux/capability.h; capabilities(7), File capability extended attribute
versioning. The text is that of cap_to_text(3), with each set of flags listed apart.
"""

from __future__ import annotations

import re
import struct
from typing import Final

_REVISION: Final = 0xFF000000
_EFFECTIVE: Final = 0x1
# Revision: (length in bytes, number of 32-bit pairs)
_SHAPES: Final = {0x01000000: (12, 1), 0x02000000: (20, 2), 0x03000000: (24, 2)}
_NAMES: Final[list[str]] = re.findall(
    r"\w+",
    "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service "
    "net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin "
    "sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override "
    "mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore",
)


def capability_text(value: bytes) -> str | None:
    """`cap_net_admin,cap_net_raw=ep`, with ` [root 1000]` for those that hold in one user namespace only; None when
    the bytes are no capabilities, empty when they grant none."""
    if len(value) < 4:
        return None
    (magic,) = struct.unpack_from("<I", value)
    shape = _SHAPES.get(magic & _REVISION)
    if shape is None or len(value) != shape[0]:
        return None
    permitted = inheritable = 0
    for pair in range(shape[1]):
        low, high = struct.unpack_from("<II", value, 4 + 8 * pair)
        permitted |= low << (32 * pair)
        inheritable |= high << (32 * pair)
    effective = "e" if magic & _EFFECTIVE else ""
    sets = (
        (permitted & inheritable, f"{effective}ip"),
        (permitted & ~inheritable, f"{effective}p"),
        (inheritable & ~permitted, f"{effective}i"),
    )
    text = " ".join(f"{_listed(bits)}={flags}" for bits, flags in sets if bits)
    if text and magic & _REVISION == 0x03000000:
        text += f" [root {struct.unpack_from('<I', value, 20)[0]}]"
    return text


def _listed(bits: int) -> str:
    return ",".join(
        f"cap_{_NAMES[number]}" if number < len(_NAMES) else f"cap_{number}"
        for number in range(64)
        if bits >> number & 1
    )
