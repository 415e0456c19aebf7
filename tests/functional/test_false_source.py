"""A destination whose source lies: it waits on, or ends with a sentence; it never hangs, crashes or leaks."""

import os
import random
import signal
import struct
import subprocess
import sys

import pytest

import peer
from false_destination import held_by
from false_source import RAM_SIZE, ends_with_a_sentence, ownership_word, send_prepare, waits_on
from guest import give, migration, prepare
from peer import OwnershipWord, Peer, frame
from vmm import eventually

pytestmark = pytest.mark.probe

HOSTILE = {
    "nothing at all": b"",
    "one byte": b"P",
    "noise": bytes(random.Random(7).randbytes(5000)),
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another version": frame(peer.HELLO, b"", version=99),
    "an unknown message": frame(77),
    "PREPARE first": frame(peer.PREPARE, bytes(20)),
    "STATE first": frame(peer.STATE, bytes(20)),
    "a cut frame": frame(peer.HELLO, bytes(1000))[:500],
    "a header only": frame(peer.HELLO, b"", length=1000),
    "a huge body": frame(peer.HELLO, b"", length=0xFFFFFFFF),
    "too many descriptors announced": frame(peer.HELLO, b"", fds=5000),
    "descriptors announced, none sent": frame(peer.HELLO, b"x", fds=3),
    "a wrong checksum": frame(peer.HELLO, bytes(100), crc=1),
    "an empty HELLO": frame(peer.HELLO),
    "a string longer than the message": frame(peer.HELLO, struct.pack("<I", 200) + b"short"),
    "a string longer than allowed": frame(peer.HELLO, peer.text("x" * 300)),
    "a bool of 2": frame(peer.HELLO, peer.text("1.0") + b"\1\0\x02" + bytes(16)),
    "a list longer than allowed": frame(peer.HELLO, peer.text("1.0") + b"\1\0\1" + struct.pack("<I", 0xFFFFFFFF)),
    "a HELLO of nothing": frame(peer.HELLO, peer.text("1.0") + b"\1\0\1" + bytes(16)),
    "REFUSED": frame(peer.REFUSED, peer.text("no")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_waiting_destination_survives(shared_waiting, module_directory, what):
    files = held_by(shared_waiting)
    source = Peer.connect(module_directory / "waiting")
    source.send(HOSTILE[what])
    source.socket.shutdown(1)
    received = source.receive()
    if received is not None:
        assert received.kind == peer.REFUSED and received.reason()
        assert source.receive() is None
    source.close()
    waits_on(shared_waiting)
    eventually(lambda: held_by(shared_waiting) == files, 5.0, "the same descriptors as before")


@pytest.mark.parametrize("announced, sent", [(0, 1), (1, 1), (250, 250), (253, 253), (3, 10)])
def test_descriptors_where_none_belong_are_closed(shared_waiting, module_directory, shared_recording, announced, sent):
    files = held_by(shared_waiting)
    source = Peer.connect(module_directory / "waiting")
    with open("/dev/null", "rb") as file:
        source.send(frame(peer.HELLO, shared_recording[0], fds=announced), [file.fileno()] * sent)
    answer = source.receive()
    assert answer is None or answer.kind == peer.REFUSED
    source.close()
    waits_on(shared_waiting, "file descriptors")
    eventually(lambda: held_by(shared_waiting) == files, 5.0, "the same descriptors as before")


def test_a_cut_hello_is_refused_wherever_it_ends(shared_waiting, module_directory, shared_recording):
    hello = shared_recording[0]
    for size in range(0, len(hello), max(len(hello) // 40, 1)):
        source = Peer.connect(module_directory / "waiting")
        source.send(frame(peer.HELLO, hello[:size]))
        assert source.receive().kind == peer.REFUSED
        source.close()
    waits_on(shared_waiting)


def test_a_welcomed_source_that_goes_away_is_forgotten(shared_waiting, module_directory, shared_recording):
    source = Peer.connect(module_directory / "waiting")
    source.send(frame(peer.HELLO, shared_recording[0]))
    assert source.receive().kind == peer.WELCOME
    source.close()
    waits_on(shared_waiting, "closed the channel")


def section_entry(name, version=1, required=True, signature=None):
    return peer.text(name) + peer.text(signature or f"{name}/{version}{{}}") + struct.pack("<HB", version, required)


def with_more_sections(hello, *entries):
    """A recorded HELLO that announces further sections, before the others."""
    at = hello.index(peer.text("machine") + struct.pack("<I", len("machine/1{request:u8}")))
    count, = struct.unpack_from("<I", hello, at - 4)
    return hello[:at - 4] + struct.pack("<I", count + len(entries)) + b"".join(entries) + hello[at:]


@pytest.mark.parametrize("entries, words", [
    ([section_entry("rng0")], ["the source has state section 'rng0', which this destination lacks"]),
    ([section_entry("note", required=False)] * 2, ["state section 'note' twice"]),
    ([section_entry("machine", version=2, required=False)], ["'machine'", "version 2", "version 1"]),
])
def test_sections_that_do_not_fit_are_refused_in_hello(shared_waiting, module_directory, shared_recording, entries, words):
    source = Peer.connect(module_directory / "waiting")
    source.send(frame(peer.HELLO, with_more_sections(shared_recording[0], *entries)))
    answer = source.receive()
    assert answer.kind == peer.REFUSED
    for word in words:
        assert word in answer.reason()
    source.close()
    waits_on(shared_waiting, *words)


def test_an_optional_section_that_is_unknown_is_named_in_welcome(shared_waiting, module_directory, shared_recording):
    source = Peer.connect(module_directory / "waiting")
    source.send(frame(peer.HELLO, with_more_sections(shared_recording[0], section_entry("note", required=False))))
    answer = source.receive()
    assert answer.kind == peer.WELCOME
    assert answer.body.endswith(peer.text_list(["note"]))
    source.close()
    waits_on(shared_waiting, "closed the channel")


def test_what_a_peer_says_cannot_pass_for_a_line_of_the_log(shared_waiting, module_directory, shared_recording):
    name = "x\npagurus[1]: error: forged \x1b[2J"
    source = Peer.connect(module_directory / "waiting")
    source.send(frame(peer.HELLO, with_more_sections(shared_recording[0], section_entry(name, required=False))))
    assert source.receive().kind == peer.WELCOME
    source.close()
    eventually(lambda: "forged" in shared_waiting.stderr(), 5.0, "the warning")
    assert "\n  pagurus[1]: error: forged \\x1b[2J" in shared_waiting.stderr()
    assert "\x1b" not in shared_waiting.stderr()


def test_after_all_that_the_real_source_is_taken(guest, shared_recording):
    """One destination, first insulted, then used."""
    source = guest.boot()
    destination = guest.destination()
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    for data in HOSTILE.values():
        intruder = Peer.connect(path)
        intruder.send(data)
        intruder.socket.shutdown(1)
        intruder.receive()
        intruder.close()
    prepare(source)
    assert give(source, f"unix:{path}")["status"] == "completed"
    source.quit()
    assert guest.ask()["boot_count"] == 1


def test_a_source_that_stays_silent_does_not_keep_others_out(guest):
    source = guest.boot()
    destination = guest.destination()
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    silent = Peer.connect(path)
    prepare(source)
    assert give(source, f"unix:{path}")["status"] == "completed"
    assert "HELLO in time" in silent.receive().reason()
    silent.close()
    source.quit()
    assert guest.ask()["boot_count"] == 1


def test_sources_that_died_in_the_queue_are_passed_over(guest):
    source = guest.boot()
    destination = guest.destination()
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    files = held_by(destination)
    os.kill(destination.pid, signal.SIGSTOP)
    for _ in range(3):
        subprocess.run([sys.executable, "-c", f"import socket; socket.socket(socket.AF_UNIX).connect('{path}')"], check=True)
    os.kill(destination.pid, signal.SIGCONT)
    eventually(lambda: migration(destination)["status"] == "failed", 5.0, "the end of the first of them")
    eventually(lambda: held_by(destination) == files, 5.0, "the same descriptors as before")
    prepare(source)
    assert give(source, f"unix:{path}")["status"] == "completed"
    source.quit()
    assert guest.ask()["boot_count"] == 1


def test_ram_that_is_no_memfd_ends_the_destination(guest, shared_recording):
    destination, source = send_prepare(guest, shared_recording, os.open("/dev/zero", os.O_RDWR), ownership_word())
    ends_with_a_sentence(destination, "memfd")
    assert source.receive().kind == peer.REFUSED
    source.close()


def test_ram_that_can_shrink_ends_the_destination(guest, shared_recording):
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE, 0), ownership_word())
    ends_with_a_sentence(destination, "sealed against shrinking")
    source.close()


def test_ram_of_another_size_ends_the_destination(guest, shared_recording):
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE // 2), ownership_word())
    ends_with_a_sentence(destination, str(RAM_SIZE // 2), str(RAM_SIZE))
    source.close()


def test_an_ownership_word_that_can_shrink_ends_the_destination(guest, shared_recording):
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE), peer.sealed_memfd(4096, 0))
    ends_with_a_sentence(destination, "ownership word")
    source.close()


def test_a_prepare_without_device_state_ends_the_destination(guest, shared_recording):
    body = struct.pack("<III", 0, 1, 0)
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE), ownership_word(), body)
    ends_with_a_sentence(destination, "is missing")
    source.close()


