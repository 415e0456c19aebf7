"""Clients of all manners at once: out-of-band commands, floods, slow and dead clients.  The guest and the other
clients notice nothing of them."""

import functools
import json
import os
import random
import signal
import subprocess
import threading
import time

import pytest

import network
from guest import migration, prepare, settled
from qmp import Qmp, RawSession
from vmm import PAGURUS, eventually, private_kib

pytestmark = pytest.mark.probe


@pytest.fixture
def connect(nothing_left):
    """Connects clients that hang up with the test."""
    sessions = []

    def make(process):
        sessions.append(RawSession(process.qmp_path))
        return sessions[-1]

    yield make
    for session in sessions:
        session.close()


def command(name, identity=None, key="execute", **arguments):
    request = {key: name}
    if arguments:
        request["arguments"] = arguments
    if identity is not None:
        request["id"] = identity
    return json.dumps(request)


@functools.cache
def sanitized():
    """The program's allocator keeps what is freed, to find later uses."""
    program = PAGURUS.read_bytes()
    return b"__asan_init" in program or b"__tsan_init" in program


def check_growth(process, before, kib):
    """The process's own memory has grown by less than that."""
    assert sanitized() or private_kib(process.pid) - before < kib


class BusyDestination:
    """A destination whose control thread waits for a network script, in the middle of a hand-over."""

    def __init__(self, guest):
        self.guest = guest
        self.pipe = guest.directory / "release"
        os.mkfifo(self.pipe)
        script = guest.directory / "slow-up"
        script.write_text(f"#!/bin/sh\nexec <> {self.pipe}\necho begun > {guest.directory}/begun\nread line\n")
        script.chmod(0o755)
        guest.options["device"] += ",backend-transfer=off"
        self.source = guest.boot()
        tap = network.Tap()
        guest.taps.append(tap)
        self.process = guest.destination(netdev=f"tap,id=n0,ifname={tap.name},script={script},downscript=no")
        self.uri = f"unix:{guest.directory}/busy.mig"
        prepare(self.source)
        self.process.qmp.command("migrate-incoming", uri=self.uri)

    def make_busy(self):
        self.source.qmp.command("migrate", uri=self.uri)
        eventually((self.guest.directory / "begun").exists, 10.0, "the network script")

    def release(self):
        try:
            pipe = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return  # nobody waits there
        os.write(pipe, b"go\n")
        os.close(pipe)


@pytest.fixture
def busy(guest):
    destination = BusyDestination(guest)
    yield destination
    destination.release()


def test_out_of_band_commands_overtake_a_blocked_one(busy, connect):
    session = connect(busy.process).negotiate("oob")
    other = connect(busy.process).negotiate("oob")
    busy.make_busy()
    session.send(command("query-status", 1))
    assert session.ask(command("query-version", 2, key="exec-oob"))["id"] == 2
    answer = session.ask(command("query-process", 3, key="exec-oob"))
    assert answer["id"] == 3 and answer["return"]["pid"] == busy.process.pid
    assert other.ask(command("query-version", 4, key="exec-oob"))["id"] == 4
    # Errors of the protocol need no control thread either.
    assert other.ask(command("stop", 5, key="exec-oob"))["error"]["class"] == "GenericError"
    assert session.unanswered(0.3)
    busy.release()
    answer = session.answer()
    assert answer["id"] == 1 and answer["return"]["status"] in ("inmigrate", "running")
    assert settled(busy.source)["status"] == "completed"


def test_a_hand_over_is_cancelled_out_of_band(busy, connect):
    session = connect(busy.source).negotiate("oob")
    busy.make_busy()
    assert session.ask(command("migrate_cancel", key="exec-oob")) == {"return": {}}
    assert settled(busy.source)["status"] == "cancelled"
    assert busy.guest.ask()["boot_count"] == 1
    busy.release()
    assert busy.process.wait() == 1


