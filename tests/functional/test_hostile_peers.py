"""Peers that stop in the middle, say nothing more, send without end, or are somebody else.

Whatever they do takes bounded time and memory: a destination waits on or ends with a sentence, and a source keeps its
guest.
"""

import contextlib
import os
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

import peer
from false_destination import FalseDestination, held_by
from false_source import RAM_SIZE, ends_with_a_sentence, ownership_word, send_prepare, waits_on
from guest import give, prepare, settled
from peer import OwnershipWord, Peer, frame
from qmp import QmpError
from relay import Relay
from test_copy import FalseTcpDestination, free_port, waiting
from vmm import eventually, peak_memory, sanitized

pytestmark = pytest.mark.probe

MIB = 1 << 20


@pytest.fixture
def source(shared):
    """The shared guest's process, which must have it afterwards as before, and patience as by default."""
    process = shared.vmms[0]
    before = process.qmp.command("query-migrate-parameters")
    files = held_by(process)
    yield process
    limits = ("hello-timeout", "prepare-timeout", "stall-timeout", "downtime-limit", "backend-transfer")
    process.qmp.command("migrate-set-parameters", **{name: before[name] for name in limits})
    assert process.status() == "running"
    assert shared.ask()["boot_count"] == 1
    shared.check()
    eventually(lambda: held_by(process) == files, 5.0, "the same descriptors as before")