def test_a_prepare_that_names_one_descriptor_twice_is_refused(guest, shared_recording):
    body = struct.pack("<II", 0, 0) + shared_recording[1][8:]
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE), ownership_word(), body)
    assert "file descriptor 0 twice" in source.receive().reason()
    # What cannot be read has changed nothing: this destination can still be used.
    waits_on(destination, "file descriptor 0 twice")
    source.close()


@pytest.mark.parametrize("what, data", [
    ("noise", b"\0" * 64),
    ("no sections", frame(peer.STATE, b"\1" + bytes(8) + bytes(4))),
    ("a cut state", frame(peer.STATE, b"\1" + bytes(3))),
    ("a second HELLO", frame(peer.HELLO, b"")),
    ("the end", b""),
])
def test_a_bad_state_ends_a_ready_destination(guest, shared_recording, what, data):
    del what
    word = ownership_word()
    view = OwnershipWord(word)
    destination, source = send_prepare(guest, shared_recording, peer.sealed_memfd(RAM_SIZE), word)
    assert source.receive().kind == peer.READY
    source.send(data)
    source.socket.shutdown(1)
    ends_with_a_sentence(destination)
    # It has not claimed a guest it cannot run.
    assert view.value == peer.OWNED_BY_SOURCE
    source.close()