def test_without_the_capability_nothing_overtakes(busy, connect):
    session = connect(busy.process).negotiate()
    answer = session.ask(command("query-version", key="exec-oob"))
    assert answer["error"]["class"] == "GenericError" and "'oob'" in answer["error"]["desc"]
    busy.make_busy()
    session.send(command("query-status", 1) + command("query-version", 2, key="exec-oob"))
    assert session.unanswered(0.3)
    busy.release()
    assert session.answer()["id"] == 1
    answer = session.answer()
    assert answer["id"] == 2 and "'oob'" in answer["error"]["desc"]


def test_at_most_eight_commands_wait_while_the_machine_is_busy(busy, connect):
    session = connect(busy.process).negotiate("oob")
    busy.make_busy()
    session.send("".join(command("query-status", number) for number in range(8)))
    session.send(command("query-version", "late", key="exec-oob"))
    assert session.unanswered(0.3)
    busy.release()
    assert [session.answer()["id"] for _ in range(9)].index("late") > 0


def test_clients_that_die_while_the_machine_is_busy_cost_nothing(busy, connect):
    dead = [connect(busy.process).negotiate() for _ in range(10)]
    busy.make_busy()
    for session in dead:
        session.send("".join(command("query-status", number) for number in range(20)))
        session.close()
    busy.release()
    assert settled(busy.source)["status"] == "completed"
    assert Qmp(busy.process.qmp_path).command("query-status")["status"] == "running"


@pytest.mark.parametrize("arguments, words", [
    ({"enable": ["fake"]}, "Parameter 'enable[0]' does not accept value 'fake'"),
    ({"enable": ["oob", "fake"]}, "'fake'"),
    ({"enable": "oob"}, "expected: array"),
    ({"enable": [None]}, "expected: string"),
    ({"enabled": []}, "Parameter 'enabled' is unexpected"),
])
def test_a_refused_handshake_changes_nothing_and_can_be_repeated(shared, connect, arguments, words):
    session = connect(shared.vmms[0])
    answer = session.ask(json.dumps({"execute": "qmp_capabilities", "arguments": arguments, "id": 7}))
    assert answer["id"] == 7 and words in answer["error"]["desc"]
    assert session.ask(command("query-status"))["error"]["class"] == "CommandNotFound"
    session.negotiate()
    assert "error" in session.ask(command("query-version", key="exec-oob"))
    assert session.ask(command("qmp_capabilities"))["error"]["class"] == "CommandNotFound"


@pytest.mark.parametrize("text", [b"}", b"[1]", b'{"execute": }', b"\xff\xfe", b'{"execute": "a", "execute": "b"}', b"5"])
def test_malformed_input_before_the_handshake_is_survived(shared, connect, text):
    session = connect(shared.vmms[0])
    assert session.ask(text)["error"]["class"] == "GenericError"
    session.send(command("qmp_capabilities", "go"))
    eventually(lambda: session.read() == {"return": {}, "id": "go"}, 5.0, "the handshake after malformed input")


def test_lines_end_with_cr_and_lf_and_may_come_so(shared, connect):
    session = connect(shared.vmms[0])
    session.send(command("qmp_capabilities") + "\r\n" + command("query-version", 1) + "\r\n")
    assert session.read_line() == b'{"return": {}}\r\n'
    assert session.read_line().endswith(b'"id": 1}\r\n')


def test_every_socket_has_sessions_of_its_own(guest):
    second, third = guest.directory / "second", guest.directory / "third"
    process = guest.launch("-S", "-qmp", f"unix:{second},server=on,wait=off",
                           "-chardev", f"socket,id=c,path={third},server=on,wait=off", "-mon", "chardev=c,mode=control")
    sessions = [RawSession(path) for path in (process.qmp_path, second, third, second)]
    sessions[0].negotiate()
    sessions[1].negotiate("oob")
    for number, session in enumerate(sessions[:2]):
        session.send(command("query-status", number))
    assert "error" in sessions[2].ask(command("query-status"))
    assert [session.answer()["id"] for session in sessions[:2]] == [0, 1]
    assert "return" in sessions[1].ask(command("query-version", key="exec-oob"))
    assert "error" in sessions[0].ask(command("query-version", key="exec-oob"))
    # The last one has never said anything.
    for session in sessions[2:]:
        session.negotiate()
    sessions[2].send(command("cont"))
    assert {session.read().get("event") for session in sessions} == {"RESUME"}
    for session in sessions:
        session.close()


