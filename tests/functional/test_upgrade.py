"""pagurusctl: the process replaced by one command, and what happens when that cannot work."""

import json
import os
import re
import signal
import subprocess

import pytest

from guest import UdpProbe
from qmp import Qmp, QmpError
from vmm import PAGURUS, PAGURUSCTL, VARIANT, ended, eventually, file_descriptors

pytestmark = [pytest.mark.probe, pytest.mark.usefixtures("runtime_directory")]


def ctl(*arguments, timeout=60):
    return subprocess.run([PAGURUSCTL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          check=False)


class Upgradable:
    """A guest whose process changes: known by its QMP path only."""

    def __init__(self, guest, *more, **changes):
        self.guest = guest
        self.first = guest.boot(*more, **changes)
        self.path = self.first.qmp_path

    def ask(self, command, **arguments):
        qmp = Qmp(self.path)
        try:
            return qmp.command(command, **arguments)
        finally:
            qmp.close()

    @property
    def pid(self):
        return self.ask("query-process")["pid"]

    def upgrade(self, *arguments):
        return ctl("upgrade", self.path, *arguments)

    def end(self):
        pid = self.pid
        self.ask("quit")
        eventually(lambda: ended(pid), 10.0, "the end of the last process")
        assert not self.path.exists()


@pytest.fixture
def running(guest):
    upgradable = Upgradable(guest)
    yield upgradable
    if upgradable.path.exists():
        upgradable.end()


def test_upgrade_replaces_the_process_and_the_control_socket_goes_on(running):
    before = running.guest.ask()
    done = running.upgrade()
    assert done.returncode == 0, done.stderr
    assert running.first.wait() == 0
    assert running.pid != running.first.pid
    assert running.ask("query-status")["status"] == "running"
    assert running.guest.ask()["boot_count"] == before["boot_count"]
    running.guest.check()
    for word in ("STOP", "completed", "moved: ram", "netdev n0"):
        assert word in done.stdout, done.stdout
    pause = re.search(r"^pause: ([0-9.]+) ms", done.stdout, re.MULTILINE)
    assert pause and 0 < float(pause[1]) < 1000


def test_upgrade_again_and_again_loses_no_packet(running):
    pids = [running.first.pid]
    with UdpProbe(running.guest.tap.guest, rate=300) as stream:
        for _ in range(3):
            done = running.upgrade()
            assert done.returncode == 0, done.stderr
            pids.append(running.pid)
    assert len(set(pids)) == 4
    report = stream.report
    assert report["sent"] > 20
    assert (report["lost"], report["duplicated"], report["reordered"]) == (0, 0, 0), report


def test_upgrade_reports_as_json(running):
    old = running.pid
    done = running.upgrade("--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["old-pid"] == old
    assert report["new-pid"] == running.pid
    assert report["state"] == "running"
    assert report["hand-over"]["status"] == "completed"
    assert report["hand-over"]["downtime-ms"] > 0


def test_the_new_process_has_the_command_line_of_the_old_one(running):
    def essential(words):
        return [w for w in words[1:] if not w.startswith(("chardev=", "socket,", "fd:")) and
                w not in ("-chardev", "-mon", "-D", "-incoming", "defer")]

    first = running.ask("query-process")["command-line"]
    assert running.upgrade().returncode == 0
    second = running.ask("query-process")["command-line"]
    assert essential(first) == essential(second)
    assert running.upgrade().returncode == 0
    # It does not grow with each generation.
    assert len(running.ask("query-process")["command-line"]) == len(second)


def test_keep_old_leaves_the_old_process_in_postmigrate(running):
    done = running.upgrade("--keep-old")
    assert done.returncode == 0, done.stderr
    assert running.first.status() == "postmigrate"
    assert running.pid != running.first.pid
    running.first.quit()
    assert running.guest.answers()


def test_upgrade_of_a_paused_guest_keeps_it_paused(running):
    running.ask("stop")
    done = running.upgrade()
    assert done.returncode == 0, done.stderr
    assert running.ask("query-status")["status"] == "paused"
    assert not running.guest.answers()
    running.ask("cont")
    assert running.guest.ask()["boot_count"] == 1


def test_upgrade_to_another_binary(running, directory):
    other = directory / "pagurus-new"
    other.write_bytes(PAGURUS.read_bytes())
    other.chmod(0o755)
    done = running.upgrade("--binary", other)
    assert done.returncode == 0, done.stderr
    assert os.readlink(f"/proc/{running.pid}/exe") == str(other)
    assert running.ask("query-process")["binary"] == str(other)


def test_upgrade_of_a_daemon(guest):
    path, pidfile = guest.directory / "p.qmp", guest.directory / "pid"
    subprocess.run([PAGURUS, *guest.words(), "-qmp", f"unix:{path},server=on,wait=off", "-daemonize", "-pidfile",
                    pidfile, "-D", guest.directory / "log"], check=True, timeout=20)
    guest.wait_until_ready()
    old = int(pidfile.read_text())
    done = ctl("upgrade", path)
    assert done.returncode == 0, done.stderr
    qmp = Qmp(path)
    new = qmp.command("query-process")["pid"]
    assert new != old
    assert int(pidfile.read_text()) == new
    assert guest.ask()["boot_count"] == 1
    assert ended(old)
    qmp.command("quit")
    eventually(lambda: ended(new), 10.0, "the end of the new daemon")
    assert not pidfile.exists() and not path.exists()
    qmp.close()


def script(directory, text):
    path = directory / "false-pagurus"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def fails(running, *arguments):
    """The upgrade fails, and everything is as it was."""
    settings = running.ask("query-migrate-parameters"), running.ask("query-migrate-capabilities")
    done = running.upgrade(*arguments)
    assert done.returncode == 1, done.stdout
    assert running.pid == running.first.pid
    assert running.first.alive()
    assert running.ask("query-status")["status"] == "running"
    assert (running.ask("query-migrate-parameters"), running.ask("query-migrate-capabilities")) == settings
    assert running.guest.ask()["boot_count"] == 1
    assert "the guest is running in the old process" in done.stderr, done.stderr
    return done.stderr


def test_a_binary_that_does_not_exist(running):
    text = fails(running, "--binary", "/nonexistent/pagurus")
    assert "/nonexistent/pagurus" in text and "No such file" in text


def test_a_binary_that_is_not_executable(running):
    text = fails(running, "--binary", "/etc/passwd")
    assert "/etc/passwd" in text and "Permission denied" in text


def test_a_binary_that_is_no_program(running, directory):
    path = directory / "no-program"
    path.write_bytes(b"\x7fELFgarbage")
    path.chmod(0o755)
    assert "cannot start the new process" in fails(running, "--binary", path)


def test_a_binary_that_ends_at_once_with_an_error(running, directory):
    text = fails(running, "--binary", script(directory, "echo no licence >&2; exit 3\n"))
    assert "cannot start the new process" in text
    assert "status 3" in text and "no licence" in text


def test_a_binary_that_hangs(running, directory):
    text = fails(running, "--binary", script(directory, "exec sleep 100\n"), "--timeout", "1.5")
    assert "cannot start the new process" in text


def test_a_binary_that_speaks_no_qmp(running, directory):
    # The control connection is descriptor 3.
    text = fails(running, "--binary", script(directory, "echo hello >&3; sleep 1\n"), "--timeout", "3")
    assert "cannot start the new process" in text


def test_a_binary_with_another_machine(running, directory):
    text = fails(running, "--binary", script(directory, f'exec {PAGURUS} "$@" -S -uuid nonsense\n'))
    assert "nonsense" in text


def test_a_destination_of_another_ram_size_is_refused_by_name(running, directory):
    text = fails(running, "--binary", script(directory, f"""
for a in "$@"; do [ "$a" = 64M ] && a=128M; set -- "$@" "$a"; shift; done
exec {PAGURUS} "$@"
"""))
    assert "the hand-over failed" in text and "RAM size" in text
    # And after that failure the real one works.
    assert running.upgrade().returncode == 0
    assert running.guest.ask()["boot_count"] == 1


def test_upgrade_where_nobody_listens(directory):
    done = ctl("upgrade", directory / "nobody", "--timeout", "1")
    assert done.returncode == 1
    assert f"{directory}/nobody" in done.stderr


def test_status_as_text(running):
    done = ctl("status", running.path)
    assert done.returncode == 0, done.stderr
    for pattern in (r"^state +running$", rf"^process +{running.first.pid}, up ", r"^binary +/.*pagurus$",
                    r"^version +\d", r"^machine +pagurus-1\.2$", r"n0 \(tap\) +can move$"):
        assert re.search(pattern, done.stdout, re.MULTILINE), (pattern, done.stdout)


def test_status_says_why_a_back_end_cannot_move(make_guest):
    guest = make_guest(machine="pagurus-1.0")
    process = guest.launch("-S")
    done = ctl("status", process.qmp_path)
    assert re.search(r"n0 \(tap\) +cannot move: .*backend-transfer is off", done.stdout), done.stdout
    assert re.search(r"^state +prelaunch$", done.stdout, re.MULTILINE)


def test_status_as_json(running):
    done = ctl("status", "--json", running.path)
    status = json.loads(done.stdout)
    assert status["status"] == {"status": "running", "running": True}
    assert status["process"]["pid"] == running.first.pid
    assert status["process"]["machine"] == "pagurus-1.2"
    assert [b["backend-type"] for b in status["backend-transfer-support"]][0] == "tap"


def test_qmp_executes_one_command(running):
    done = ctl("qmp", running.path, "query-status")
    assert json.loads(done.stdout) == {"status": "running", "running": True}
    done = ctl("qmp", running.path, "migrate-set-parameters", '{"downtime-limit": 77}')
    assert done.returncode == 0
    assert running.ask("query-migrate-parameters")["downtime-limit"] == 77
    done = ctl("qmp", running.path, "no-such-command")
    assert done.returncode == 1 and "no-such-command" in done.stderr
    done = ctl("qmp", running.path, "migrate", "{broken")
    assert done.returncode == 2 and done.stderr.startswith("pagurusctl: ")


def test_the_program_lists_its_commands():
    done = ctl("--help")
    assert done.returncode == 0
    for word in ("status", "upgrade", "qmp"):
        assert word in done.stdout
    assert ctl("no-such-command").returncode != 0


@pytest.fixture
def untouched(running):
    """Whatever a check says: the running process does not notice it."""
    process = running.first

    def state():
        return (process.status(), process.qmp.command("query-migrate-parameters"),
                process.qmp.command("query-migrate-capabilities"), process.qmp.command("query-migrate"),
                file_descriptors(process.pid))

    process.qmp.command("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    process.qmp.collect_events()
    before = state()
    yield running
    eventually(lambda: state() == before, 5.0, f"the same state as before, {before}, now {state()},")
    assert process.qmp.collect_events(0.1) == []
    if before[0] == "running":
        running.guest.check()


def test_check_tells_that_the_guest_would_be_taken(untouched):
    done = untouched.upgrade("--check")
    assert done.returncode == 0, done.stderr
    version = untouched.ask("query-process")["version"]
    assert f"would be taken: by {PAGURUS} (version {version}), from version {version}" in done.stdout, done.stdout
    for word in ("would move: ram, ", "netdev n0", f"qmp-listener {untouched.path}"):
        assert word in done.stdout, done.stdout


def test_check_reports_as_json(untouched):
    done = untouched.upgrade("--check", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["would-be-taken"] is True
    assert report["pid"] == untouched.first.pid
    assert "netdev n0" in report["moves"]
    assert report["passed-over"] == []


def test_check_tells_what_the_new_version_does_not_know(guest):
    process = guest.boot(binary=VARIANT)
    done = ctl("upgrade", "--check", process.qmp_path, "--binary", PAGURUS)
    assert done.returncode == 0, done.stderr
    assert "would be passed over: variant-note\n" in done.stdout
    done = ctl("upgrade", "--check", process.qmp_path)
    assert done.returncode == 0, done.stderr
    assert f"by {VARIANT} (version " in done.stdout and "passed over" not in done.stdout


def test_check_of_a_paused_guest(guest):
    process = guest.boot()
    process.qmp.command("stop")
    done = ctl("upgrade", "--check", process.qmp_path)
    assert done.returncode == 0, done.stderr
    assert process.status() == "paused"


def would_not_be_taken(running, *arguments):
    done = running.upgrade("--check", *arguments)
    assert done.returncode == 1, done.stdout
    assert done.stderr.endswith("(nothing was changed)\n"), done.stderr
    return done.stderr


def changed(directory, before, after):
    """A pagurus that takes one word of its command line for another."""
    return script(directory, f"""
for a in "$@"; do [ "$a" = {before} ] && a={after}; set -- "$@" "$a"; shift; done
exec {PAGURUS} "$@"
""")


@pytest.mark.parametrize("before, after, words", [
    ("64M", "128M", "property 'RAM size' differs: the source has '64 MiB', this destination '128 MiB'"),
    ("pagurus-1.2", "pagurus-1.0",
     "property 'machine type' differs: the source has 'pagurus-1.2', this destination 'pagurus-1.0'"),
])
def test_check_refuses_in_the_words_of_the_hand_over(untouched, directory, before, after, words):
    binary = changed(directory, before, after)
    checked = would_not_be_taken(untouched, "--binary", binary)
    assert f"the guest would not be taken: {words}" in checked


def test_check_and_upgrade_refuse_with_the_same_sentence(running, directory):
    binary = changed(directory, "64M", "128M")
    sentence = re.search(r"the guest would not be taken: (.*) \(", would_not_be_taken(running, "--binary", binary))[1]
    assert f"the destination refused: {sentence}" in fails(running, "--binary", binary)


def test_check_tells_what_the_source_would_not_give(make_guest, directory):
    guest = make_guest(serial=f"file:{directory}/console", machine="pagurus-1.1,memory-backend=ram",
                       extra=("-object", "memory-backend-memfd,id=ram,size=64M"))
    process = guest.boot()
    process.qmp.command("migrate-set-capabilities", capabilities=[{"capability": "local-tap", "state": True}])
    done = ctl("upgrade", "--check", process.qmp_path)
    assert done.returncode == 1
    assert "the guest would not be handed over: " in done.stderr and "contradict each other" in done.stderr


def test_check_of_a_binary_that_ends_at_once(untouched, directory):
    text = would_not_be_taken(untouched, "--binary", script(directory, "echo no licence >&2; exit 3\n"))
    assert "cannot start the new process" in text and "status 3" in text and "no licence" in text


def test_check_of_a_binary_that_hangs(untouched, directory):
    text = would_not_be_taken(untouched, "--binary", script(directory, "exec sleep 100\n"), "--timeout", "1.5")
    assert "the new process did not answer in time" in text


def test_check_is_interrupted(untouched, directory):
    with subprocess.Popen([PAGURUSCTL, "upgrade", "--check", untouched.path, "--binary",
                           script(directory, "exec sleep 100\n")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as checking:
        assert "runs the guest" in checking.stdout.readline()
        checking.send_signal(signal.SIGINT)
        _, complaint = checking.communicate(timeout=10)
    assert checking.returncode == 1
    assert "interrupted" in complaint


# A QMP server that knows little.
OLDER = """#!/usr/bin/python3
import json, socket
control = socket.socket(fileno=3)
file = control.makefile("rw")
def say(message):
    file.write(json.dumps(message) + "\\n")
    file.flush()
say({"QMP": {"version": {}, "capabilities": []}})
for line in file:
    request = json.loads(line)
    answers = {"qmp_capabilities": {}, "migrate-set-parameters": {}, "quit": {}, "query-process": {"version": "0.9"}}
    if request["execute"] in answers:
        say({"id": request["id"], "return": answers[request["execute"]]})
    else:
        say({"id": request["id"], "error": {"class": "CommandNotFound", "desc": "no such command"}})
    if request["execute"] == "quit":
        break
"""


def test_check_of_a_binary_that_does_not_know_the_command(untouched, directory):
    path = directory / "older-pagurus"
    path.write_text(OLDER)
    path.chmod(0o755)
    text = would_not_be_taken(untouched, "--binary", path)
    assert "the new process does not know the command 'check-migrate-manifest': only a hand-over would tell" in text


def test_check_keeps_no_old_process(running):
    assert running.upgrade("--check", "--keep-old").returncode == 2


def test_the_manifest_follows_the_parameter_unless_told_otherwise(shared):
    qmp = shared.vmms[0].qmp
    manifest = qmp.command("query-migrate-manifest")
    assert manifest["backend-transfer"] is False
    manifest = qmp.command("query-migrate-manifest", backend_transfer=["virtio-net-tap"])
    assert (manifest["backend-transfer"], manifest["targets"]) == (True, ["virtio-net-tap"])
    assert {"name": "RAM size", "value": "64 MiB"} in manifest["facts"]
    sections = {section["name"]: section for section in manifest["sections"]}
    assert sections["serial0"]["signature"].startswith("uart-16550/") and sections["serial0"]["required"]


def test_only_a_process_that_waits_checks_a_manifest(shared):
    qmp = shared.vmms[0].qmp
    manifest = qmp.command("query-migrate-manifest")
    with pytest.raises(QmpError, match="does not wait for a guest"):
        qmp.command("check-migrate-manifest", manifest=manifest)
    waiting = shared.destination()
    try:
        with pytest.raises(QmpError, match="'backend-transfer' is set on the destination but not on the source"):
            waiting.qmp.command("check-migrate-manifest", manifest=manifest)
        manifest = qmp.command("query-migrate-manifest", backend_transfer=True)
        manifest["sections"][0]["signature"] = "other/1{}"
        with pytest.raises(QmpError, match="state section '.*' differs: the source has 'other/1{}'"):
            waiting.qmp.command("check-migrate-manifest", manifest=manifest)
        with pytest.raises(QmpError):
            waiting.qmp.command("query-migrate-manifest")
    finally:
        shared.vmms.remove(waiting)
        waiting.quit()