def positions(data, ends=(), count=40):
    """Where to cut: spread over all of it, at the ends of its parts and before them, around the header, at the end."""
    spread = {len(data) * i // count for i in range(count)}
    near = {end + step for end in ends for step in (-1, 0)}
    return sorted(at for at in spread | near | {1, 23, 24, 25, len(data) - 1} if 0 <= at < len(data))


# --- Cut, and closed ------------------------------------------------------------------------------

def test_a_hello_is_cut_at_every_byte(shared_waiting, module_directory, shared_recording):
    files = held_by(shared_waiting)
    hello = frame(peer.HELLO, shared_recording[0])
    for size in range(len(hello)):
        false = Peer.connect(module_directory / "waiting")
        false.send(hello[:size])
        false.socket.shutdown(socket.SHUT_WR)
        answer = false.receive()
        assert answer.kind == peer.REFUSED and "closed the channel" in answer.reason(), size
        false.close()
    waits_on(shared_waiting, "closed the channel")
    eventually(lambda: held_by(shared_waiting) == files, 5.0, "the same descriptors as before")


def ends_of_sections(kind, body):
    """In the frame."""
    return [peer.HEADER.size + section.end for section in peer.sections_of(kind, body)]


@pytest.mark.parametrize("how", ["the bytes end", "the message is shorter"])
def test_a_prepare_is_cut_anywhere(shared_waiting, module_directory, shared_recording, how):
    files = held_by(shared_waiting)
    hello, prepared = shared_recording
    whole = frame(peer.PREPARE, prepared, fds=2)
    with contextlib.ExitStack() as stack:
        fds = [peer.sealed_memfd(RAM_SIZE), ownership_word()]
        for fd in fds:
            stack.callback(os.close, fd)
        for size in positions(whole, ends_of_sections(peer.PREPARE, prepared)):
            if how != "the bytes end" and size < peer.HEADER.size:
                continue
            false = Peer.connect(module_directory / "waiting")
            false.send(frame(peer.HELLO, hello))
            assert false.receive().kind == peer.WELCOME
            if how == "the bytes end":
                false.send(whole[:size], fds if size > 0 else [])
                false.socket.shutdown(socket.SHUT_WR)
            else:
                false.send(frame(peer.PREPARE, prepared[:size - peer.HEADER.size], fds=2), fds)
            answer = false.receive()
            assert answer.kind == peer.REFUSED and answer.reason(), size
            false.close()
        waits_on(shared_waiting)
        eventually(lambda: held_by(shared_waiting) == files, 5.0, "the same descriptors as before")
        assert OwnershipWord(fds[1]).value == peer.OWNED_BY_SOURCE


@pytest.mark.parametrize("how", ["the bytes end", "the message is shorter"])
def test_a_state_is_cut_anywhere(shared, source, how):
    """In its pause the guest is nowhere but here, each time."""
    source.qmp.command("migrate-set-parameters", downtime_limit=20000)
    cuts = None
    while cuts is None or cuts:
        destination = shared.destination()
        relay = Relay(shared, source, destination)
        relay.welcome()
        word = None

        def keep_word(message):
            nonlocal word
            word = OwnershipWord(message.fds[1])
            return frame(message.kind, message.body, fds=2), message.fds

        relay.pass_on(relay.source, relay.destination, keep_word)
        assert relay.pass_on(relay.destination, relay.source) == peer.READY
        state = relay.source.receive()
        assert state.kind == peer.STATE
        whole = frame(peer.STATE, state.body, fds=len(state.fds))
        if cuts is None:
            cuts = positions(whole, ends_of_sections(peer.STATE, state.body), count=20)
        size = cuts.pop()
        if how == "the bytes end":
            relay.destination.send(whole[:size], state.fds if size > 0 else [])
            relay.destination.socket.shutdown(socket.SHUT_WR)
        else:
            size = max(size, peer.HEADER.size)
            relay.destination.send(frame(peer.STATE, state.body[:size - peer.HEADER.size], fds=len(state.fds)),
                                   state.fds)
        state.close()
        answer = relay.destination.receive()
        assert answer.kind == peer.REFUSED and answer.reason(), size
        ends_with_a_sentence(destination, answer.reason())
        shared.forget(destination)
        assert word.value == peer.OWNED_BY_SOURCE
        relay.close()
        assert settled(source)["status"] == "failed"
        assert word.value == peer.TAKEN_BACK and source.status() == "running"


def answer_of(step):
    """What a destination says, by name."""
    welcome = peer.text("0.0") + peer.text_list(["console serial0", "netdev n0"]) + peer.text_list([])
    return {
        "WELCOME": frame(peer.WELCOME, welcome),
        "READY": frame(peer.READY, struct.pack("<Q", 1)),
        "RUNNING": frame(peer.RUNNING, struct.pack("<4Q", 1, 2, 3, 4)),
        "REFUSED": frame(peer.REFUSED, peer.text("my shell is too small")),
    }[step]


def false_at(step, source, listener):
    """A false destination that is to say this next."""
    false = FalseDestination(source, listener)
    if step == "READY":
        false.take_prepare()
    elif step == "RUNNING":
        false.take_state()
    return false


@pytest.mark.parametrize("step", ["WELCOME", "READY", "RUNNING", "REFUSED"])
def test_an_answer_is_cut_at_every_byte(source, listener, step):
    source.qmp.command("migrate-set-parameters", downtime_limit=20000)
    answer = answer_of(step)
    for size in range(len(answer)):
        false = false_at(step, source, listener)
        false.peer.send(answer[:size])
        false.peer.close()
        info = settled(source)
        assert info["status"] == "failed" and "closed the channel" in info["error-desc"], (size, info)
        assert source.status() == "running"
        if step != "WELCOME" and step != "REFUSED":
            assert false.word.value == peer.TAKEN_BACK


def test_a_loaded_is_cut_anywhere(guest):
    """Copied by TCP: nobody has asked for the guest."""
    source = guest.boot()
    loaded = frame(peer.LOADED, struct.pack("<Q", 1))
    for size in (0, 1, 23, 24, len(loaded) - 1):
        false = FalseTcpDestination(source)
        false.take_state()
        false.peer.send(loaded[:size])
        false.close()
        info = settled(source)
        assert info["status"] == "failed" and "closed the channel" in info["error-desc"], (size, info)
        assert source.status() == "running"
    guest.check()


# --- Cut, and silent ------------------------------------------------------------------------------

@pytest.mark.parametrize("step, words, limit", [
    ("WELCOME", "did not answer HELLO in time", "hello_timeout"),
    ("READY", "did not get ready in time", "prepare_timeout"),
    ("RUNNING", "did not answer in time", "downtime_limit"),
    ("REFUSED", "did not answer HELLO in time", "hello_timeout"),
])
def test_a_destination_that_stops_in_its_answer_is_given_up_in_time(source, listener, step, words, limit):
    answer = answer_of(step)
    source.qmp.command("migrate-set-parameters", **{limit: 150})
    for size in (0, 1, 23, 24, len(answer) - 1):
        false = false_at(step, source, listener)
        false.peer.send(answer[:size])
        began = time.monotonic()
        info = settled(source)
        assert info["status"] == "failed" and words in info["error-desc"], (size, info)
        assert time.monotonic() - began < 5
        assert source.status() == "running"
        false.peer.close()


@pytest.mark.parametrize("step", ["connected", "HELLO", "welcomed", "PREPARE"])
def test_a_source_that_stops_is_forgotten_in_time(guest, shared_recording, step):
    destination = guest.destination()
    destination.qmp.command("migrate-set-parameters", hello_timeout=200, prepare_timeout=200)
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    files = held_by(destination)
    hello = frame(peer.HELLO, shared_recording[0])
    prepared = frame(peer.PREPARE, shared_recording[1], fds=2)
    cuts = {"HELLO": (1, 23, 24, 1000, len(hello) - 1), "PREPARE": (1, 23, 24, 1000, len(prepared) - 1)}
    with contextlib.ExitStack() as stack:
        fds = [peer.sealed_memfd(RAM_SIZE), ownership_word()]
        for fd in fds:
            stack.callback(os.close, fd)
        for size in cuts.get(step, (0,)):
            false = Peer.connect(path)
            if step in ("connected", "HELLO"):
                false.send(hello[:size])
            else:
                false.send(hello)
                assert false.receive().kind == peer.WELCOME
                false.send(prepared[:size], fds if size > 0 else [])
            awaited = "HELLO" if step in ("connected", "HELLO") else "PREPARE"
            began = time.monotonic()
            assert f"did not send {awaited} in time" in false.receive().reason()
            assert time.monotonic() - began < 5
            false.close()
            waits_on(destination, "in time")
    eventually(lambda: held_by(destination) == files, 5.0, "the same descriptors as before")
    destination.quit()


@pytest.mark.parametrize("size", [0, 1, 23, 24, 1000, -1])
def test_a_source_that_stops_in_its_state_ends_the_destination_in_time(guest, shared_recording, size):
    word = ownership_word()
    view = OwnershipWord(word)
    destination, false = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE), word, stall_timeout=200)
    assert false.receive().kind == peer.READY
    state = frame(peer.STATE, b"\1" + bytes(8) + struct.pack("<I", 1) + bytes(2000))
    false.send(state[:size])
    began = time.monotonic()
    assert "did not send STATE in time" in false.receive().reason()
    assert time.monotonic() - began < 5
    ends_with_a_sentence(destination, "did not send STATE in time")
    assert view.value == peer.OWNED_BY_SOURCE
    false.close()