def pipeline(session, count):
    """Sends so many commands without waiting, and reads the answers, in order."""
    writer = threading.Thread(target=lambda: session.send(
        "".join(command("query-status", number) + "\n" for number in range(count))))
    writer.start()
    for number in range(count):
        answer = session.answer()
        assert answer["id"] == number and answer["return"]["status"] == "running"
    writer.join()


def test_ten_thousand_pipelined_commands_are_answered_in_order(shared, connect):
    session = connect(shared.vmms[0]).negotiate()
    # What a busy session needs once, the allocator keeps: on a loaded machine more waits at a time.
    pipeline(session, 10_000)
    before = private_kib(shared.vmms[0].pid)
    pipeline(session, 10_000)
    check_growth(shared.vmms[0], before, 2048)


def test_sixty_four_clients_are_served_at_once(shared, connect):
    sessions = [connect(shared.vmms[0]).negotiate("oob") for _ in range(64)]
    for number, session in enumerate(sessions):
        session.send("".join(command("query-status", [number, each]) for each in range(50)))
    for number, session in enumerate(sessions):
        assert [session.answer()["id"] for _ in range(50)] == [[number, each] for each in range(50)]
    shared.vmms[0].qmp.collect_events()
    shared.vmms[0].qmp.command("system_powerdown")
    for session in sessions:
        assert session.read()["event"] == "POWERDOWN"
    assert shared.answers()


def test_what_was_sent_before_the_end_of_the_stream_is_answered(shared, connect):
    session = connect(shared.vmms[0])
    session.send(command("qmp_capabilities") + command("query-status", 1) + command("query-version", 2))
    session.socket.shutdown(1)
    assert session.answer() == {"return": {}}
    assert [session.answer()["id"] for _ in range(2)] == [1, 2]
    assert session.read_line() == b""


def flood_with_events(process, until):
    """Presses the power button, of which the probe guest takes no notice, again and again."""
    flooder = RawSession(process.qmp_path).negotiate()
    for number in range(400):
        flooder.send(command("system_powerdown") * 100)
        answers = 0
        while answers < 100:
            answers += "return" in flooder.read()
        if until():
            break
    else:
        pytest.fail("a slow client was never cut off")
    flooder.close()
    return number * 100


def test_slow_clients_are_cut_off_and_the_others_told(shared, connect):
    process = shared.vmms[0]
    slow = [connect(process).negotiate() for _ in range(4)]
    watcher = Qmp(process.qmp_path)
    boot_count = shared.ask()["boot_count"]
    before = private_kib(process.pid)
    told = []

    def cut_off():
        told.extend(event for event in watcher.collect_events() if event["event"] == "MONITOR_DISCONNECTED")
        return told

    flood_with_events(process, cut_off)
    assert told[0]["data"] == {"reason": "slow"}
    # All four in a moment: the first is told at once and the last of them a second later.
    told.append(watcher.wait_event("MONITOR_DISCONNECTED", 3.0))
    assert len(told) == 2
    assert "MONITOR_DISCONNECTED" not in {event["event"] for event in watcher.collect_events(1.2)}
    for session in slow:
        # What the kernel had taken is still there, and then comes the end.
        while session.socket.recv(1 << 20):
            pass
    # Four queues of 1 MiB and what they grew by.
    check_growth(process, before, 6 * 1024)
    assert shared.ask()["boot_count"] == boot_count
    assert watcher.command("query-status")["status"] == "running"
    watcher.close()


