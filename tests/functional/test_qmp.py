"""The control protocol from outside: sessions, errors, events, and how the process ends."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from guest import MAC
from qmp import Qmp, QmpError, RawSession
from vmm import PAGURUS, ended, eventually

pytestmark = pytest.mark.probe


@pytest.fixture
def raw(shared):
    session = RawSession(shared.vmms[0].qmp_path)
    yield session
    session.close()


def error_of(answer):
    return answer["error"]["class"], answer["error"]["desc"]


def test_the_greeting_names_version_and_capabilities(raw):
    qmp = raw.greeting["QMP"]
    assert set(qmp["version"]["qemu"]) == {"major", "minor", "micro"}
    assert qmp["version"]["package"].startswith("pagurus-")
    assert qmp["capabilities"] == ["oob"]


def test_nothing_but_negotiation_is_taken_before_negotiation(raw):
    error_class, desc = error_of(raw.ask('{"execute": "query-status"}'))
    assert error_class == "CommandNotFound"
    assert "qmp_capabilities" in desc
    raw.negotiate()
    assert raw.ask('{"execute": "query-status"}')["return"]["status"] == "running"
    assert error_of(raw.ask('{"execute": "qmp_capabilities"}'))[0] == "CommandNotFound"


@pytest.mark.parametrize("identity", [1, "a", None, {"deep": [1, {"x": -2.5}]}])
def test_the_id_comes_back_as_it_was(raw, identity):
    raw.negotiate()
    for command in ("query-status", "no-such-command"):
        answer = raw.ask(json.dumps({"execute": command, "id": identity}))
        assert answer["id"] == identity


def test_error_classes(raw):
    raw.negotiate()
    assert error_of(raw.ask('{"execute": "migrate", "arguments": {"uri": "tcp:1:2"}}'))[0] == "GenericError"
    assert error_of(raw.ask('{"execute": "no-such"}')) == ("CommandNotFound", "The command no-such has not been found")
    error_class, desc = error_of(raw.ask('{"execute": "set_link", "arguments": {"name": "nobody", "up": true}}'))
    assert error_class == "DeviceNotFound"
    assert "nobody" in desc


@pytest.mark.parametrize("text", [
    "}", "{]", '{"execute": }', '{"execute": "query-status",}', "nonsense\n", "[1, 2\n}", '{"a": "\x01"}', '{"a": 1e}',
    "\xff\xfe\n",
])
def test_malformed_json_is_an_error_and_the_session_goes_on(raw, text):
    raw.negotiate()
    error_class, desc = error_of(raw.ask(text.encode("latin-1")))
    assert error_class == "GenericError"
    assert desc
    # Some errors take more than one answer; the one with the id is the right one.
    raw.socket.sendall(b'\n{"execute": "query-status", "id": "after"}')
    eventually(lambda: raw.read().get("id") == "after", 5.0, "the answer after malformed input")


def test_deeply_nested_json_is_refused(raw):
    raw.negotiate()
    raw.socket.sendall(b"[" * 5000)
    assert error_of(raw.read())[0] == "GenericError"


@pytest.mark.parametrize("request_text, words", [
    ('{"execute": "query-status", "arguments": {"x": 1}}', "Parameter 'x' is unexpected"),
    ('{"execute": "query-status", "bogus": 1}', "'bogus' is unexpected"),
    ('{"execute": "migrate"}', "Parameter 'uri' is missing"),
    ('{"execute": "migrate", "arguments": {"uri": 5}}', "expected: string"),
    ('{"execute": "migrate", "arguments": []}', "must be an object"),
    ('{"execute": 5}', "must be a string"),
    ('{"arguments": {}}', "lacks member 'execute'"),
    ("[]", "must be a JSON object"),
    ('{"execute": "stop", "execute": "cont"}', "execute"),
    ('{"execute": "migrate", "arguments": {"uri": "unix:/a", "uri": "unix:/b"}}', "uri"),
    ('{"execute": "migrate-set-parameters", "arguments": {"no-such": 1}}', "'no-such' is unexpected"),
    ('{"execute": "migrate-set-parameters", "arguments": {"downtime-limit": 0}}', "downtime-limit"),
    ('{"execute": "migrate-set-parameters", "arguments": {"downtime-limit": -1}}', "downtime-limit"),
    ('{"execute": "migrate-set-parameters", "arguments": {"backend-transfer": "on"}}', "boolean"),
    ('{"execute": "migrate-set-capabilities", "arguments": {"capabilities": [{"capability": "xbzrle", "state": true}]}}',
     "xbzrle"),
    ('{"execute": "getfd", "arguments": {"fdname": "x"}}', "SCM_RIGHTS"),
    ('{"execute": "closefd", "arguments": {"fdname": "x"}}', "'x' has not been found"),
])
def test_a_wrong_request_is_refused_with_a_sentence(raw, request_text, words):
    raw.negotiate()
    answer = raw.ask(request_text)
    assert "error" in answer, answer
    assert words in answer["error"]["desc"]
    assert raw.ask('{"execute": "query-status"}')["return"]["status"] == "running"


def test_several_clients_are_served_at_once(shared):
    sessions = [RawSession(shared.vmms[0].qmp_path).negotiate() for _ in range(5)]
    for number, session in enumerate(sessions):
        assert session.ask(json.dumps({"execute": "query-status", "id": number}))["id"] == number
    # Half a command of one does not keep the others waiting.
    sessions[0].socket.sendall(b'{"execute": "query-')
    assert "return" in sessions[1].ask('{"execute": "query-version"}')
    assert "return" in sessions[0].ask('status"}')
    for session in sessions:
        session.close()
    assert "return" in RawSession(shared.vmms[0].qmp_path).negotiate().ask('{"execute": "query-version"}')


def test_a_client_beyond_the_limit_is_turned_away(shared):
    sessions = []
    for _ in range(127):
        sessions.append(RawSession(shared.vmms[0].qmp_path))
    late = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    late.settimeout(5)
    late.connect(str(shared.vmms[0].qmp_path))
    assert late.recv(1000) == b""
    late.close()
    for session in sessions:
        session.close()
    assert shared.vmms[0].status() == "running"


def test_queries_tell_what_was_given(guest):
    uuid = "01234567-89AB-cdef-0123-456789abcdef"
    process = guest.launch("-S", "-name", "hermit", "-uuid", uuid, smp="2")
    qmp = process.qmp
    assert qmp.command("query-name") == {"name": "hermit"}
    assert qmp.command("query-uuid") == {"UUID": uuid.lower()}
    assert qmp.command("query-status") == {"status": "prelaunch", "running": False}
    assert len(qmp.command("query-cpus-fast")) == 2
    assert qmp.command("query-migrate-parameters") == {
        "backend-transfer": False, "downtime-limit": 300, "max-bandwidth": 128 << 20, "hello-timeout": 5000,
        "prepare-timeout": 60000, "stall-timeout": 60000}
    assert qmp.command("query-migrate-capabilities") == [
        {"capability": name, "state": False}
        for name in ("events", "local-tap", "pause-before-switchover", "return-path")]
    about = qmp.command("query-process")
    assert about["pid"] == process.pid
    assert about["command-line"][1:] == [str(word) for word in process.process.args[1:]]
    (nic,) = [b for b in qmp.command("query-backend-transfer-support") if b["backend"] == "n0"]
    assert nic["supported"] is True and nic["backend-type"] == "tap"
    names = {entry["name"] for entry in qmp.command("query-commands")}
    assert {"qmp_capabilities", "query-commands", "migrate", "quit"} <= names


def test_stop_and_cont_do_what_they_say_and_tell_it(guest):
    process = guest.boot()
    process.qmp.collect_events()
    process.qmp.command("stop")
    assert process.status() == "paused"
    process.qmp.wait_event("STOP")
    assert not guest.answers()
    process.qmp.command("stop")
    process.qmp.command("cont")
    process.qmp.wait_event("RESUME")
    assert process.status() == "running"
    process.qmp.command("cont")
    assert guest.ask()["boot_count"] == 1
    assert [e["event"] for e in process.qmp.collect_events(0.1)] == []


def test_events_reach_every_client_that_has_negotiated(guest):
    process = guest.boot()
    other = Qmp(process.qmp_path)
    silent = RawSession(process.qmp_path)
    process.qmp.command("stop")
    process.qmp.wait_event("STOP")
    other.wait_event("STOP")
    # This one has not negotiated; its next message is the answer, and no event.
    silent.socket.sendall(b'{"execute": "qmp_capabilities"}')
    assert silent.read() == {"return": {}}
    other.close()
    silent.close()


def test_system_reset_boots_the_guest_again(guest):
    process = guest.boot()
    process.qmp.command("system_reset")
    reset = process.qmp.wait_event("RESET")
    assert reset["data"] == {"guest": False, "reason": "host-qmp-system-reset"}
    eventually(lambda: guest.wait_until_ready()["boot_count"] == 2, 30.0, "the second boot")


def test_system_reset_of_a_paused_guest_leaves_it_paused(guest):
    process = guest.boot()
    process.qmp.command("stop")
    process.qmp.command("system_reset")
    assert process.status() == "paused"
    process.qmp.command("cont")
    eventually(lambda: guest.wait_until_ready()["boot_count"] == 2, 30.0, "the second boot")


def test_system_powerdown_is_told(shared):
    shared.vmms[0].qmp.command("system_powerdown")
    shared.vmms[0].qmp.wait_event("POWERDOWN")
    assert shared.answers()


def test_power_off_by_the_guest_ends_the_process_with_0(guest):
    process = guest.boot()
    guest.ask("poweroff")
    shutdown = process.qmp.wait_event("SHUTDOWN")
    assert shutdown["data"] == {"guest": True, "reason": "guest-shutdown"}
    assert process.wait() == 0


def test_no_reboot_turns_the_guests_reset_into_the_end(guest):
    process = guest.boot("-no-reboot")
    guest.ask("reset")
    assert process.qmp.wait_event("SHUTDOWN")["data"] == {"guest": True, "reason": "guest-reset"}
    assert process.wait() == 0


def test_quit_leaves_nothing_behind(guest):
    pidfile = guest.directory / "pid"
    process = guest.boot("-pidfile", pidfile)
    assert int(pidfile.read_text()) == process.pid
    process.qmp.command("quit")
    assert process.qmp.wait_event("SHUTDOWN")["data"] == {"guest": False, "reason": "host-qmp-quit"}
    assert process.wait() == 0
    assert not pidfile.exists()
    assert not process.qmp_path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_process_cleanly(guest, number):
    process = guest.boot("-pidfile", guest.directory / "pid")
    process.process.send_signal(number)
    assert process.qmp.wait_event("SHUTDOWN")["data"]["reason"] == "host-signal"
    assert process.wait() == 0, process.stderr()
    assert not process.qmp_path.exists()
    assert not (guest.directory / "pid").exists()


def test_the_pidfile_follows_the_guest(guest):
    from guest import hand_over

    pidfile = guest.directory / "pid"
    source = guest.boot("-pidfile", pidfile)
    destination = guest.destination("-pidfile", pidfile)
    assert int(pidfile.read_text()) == source.pid
    hand_over(source, destination)
    eventually(lambda: int(pidfile.read_text()) == destination.pid, 5.0, "the new process's id in the pid file")
    source.quit()
    assert int(pidfile.read_text()) == destination.pid
    destination.quit()
    assert not pidfile.exists()


def daemon(guest, *more):
    """Starts a guest in the background; returns its QMP path and process id."""
    path = guest.directory / "daemon.qmp"
    pidfile = guest.directory / "daemon.pid"
    done = subprocess.run([PAGURUS, *guest.words(), "-qmp", f"unix:{path},server=on,wait=off", "-daemonize",
                           "-pidfile", pidfile, *more], capture_output=True, text=True, timeout=20, check=False)
    return done, path, pidfile


def test_daemonize_returns_when_the_machine_is_up(guest):
    done, path, pidfile = daemon(guest)
    assert done.returncode == 0, done.stderr
    pid = int(pidfile.read_text())
    qmp = Qmp(path)
    assert qmp.command("query-process")["pid"] == pid
    assert os.getsid(pid) == pid
    guest.wait_until_ready()
    qmp.command("quit")
    eventually(lambda: ended(pid), 10.0, "the end of the daemon")
    assert not pidfile.exists()
    qmp.close()


def test_daemonize_reports_an_error_to_the_caller(guest):
    guest.options["netdev"] = "tap,id=n0,ifname=nosuchtap,script=no,downscript=no"
    done, path, pidfile = daemon(guest)
    assert done.returncode == 1
    assert "nosuchtap" in done.stderr
    assert not path.exists() and not pidfile.exists()


def test_daemonize_with_a_log_file_that_cannot_be_opened_starts_nothing(guest):
    done, path, pidfile = daemon(guest, "-D", "/nonexistent/log")
    assert done.returncode == 1
    assert "-D: cannot open '/nonexistent/log'" in done.stderr
    assert not path.exists() and not pidfile.exists()


def run_pagurus(*arguments):
    return subprocess.run([PAGURUS, *arguments], capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("machine", ["pagurus-1.0", "pagurus-1.1", "pagurus-1.2"])
def test_dump_vmstate_is_json_that_names_the_declarations(machine):
    done = run_pagurus("-machine", machine, "-dump-vmstate")
    assert done.returncode == 0, done.stderr
    dump = json.loads(done.stdout)
    assert dump["machine-type"] == machine
    declarations = {entry["name"]: entry for entry in dump["declarations"]}
    assert len(declarations) == len(dump["declarations"])
    assert {"tap", "machine", "vcpus", "vm"} <= set(declarations)
    tap = {field["name"]: field["type"] for field in declarations["tap"]["fields"]}
    assert tap["fd"] == "fd" and tap["ifname"] == "string"
    off = {(c["driver"], c["property"]) for c in dump["compat-properties"] if c["value"] is False}
    assert (("virtio-net-pci", "backend-transfer") in off) == (machine == "pagurus-1.0")


def test_help_mentions_every_option():
    done = run_pagurus("--help")
    assert done.returncode == 0
    options = set(re.findall(r"^  -([a-zA-Z-]+)", done.stdout, re.MULTILINE))
    for name in ("machine cpu smp m kernel initrd append netdev device chardev serial qmp mon incoming S daemonize "
                 "pidfile D name uuid no-reboot object dump-vmstate version help").split():
        assert name in options
    for word in ("-machine", "-device", "-netdev", "-cpu", "-chardev"):
        listing = run_pagurus(word, "help")
        assert listing.returncode == 0 and listing.stdout, word
    assert "backend-transfer" in run_pagurus("-device", "virtio-net-pci,help").stdout


def test_a_qmp_path_in_use_is_refused_and_the_owner_keeps_it(shared):
    path = shared.vmms[0].qmp_path
    done = run_pagurus(*shared.words(netdev="tap,id=n0,ifname=nosuch", device=f"virtio-net-pci,netdev=n0,mac={MAC}"),
                       "-qmp", f"unix:{path},server=on,wait=off")
    assert done.returncode == 1
    assert path.is_socket()
    assert Qmp(path).command("query-process")["pid"] == shared.vmms[0].pid


def test_qmp_on_standard_input_and_output(guest):
    with subprocess.Popen([PAGURUS, *guest.words(), "-S", "-qmp", "stdio"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        assert "QMP" in json.loads(process.stdout.readline())
        process.stdin.write('{"execute": "qmp_capabilities"}{"execute": "quit", "id": 1}')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"return": {}}
        assert json.loads(process.stdout.readline())["id"] == 1
        assert process.wait(10) == 0


def test_qmp_errors_carry_class_and_sentence(shared):
    with pytest.raises(QmpError) as error:
        shared.vmms[0].qmp.command("migrate", uri="fd:3")
    assert error.value.error_class == "GenericError"