class FalseCopier:
    """A source that copies, over TCP, as far as a test wants; what it says comes from the guest's own process."""

    def __init__(self, guest, recording, **limits):
        self.uri = f"tcp:127.0.0.1:{free_port()}"
        self.destination, self.tap = waiting(guest, self.uri)
        if limits:
            self.destination.qmp.command("migrate-set-parameters", **limits)
        self.peer = Peer(socket.create_connection(("127.0.0.1", int(self.uri.rpartition(":")[2]))))
        self.peer.send(frame(peer.HELLO, recording["hello"]))
        assert self.peer.receive().kind == peer.WELCOME
        self.peer.send(frame(peer.PREPARE_COPY, recording["prepare"]))
        assert self.peer.receive().kind == peer.READY

    def close(self, guest):
        self.peer.close()
        guest.forget(self.destination)
        guest.taps.remove(self.tap)
        self.tap.remove()


@pytest.fixture(scope="module")
def shared_copy_recording(shared):
    """HELLO, PREPARE-COPY and STATE of a copy over TCP, and the RAM's messages as one."""
    source = shared.vmms[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        prepare(source, backend_transfer=False)
        source.qmp.command("migrate-set-parameters", downtime_limit=20000)
        source.qmp.command("migrate", uri=f"tcp:127.0.0.1:{server.getsockname()[1]}")
        false = Peer(server.accept()[0])
    recording = {"hello": false.receive().body, "ram": b""}
    false.send(frame(peer.WELCOME, peer.text("0") + peer.text_list([]) + peer.text_list([])))
    recording["prepare"] = false.receive().body
    false.send(frame(peer.READY, struct.pack("<Q", 1)))
    while (message := false.receive()).kind == peer.RAM:
        recording["ram"] += frame(peer.RAM, message.body)
    assert message.kind == peer.STATE
    recording["state"] = message.body
    false.send(frame(peer.REFUSED, peer.text("recorded")))
    assert settled(source)["status"] == "failed"
    false.close()
    prepare(source)
    return recording


def test_a_source_that_stops_while_it_copies_ends_the_destination_in_time(guest, shared_copy_recording):
    ram = shared_copy_recording["ram"]
    for size in (0, 1, 1000, len(ram) // 2, len(ram)):
        false = FalseCopier(guest, shared_copy_recording, stall_timeout=200)
        false.peer.send(ram[:size])
        began = time.monotonic()
        assert "did not send STATE in time" in false.peer.receive().reason()
        assert time.monotonic() - began < 5
        ends_with_a_sentence(false.destination, "did not send STATE in time")
        false.close(guest)


def test_after_loaded_a_silent_source_is_waited_for_until_its_connection_ends(guest, shared_copy_recording):
    """It may have given the guest away at any time: no limit is right."""
    false = FalseCopier(guest, shared_copy_recording, stall_timeout=200)
    false.peer.send(shared_copy_recording["ram"])
    false.peer.send(frame(peer.STATE, shared_copy_recording["state"]))
    assert false.peer.receive().kind == peer.LOADED
    time.sleep(0.6)
    assert false.destination.alive() and false.destination.status() == "inmigrate"
    # Half of the answer is none.
    false.peer.send(frame(peer.GO, b"\1")[:-1])
    false.peer.socket.shutdown(socket.SHUT_WR)
    ends_with_a_sentence(false.destination, "closed the channel")
    false.close(guest)


# --- Without end ----------------------------------------------------------------------------------

# A body of 64 MiB is there up to three times: as it came, as a message, and as what it says.
MAXIMUM_GROWTH = 256 * MIB


@contextlib.contextmanager
def bounded_memory(process, more=0):
    before = peak_memory(process.pid)
    yield
    grown = peak_memory(process.pid) - before if process.alive() else 0
    assert sanitized() or grown <= MAXIMUM_GROWTH + more, f"{grown / MIB:.0f} MiB"


@contextlib.contextmanager
def answers_meanwhile(process, limit=5.0):
    """The process answers QMP in that many seconds, whatever is sent to it in the meantime."""
    if sanitized():
        limit *= 5
    done, waits = threading.Event(), []

    def ask():
        while not done.is_set():
            began = time.monotonic()
            try:
                process.qmp.command("query-status")
            except OSError:
                return  # It has ended, as it should or not: that is not asked here.
            waits.append(time.monotonic() - began)
            time.sleep(0.02)

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield
    finally:
        done.set()
        asker.join()
    assert max(waits, default=0) < limit, max(waits)


def send_as_much_as_goes(false, chunks):
    """Until the other side has had enough; true if it took all."""
    try:
        for chunk in chunks:
            false.send(chunk)
        return True
    except OSError:
        return False


def long_list(count, entry):
    return struct.pack("<I", count) + entry * count


HEAD_OF_HELLO = peer.text("1.0") + b"\1\0\1"
LARGEST = 64 * MIB
NAME, TEXT = "n" * 255, "t" * 16000

LARGE = {
    "zeros": frame(peer.HELLO, bytes(LARGEST)),
    "all but the last byte": frame(peer.HELLO, bytes(LARGEST))[:-1],
    "an unknown message": frame(99, bytes(LARGEST)),
    "facts": frame(peer.HELLO, HEAD_OF_HELLO + long_list(0, b"") + long_list(4096, peer.text(NAME) + peer.text(TEXT))),
    "sections": frame(peer.HELLO, HEAD_OF_HELLO + long_list(0, b"") * 2 + long_list(
        4096, peer.text(NAME) + peer.text(TEXT) + b"\1\0\1") + long_list(0, b"") * 2),
    "back ends": frame(peer.HELLO, HEAD_OF_HELLO + long_list(0, b"") * 3 + long_list(
        4096, peer.text(NAME) * 3 + peer.text("t" * 15000) + b"\1") + long_list(0, b"")),
    "extras": frame(peer.HELLO, HEAD_OF_HELLO + long_list(0, b"") * 4 + long_list(4096, peer.text(NAME))),
    "a reason": frame(peer.REFUSED, peer.text("r" * (64 << 10))),
    "a reason that is too long": frame(peer.REFUSED, peer.text("r" * MIB)),
}


@pytest.mark.parametrize("what", LARGE)
def test_the_largest_messages_cost_little_memory_and_time(shared_waiting, module_directory, what):
    files = held_by(shared_waiting)
    with bounded_memory(shared_waiting), answers_meanwhile(shared_waiting):
        for _ in range(3):
            false = Peer.connect(module_directory / "waiting")
            send_as_much_as_goes(false, [LARGE[what]])
            with contextlib.suppress(OSError):
                false.socket.shutdown(socket.SHUT_WR)
            answer = false.receive()
            assert answer is None or answer.kind == peer.REFUSED
            false.close()
    waits_on(shared_waiting)
    eventually(lambda: held_by(shared_waiting) == files, 5.0, "the same descriptors as before")


def section(name, size):
    return peer.text(name) + b"\1\0\1" + struct.pack("<I", size) + bytes(size) + struct.pack("<I", 0)


@pytest.mark.parametrize("sections", [
    long_list(4096, section("n" * 255, 16000)),
    long_list(3, section("vcpus", 16 * MIB)),
    long_list(3, section("vcpus", 16 * MIB + 1)),
    struct.pack("<I", 4097),
], ids=["many", "large", "too large", "too many"])
@pytest.mark.parametrize("kind", [peer.PREPARE, peer.STATE], ids=["PREPARE", "STATE"])
def test_the_largest_state_costs_little_memory_and_time(guest, shared_recording, kind, sections):
    word = ownership_word()
    view = OwnershipWord(word)
    ram = peer.sealed_memfd(RAM_SIZE)
    if kind == peer.STATE:
        destination, false = send_prepare(guest, shared_recording, ram, word)
        assert false.receive().kind == peer.READY
    with contextlib.ExitStack() as stack:
        if kind == peer.PREPARE:
            destination = guest.destination()
            destination.qmp.command("migrate-incoming", uri=f"unix:{guest.directory}/mig")
            false = Peer.connect(guest.directory / "mig")
            false.send(frame(peer.HELLO, shared_recording[0]))
            assert false.receive().kind == peer.WELCOME
        stack.enter_context(bounded_memory(destination))
        stack.enter_context(answers_meanwhile(destination))
        if kind == peer.PREPARE:
            body = struct.pack("<II", 0, 1) + sections
            false.send(frame(kind, body, fds=2), [ram, word])
        else:
            false.send(frame(kind, b"\1" + bytes(8) + sections))
        answer = false.receive()
        assert answer.kind == peer.REFUSED and answer.reason()
    false.close()
    assert view.value == peer.OWNED_BY_SOURCE


# A run is an offset, a number of pages, and whether they are zero.
ENDLESS = {
    "nothing": frame(peer.RAM, bytes(8)),
    "zeros": frame(peer.RAM, struct.pack("<IQIBI", 1, 0, RAM_SIZE // 4096, 1, 0)),
    "many runs": frame(peer.RAM, long_list(4096, struct.pack("<QIB", 0, RAM_SIZE // 4096, 1)) + struct.pack("<I", 0)),
    "pages": frame(peer.RAM, struct.pack("<IQIBI", 1, 0, 4096, 0, 16 * MIB) + b"x" * (16 * MIB)),
}


@pytest.mark.parametrize("what", ENDLESS)
def test_ram_without_end_leaves_time_for_others(guest, shared_copy_recording, what):
    false = FalseCopier(guest, shared_copy_recording)
    false.peer.socket.settimeout(1)
    message = ENDLESS[what]
    chunk = message * max(MIB // len(message), 1)

    def for_some_time():
        end = time.monotonic() + 3
        while time.monotonic() < end:
            yield chunk

    with bounded_memory(false.destination, more=RAM_SIZE), answers_meanwhile(false.destination, 2.0):
        send_as_much_as_goes(false.peer, for_some_time())
    assert false.destination.alive()
    # What waits to be read goes with the connection.
    false.peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("<ii", 1, 0))
    false.peer.socket.close()
    ends_with_a_sentence(false.destination)
    false.close(guest)


# --- Silent, between two real ones ----------------------------------------------------------------

@pytest.mark.parametrize("after", ["WELCOME", "READY"])
def test_a_source_whose_answer_is_withheld_goes_on_with_its_guest(shared, source, after):
    """The relay says nothing more after the destination's answer; each side gives up by itself."""
    source.qmp.command("migrate-set-parameters", hello_timeout=300, prepare_timeout=300)
    destination = shared.destination()
    destination.qmp.command("migrate-set-parameters", prepare_timeout=400, stall_timeout=400)
    relay = Relay(shared, source, destination)
    relay.pass_on(relay.source, relay.destination)
    if after == "READY":
        relay.pass_on(relay.destination, relay.source)
        relay.pass_on(relay.source, relay.destination)
    began = time.monotonic()
    assert relay.destination.receive().kind == (peer.WELCOME if after == "WELCOME" else peer.READY)
    info = settled(source)
    assert info["status"] == "failed" and "in time" in info["error-desc"], info
    if after == "READY":
        ends_with_a_sentence(destination, "did not send STATE in time")
        shared.forget(destination)
    else:
        waits_on(destination, "did not send PREPARE in time")
        shared.forget(destination)
    assert time.monotonic() - began < 5
    relay.close()


# --- Somebody else --------------------------------------------------------------------------------

STRANGER = 65534

CONNECT = """
import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.settimeout(10)
sock.connect(sys.argv[1])
print(sock.recv(1000))
"""


def open_to_all(directory, path):
    directory.chmod(0o711)
    os.chmod(path, 0o666)


def test_a_source_of_another_user_is_refused_and_others_are_waited_for(guest):
    source = guest.boot()
    destination = guest.destination()
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    open_to_all(guest.directory, path)
    files = held_by(destination)
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", CONNECT, str(path)], user=STRANGER, group=STRANGER,
                              extra_groups=[], capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout == "b''\n", done
    sentence = f"the peer runs as user {STRANGER}, this process as user 0"
    eventually(lambda: destination.stderr().count(sentence) == 3, 5.0, "three refusals")
    eventually(lambda: held_by(destination) == files, 5.0, "the same descriptors as before")
    assert destination.status() == "inmigrate"
    prepare(source)
    assert give(source, f"unix:{path}")["status"] == "completed"
    source.quit()
    assert guest.ask()["boot_count"] == 1


# Another user who may use /dev/kvm and TAPs; what a session's owner would be given, this one takes.
AS_STRANGER = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups",
               "--inh-caps=+dac_override,+net_admin", "--ambient-caps=+dac_override,+net_admin")


def test_a_source_of_another_user_takes_root_for_a_peer(guest, listener):
    source = guest.boot(prefix=AS_STRANGER)
    assert os.stat(f"/proc/{source.pid}").st_uid == STRANGER
    false = FalseDestination(source, listener)
    false.take_prepare()
    false.peer.send(frame(peer.REFUSED, peer.text("thank you")))
    assert "thank you" in settled(source)["error-desc"]
    false.peer.close()
    # The other way round it is somebody else for root.
    destination = guest.destination()
    destination.qmp.command("migrate-incoming", uri=f"unix:{guest.directory}/mig")
    # It may have hung up before HELLO is sent, which is then the command's error.
    with contextlib.suppress(QmpError):
        source.qmp.command("migrate", uri=f"unix:{guest.directory}/mig")
    assert settled(source)["status"] == "failed"
    assert f"the peer runs as user {STRANGER}, this process as user 0" in destination.stderr()
    assert source.status() == "running"
    guest.check()


def test_a_destination_of_another_user_gets_nothing_from_root(guest):
    source = guest.boot()
    destination = guest.launch("-incoming", "defer", prefix=AS_STRANGER)
    prepare(source)
    destination.qmp.command("migrate-incoming", uri=f"unix:{guest.directory}/mig")
    with pytest.raises(QmpError, match=f"the peer runs as user {STRANGER}, this process as user 0"):
        source.qmp.command("migrate", uri=f"unix:{guest.directory}/mig")
    assert source.status() == "running"
    waits_on(destination, "closed the channel")
    guest.check()