def test_time_stamps_are_those_of_the_moment(shared):
    qmp = Qmp(shared.vmms[0].qmp_path)
    began = time.time()
    for _ in range(3):
        qmp.command("stop")
        qmp.command("cont")
    events = [event for event in qmp.collect_events() if event["event"] in ("STOP", "RESUME")]
    assert [event["event"] for event in events] == ["STOP", "RESUME"] * 3
    times = [event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6 for event in events]
    assert times == sorted(times)
    assert began - 0.001 < times[0] and times[-1] < time.time() + 0.001
    qmp.close()


@pytest.mark.parametrize("attempt", range(5))
def test_nothing_is_started_after_quit(guest, connect, attempt):
    process = guest.launch("-S")
    watcher = connect(process).negotiate()
    session = connect(process).negotiate()
    session.send(command("quit", 1) + command("cont", 2) + command("system_reset", 3) + command("query-status", 4))
    answers = {}
    while line := session.read_line():
        message = json.loads(line)
        answers[message.get("id")] = message
    assert answers[1] == {"return": {}, "id": 1}
    for number in (2, 3):
        assert "ending" in answers.get(number, {"error": {"desc": "ending"}})["error"]["desc"]
    assert answers.get(4, {"return": {"status": "shutdown"}})["return"]["status"] == "shutdown"
    assert process.wait() == 0
    assert watcher.read()["event"] == "SHUTDOWN"
    assert watcher.read_line() == b""


def test_nothing_is_handed_over_after_quit(guest, connect):
    source = guest.boot()
    destination = guest.destination()
    uri = f"unix:{guest.directory}/late.mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    prepare(source)
    connect(source).negotiate().send(command("quit") + command("migrate", uri=uri))
    assert source.wait() == 0
    assert destination.status() == "inmigrate"


@pytest.mark.parametrize("attempt", range(8))
def test_quit_at_any_moment_of_a_hand_over_loses_no_guest_that_was_given(guest, connect, attempt):
    source = guest.boot()
    destination = guest.destination()
    uri = f"unix:{guest.directory}/any.mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    prepare(source)
    starter, ender = (connect(source).negotiate() for _ in range(2))
    starter.send(command("migrate", uri=uri))
    time.sleep(random.Random(attempt).uniform(0, 0.012))
    ender.send(command("quit"))
    assert source.wait() == 0
    # The guest has come over, or the destination knows that it will not: it waits on, or ends if it had begun.
    status = eventually(lambda: status_if_decided(destination), 10.0, "a decision")
    if status == "running":
        assert guest.ask()["boot_count"] == 1
    else:
        assert status in ("inmigrate", "ended")
        assert not guest.answers(0.3)


@pytest.mark.parametrize("attempt", range(4))
def test_quit_together_with_the_destinations_readiness_has_one_outcome(busy, connect, attempt):
    """Both wait for the source when it wakes: it gives the guest away, or it ends with it."""
    ender = connect(busy.source).negotiate()
    watcher = connect(busy.process).negotiate()
    busy.make_busy()
    busy.source.process.send_signal(signal.SIGSTOP)
    busy.release()
    # Answered after the script, so READY is on its way by then.
    assert watcher.ask(command("query-status"))["return"]["status"] == "inmigrate"
    ender.send(command("quit"))
    busy.source.process.send_signal(signal.SIGCONT)
    assert busy.source.wait() == 0
    status = eventually(lambda: status_if_decided(busy.process), 10.0, "a decision")
    assert status in ("running", "ended")


def status_if_decided(destination):
    try:
        if migration(destination)["status"] == "active":
            return None
        return destination.status()
    except (ConnectionError, BrokenPipeError):
        destination.wait()
        return "ended"


def test_commands_from_a_pipe_are_executed_to_the_last(guest):
    text = command("qmp_capabilities") + command("query-status", 1) + command("quit", 2)
    done = subprocess.run([PAGURUS, *guest.words(), "-S", "-qmp", "stdio"], input=text, capture_output=True, text=True,
                          timeout=20, check=False)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert "QMP" in messages[0]
    assert [message.get("id") for message in messages if "return" in message] == [None, 1, 2]
