"""Records a Debian host at ordinary work and under attack, for tests/rules.

    python -m tests.rules.recording RECORDINGS [STORY]...

`attack` as the only story records the intrusion, and everything else ordinary work (all of it without a name). Needs
root, debootstrap and Debian's mirror; about fifteen minutes. RECORDINGS gets the system (`base`), and for each
recording what the agent told: `records.jsonl`, `console.txt`, `agent.log`, and `marks.json` with when each story began.
`python -m tests.rules.recording.reduce` makes test data of it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.rules.recording.host import RecordedHost, make_base

STORIES = ("work", "install", "services", "work_again", "nightly", "kernel", "upgrade")


def record(host: RecordedHost, story: str) -> str:
    """Does what a story tells; what was printed."""
    if story == "attack":
        return intrude(host)
    if story in ("services", "nightly"):
        host.run("bash", f"/usr/local/share/stories/{story}.sh")
        return ""
    return host.session("alice", story.removesuffix("_again"), timeout=500)


# --- The intrusion -----------------------------------------------------------------------------------------


def prepare_intrusion(host: RecordedHost) -> None:
    """A web server (Python under its name), files to lock, and no waiting after wrong passwords."""
    host.run("cp", "/usr/bin/python3.11", "/usr/sbin/apache2")
    host.run("mkdir", "/etc/app")
    for number in range(500):
        host.path(f"/etc/app/site-{number}.conf").write_text(f"name = {number}\n" * 20)
    host.run("sed", "-i", r"/pam_unix\.so/s/$/ nodelay/", "/etc/pam.d/common-auth")
    host.run("touch", "/root/.bash_history")


def intrude(host: RecordedHost) -> str:
    for _ in range(10):
        host.guess("bob", "wrong", tries=3)
    told = host.guess("bob", "battery staple", tries=1)
    served = host.directory / "served"
    served.mkdir(exist_ok=True)
    (served / "stage.txt").write_bytes((Path(__file__).parent / "stories" / "stage.sh").read_bytes())
    (served / "beacon").write_text("true\n")
    serve = [sys.executable, "-m", "http.server", "-b", "127.0.0.1", "-d", str(served), "28080"]
    listener = "import socket,time;s=socket.create_server(('127.0.0.1',28081));l=[s.accept() for _ in 'ab'];"
    listener += "time.sleep(9)"
    others = [subprocess.Popen(each) for each in (serve, [sys.executable, "-c", listener])]
    try:
        time.sleep(1)
        host.run("/usr/sbin/apache2", "-I", "/usr/local/share/stories/webshell.py")
        time.sleep(70)  # cron's next minute
    finally:
        for other in others:
            other.kill()
            other.wait()
    return told


def main() -> None:
    directory = Path(sys.argv[1])
    stories = sys.argv[2:] or STORIES
    make_base(directory / "base")
    host = RecordedHost(directory / "base", directory / ("attack" if "attack" in stories else "quiet"))
    marks: dict[str, int] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        host.start()
        if "attack" in stories:
            prepare_intrusion(host)
        host.start_agent()
        for story in stories:
            marks[story] = time.time_ns()
            (host.directory / f"{story}.out").write_text(record(host, story))
            print(story, round((time.time_ns() - marks[story]) / 1e9), "s", flush=True)
            time.sleep(4)
        marks["end"] = time.time_ns()
        time.sleep(5)
        (host.directory / "marks.json").write_text(json.dumps(marks))
        host.stop_agent()
    finally:
        host.stop()


if __name__ == "__main__":
    main()
