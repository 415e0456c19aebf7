"""pagurusctl analyze: the stream of a running guest, of a file, and of a source that comes."""

import json
import os
import signal
import struct
import subprocess

import pytest

import peer
from guest import give, hand_over, migration, prepare
from peer import HEADER, Peer, frame, text, text_list
from qmp import Qmp
from vmm import PAGURUSCTL, VARIANT, ended, eventually, file_descriptors

pytestmark = [pytest.mark.probe, pytest.mark.usefixtures("runtime_directory")]

PREPARE_COPY, RAM = 8, 9


def analyze(*arguments, timeout=60):
    return subprocess.run([PAGURUSCTL, "analyze", *map(str, arguments)], capture_output=True, timeout=timeout,
                          check=False)


def stream_of(*arguments):
    done = analyze(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def complaint_of(*arguments):
    done = analyze(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(b"pagurusctl: ")
    return done


# --- a running guest ------------------------------------------------------------------------------

def state_of(process):
    return (process.status(), process.qmp.command("query-migrate-parameters"),
            process.qmp.command("query-migrate-capabilities"), file_descriptors(process.pid))


def sections_of(message, member="sections"):
    return {section["name"]: section for section in message["body"][member]}


def check_whole(stream):
    """A local migration, with every section by its fields."""
    assert stream["end"] == "complete"
    assert [m["type"] for m in stream["messages"]] == ["HELLO", "PREPARE", "STATE"]
    hello, prepared, state = stream["messages"]
    for message, after in zip(stream["messages"], stream["messages"][1:]):
        assert message["offset"] + HEADER.size + message["length"] == after["offset"]
        assert message["crc"] == "ok"
        assert message["version"] == 1
    assert hello["fds"] == 0 and "files" not in hello
    assert {"name": "RAM size", "value": "64 MiB"} in hello["body"]["facts"]
    assert prepared["body"]["ram"]["fd"] == 0 and "memfd" in prepared["body"]["ram"]["file"]
    assert len(prepared["files"]) == prepared["fds"] == 2
    sections = sections_of(state)
    assert set(sections) >= {section["name"] for section in hello["body"]["sections"]}
    for section in sections.values():
        assert "problem" not in section and "rest" not in section, section
        assert section["required"] is True and "bytes" not in section
    assert sections["serial0"]["declared"].startswith("uart-16550/")
    assert set(sections_of(prepared, "rehearsal")) <= set(sections)
    return sections


def check_copied(stream):
    """A copied migration, with RAM and every section by its fields."""
    assert stream["end"] == "complete"
    types = [m["type"] for m in stream["messages"]]
    assert types[:2] == ["HELLO", "PREPARE-COPY"] and types[-1] == "STATE" and set(types[2:-1]) == {"RAM"}
    runs = [m["body"] for m in stream["messages"] if m["type"] == "RAM"]
    assert sum(body["pages"] for body in runs) >= (1 << 20) // 4096  # at least the pattern; untouched pages stay out
    assert sum(body["bytes"] for body in runs) == sum(body["pages"] - body["zero-pages"] for body in runs) * 4096
    for section in sections_of(stream["messages"][-1]).values():
        assert "problem" not in section and "bytes" not in section, section


def test_the_stream_of_a_running_guest(guest):
    process = guest.boot()
    before = state_of(process)
    sections = check_whole(stream_of(process.qmp_path))
    vcpu = sections["vcpus"]["state"]["vcpus"][0]
    assert isinstance(vcpu["mp-state"], int) and vcpu["msrs"] and vcpu["xsave"]["bytes"] >= 576
    assert "pit" in json.dumps(list(sections["vm"]["state"]))
    assert isinstance(sections["serial0"]["state"], dict) and sections["serial0"]["state"]
    tap = sections["netdev n0"]
    assert tap["fds"][0]["file"] == "/dev/net/tun"
    assert {"fd": 0, "file": "/dev/net/tun"} in tap["state"].values()
    assert guest.ask()["boot_count"] == 1
    guest.check()
    assert state_of(process) == before
    assert migration(process)["error-desc"].endswith("pagurusctl analyze has seen enough")
    # And it can be done again, and the guest can leave after that.
    check_whole(stream_of(process.qmp_path))
    done = subprocess.run([PAGURUSCTL, "upgrade", process.qmp_path], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    assert guest.ask()["boot_count"] == 1
    qmp = Qmp(process.qmp_path)
    new = qmp.command("query-process")["pid"]
    qmp.command("quit")
    qmp.close()
    eventually(lambda: ended(new), 10.0, "the end of the new process")


def test_the_stream_of_another_version(guest):
    source = guest.boot(binary=VARIANT)
    destination = guest.destination(binary=VARIANT)
    hand_over(source, destination)
    source.quit()
    sections = sections_of(stream_of(destination.qmp_path)["messages"][-1])
    assert sections["variant-note"]["required"] is False
    assert sections["variant-note"]["state"] == {"handovers": 1}
    # Not in the declaration that both versions have; it brings its own name.
    assert "optional-handovers" in sections["machine"]["optional"]
    assert "optional-handovers" not in sections["machine"]["state"]
    guest.check()


def test_a_paused_guest_stays_paused(guest):
    process = guest.boot()
    process.qmp.command("stop")
    stream = stream_of(process.qmp_path)
    check_whole(stream)
    assert stream["messages"][-1]["body"]["run"] is False
    assert process.status() == "paused"


@pytest.mark.parametrize("capability", ["local-tap", "pause-before-switchover"])
def test_capabilities_are_as_before(guest, capability):
    process = guest.boot()
    process.qmp.command("migrate-set-capabilities", capabilities=[{"capability": capability, "state": True}])
    before = state_of(process)
    stream = stream_of(process.qmp_path)
    assert stream["end"] == "complete"
    assert stream["messages"][0]["body"]["targets"] == (["virtio-net-tap"] if capability == "local-tap" else [])
    assert state_of(process) == before
    guest.check()


def test_a_guest_that_cannot_move(make_guest):
    guest = make_guest()
    process = guest.launch("-incoming", "defer")
    done = complaint_of(process.qmp_path)
    assert b"refuses 'migrate'" in done.stderr and done.stdout == b""
    assert process.qmp.command("query-migrate-parameters")["backend-transfer"] is False


# --- a source that comes --------------------------------------------------------------------------

class Waiting:
    """pagurusctl analyze that listens."""

    def __init__(self, path, argument=None):
        self.path = path
        self.process = subprocess.Popen([PAGURUSCTL, "analyze", str(argument or path)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        eventually(path.exists, 10.0, "the socket")
        assert path.stat().st_mode & 0o777 == 0o600

    def end(self):
        output, complaint = self.process.communicate(timeout=20)
        assert not self.path.exists()
        return self.process.returncode, output, complaint.decode()


@pytest.mark.parametrize("scheme", ["", "unix:"])
def test_a_source_that_comes(guest, directory, scheme):
    process = guest.boot()
    prepare(process)
    waiting = Waiting(directory / "look", f"{scheme}{directory}/look")
    process.qmp.command("migrate", uri=f"unix:{directory}/look")
    status, output, complaint = waiting.end()
    assert status == 0, complaint
    assert f"waiting for a migration to 'unix:{directory}/look'" in complaint
    check_whole(json.loads(output))
    eventually(lambda: migration(process)["status"] == "failed", 10.0, "the end of the migration")
    assert process.status() == "running"
    guest.check()


def test_a_source_that_copies_its_guest(guest, directory):
    process = guest.boot()
    waiting = Waiting(directory / "look")
    process.qmp.command("migrate", uri=f"unix:{directory}/look")
    status, output, complaint = waiting.end()
    assert status == 0, complaint
    check_copied(json.loads(output))
    eventually(lambda: migration(process)["status"] == "failed", 10.0, "the end of the migration")
    assert process.status() == "running"
    guest.check()


def test_a_guest_that_was_saved_to_a_file(guest, directory):
    process = guest.boot()
    assert give(process, f"file:{directory}/saved")["status"] == "completed"
    check_copied(stream_of(directory / "saved"))


def test_nobody_comes(directory):
    waiting = Waiting(directory / "look")
    waiting.process.send_signal(signal.SIGINT)
    status, output, complaint = waiting.end()
    assert (status, output) == (1, b"")
    assert "interrupted" in complaint


def hello(mode=1, backends=()):
    body = text("9.9") + struct.pack("<BBB", mode, 0, 1) + text_list([]) + struct.pack("<I", 0)
    body += struct.pack("<I", 1) + text("counter") + text("counter/3{n:u16,late:[i8;2]@3}") + struct.pack("<HB", 3, 1)
    body += struct.pack("<I", len(backends)) + b"".join(backends)
    return body + text_list([])


def section(name, data, version=3, required=1):
    return text(name) + struct.pack("<HBI", version, required, len(data)) + data + struct.pack("<I", 0)


def sections(*all_of_them):
    return struct.pack("<I", len(all_of_them)) + b"".join(all_of_them)


def ram():
    runs = struct.pack("<QIB", 0, 1, 0) + struct.pack("<QIB", 8192, 7, 1)
    return struct.pack("<I", 2) + runs + struct.pack("<I", 4096) + bytes(4096)


def state(*all_of_them):
    return struct.pack("<BQ", 1, 5) + sections(*all_of_them)


COUNTER = struct.pack("<Hbb", 7, -1, 2)


def test_a_copied_guest_is_swallowed(directory):
    waiting = Waiting(directory / "look")
    source = Peer.connect(directory / "look")
    backend = text("netdev n0") + text("virtio-net-tap") + text("tap") + text("tap/1{}") + b"\1"
    source.send(frame(peer.HELLO, hello(mode=2, backends=[backend])))
    assert source.receive().kind == peer.WELCOME
    source.send(frame(PREPARE_COPY, struct.pack("<I", 0) + sections(section("counter", COUNTER))))
    assert source.receive().kind == peer.READY
    for _ in range(3):
        source.send(frame(RAM, ram()))
    source.send(frame(peer.STATE, state(section("counter", COUNTER))))
    refused = source.receive()
    assert refused.kind == peer.REFUSED and refused.reason() == "pagurusctl analyze has seen enough"
    assert source.receive() is None
    source.close()
    status, output, complaint = waiting.end()
    assert status == 0, complaint
    messages = json.loads(output)["messages"]
    assert [m["type"] for m in messages] == ["HELLO", "PREPARE-COPY", "RAM", "RAM", "RAM", "STATE"]


def test_a_source_that_hangs_up(directory):
    waiting = Waiting(directory / "look")
    source = Peer.connect(directory / "look")
    source.send(frame(peer.HELLO, hello())[:30])
    source.close()
    status, output, _ = waiting.end()
    assert (status, output) == (1, b"")


def test_a_source_of_another_version_is_refused(directory):
    waiting = Waiting(directory / "look")
    source = Peer.connect(directory / "look")
    source.send(frame(peer.HELLO, b"something", version=2))
    assert source.receive().kind == peer.REFUSED
    source.close()
    status, output, _ = waiting.end()
    assert status == 0
    [message] = json.loads(output)["messages"]
    assert (message["version"], message["type"], message["length"]) == (2, "message 1", 9)


# --- a file ---------------------------------------------------------------------------------------

@pytest.fixture
def file(directory):
    def write(*parts):
        path = directory / "stream"
        path.write_bytes(b"".join(parts))
        return path

    return write


def whole(*more):
    return (frame(peer.HELLO, hello()), *more, frame(peer.STATE, state(section("counter", COUNTER))))


def test_a_file(file):
    stream = stream_of(file(*whole(frame(PREPARE_COPY, struct.pack("<I", 0) + sections()), frame(RAM, ram()))))
    assert stream["end"] == "complete"
    by_type = {message["type"]: message["body"] for message in stream["messages"]}
    assert by_type["HELLO"]["vmm-version"] == "9.9"
    assert by_type["RAM"] == {"runs": 2, "pages": 8, "zero-pages": 7, "bytes": 4096}
    [counter] = by_type["STATE"]["sections"]
    assert counter == {"name": "counter", "version": 3, "required": True, "fds": [], "declared": "counter/3",
                       "state": {"n": 7, "late": [-1, 2]}}


def test_runs_of_ram_are_listed_if_asked_for(file):
    stream = stream_of("--ram", file(*whole(frame(RAM, ram()))))
    assert stream["messages"][1]["body"]["run-list"] == [{"offset": 0, "pages": 1, "zero": False},
                                                         {"offset": 8192, "pages": 7, "zero": True}]


def test_a_future_protocol_version_is_shown_by_its_headers(file):
    stream = stream_of(file(frame(1, b"who knows", version=77), frame(300, b"x" * 1000, version=77, crc=1),
                            *whole()))
    assert stream["end"] == "complete"
    first, second = stream["messages"][:2]
    assert first == {"offset": 0, "type": "message 1", "version": 77, "length": 9, "fds": 0, "crc": "ok"}
    assert (second["type"], second["length"], second["crc"]) == ("message 300", 1000, "wrong")
    assert stream["messages"][2]["body"]["vmm-version"] == "9.9"


def test_an_unknown_type_is_passed_over(file):
    stream = stream_of(file(*whole(frame(99, b"news"))))
    assert [m["type"] for m in stream["messages"]] == ["HELLO", "message 99", "STATE"]
    assert "body" not in stream["messages"][1]


def test_unknown_sections_optional_fields_and_what_is_wrong(file):
    optional = COUNTER + b"\4note" + struct.pack("<I", 2) + b"hi"
    stream = stream_of(file(frame(peer.HELLO, hello()),
                            frame(peer.STATE, state(section("counter", optional), section("news", bytes(100)),
                                                    section("counter", COUNTER[:3]), section("counter", COUNTER + b"?"),
                                                    section("counter", COUNTER[:2], version=2)))))
    named, unknown, short, long, older = stream["messages"][1]["body"]["sections"]
    assert named["optional"] == {"note": "6869"} and "problem" not in named
    assert unknown["bytes"] == {"bytes": 100, "hex-begin": "00" * 32}
    assert short["state"] == {"n": 7, "late": [-1]} and "0 bytes follow where 1 are declared" in short["problem"]
    assert (long["problem"], long["rest"]) == ("1 bytes are left over", "3f")
    assert older["state"] == {"n": 7} and "problem" not in older


def test_a_wrong_checksum_is_shown(file):
    stream = stream_of(file(frame(peer.HELLO, hello(), crc=5), *whole()[1:]))
    assert [m["crc"] for m in stream["messages"]] == ["wrong", "ok"]


def test_a_file_that_is_cut_anywhere(file):
    hello_frame, *_ = frames = whole(frame(RAM, ram()))
    data = b"".join(frames)
    # Between two messages only the missing STATE tells that more was to come.
    for size in [*range(1, 60), len(hello_frame), *range(60, len(data), 43)]:
        stream = stream_of(file(data[:size]))
        assert stream["end"] == f"truncated at {size}"
        assert len(stream["messages"]) == sum(size >= end for end in (len(hello_frame), len(data) - len(frames[-1])))


@pytest.mark.parametrize("garbage", [b"", b"x", b"PGRX", b"\x7fELF" + bytes(1000), os.urandom(100_000)],
                         ids=["nothing", "a byte", "nearly", "a program", "noise"])
def test_garbage_is_one_sentence(file, garbage):
    done = complaint_of(file(garbage))
    assert done.stdout == b"" and done.stderr.count(b"\n") == 1
    assert b"there is " in done.stderr


def test_garbage_behind_messages(file):
    done = complaint_of(file(frame(peer.HELLO, hello()), b"garbage"))
    stream = json.loads(done.stdout)
    assert len(stream["messages"]) == 1
    assert "there is no Pagurus message" in stream["end"]


def test_hostile_lengths_cost_nothing(file):
    assert stream_of(file(frame(peer.STATE, b"", length=0xffffffff))) == {"messages": [], "end": "truncated at 24"}
    for data in (frame(peer.STATE, struct.pack("<BQI", 1, 5, 0xffffffff)), frame(RAM, struct.pack("<I", 0xffffffff)),
                 frame(peer.HELLO, struct.pack("<I", 0xffffffff) * 3)):
        assert "where at most" in stream_of(file(data))["messages"][0]["body"]["problem"]
    nested = b"[" * 60_000
    body = text("1") + struct.pack("<BBBIII", 1, 0, 1, 0, 0, 2)
    for name, signature in (("deep", nested.decode()), ("wide", "s/1{a:[[e/1{};60000];60000]}")):
        body += text(name) + text(signature) + struct.pack("<HB", 1, 1)
    body += struct.pack("<II", 0, 0)
    path = file(frame(peer.HELLO, body), frame(peer.STATE, state(section("deep", b"x"), section("wide", b"x"))))
    deep, wide = stream_of(path)["messages"][1]["body"]["sections"]
    assert "nested" in deep["problem"] and deep["bytes"] == "78"
    assert "more than 1000000 values" in wide["problem"]


def test_no_file_and_no_socket(directory):
    assert b"neither a file nor a socket" in complaint_of(directory).stderr
    assert analyze().returncode == 2
