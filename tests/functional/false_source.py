"""A source made of the test itself, for a real destination; what it says is recorded from a real one."""

import os

import peer
from false_destination import FalseDestination
from guest import migration, settled
from peer import Listener, OwnershipWord, Peer, frame
from vmm import eventually

RAM_SIZE = 64 << 20


def record(guest, directory):
    """HELLO and PREPARE as the guest's process sends them, without the descriptors."""
    listener = Listener(directory / "recorder")
    try:
        false = FalseDestination(guest.vmms[0], listener)
        false.welcome()
        prepared = false.peer.receive()
        prepared.close()
        guest.vmms[0].qmp.command("migrate_cancel")
        false.peer.close()
        settled(guest.vmms[0])
    finally:
        listener.close()
    return false.hello.body, prepared.body


def waits_on(process, *words):
    info = eventually(lambda: (i := migration(process))["status"] == "failed" and i, 10.0, "the failure")
    for word in words:
        assert word in info["error-desc"], info
    assert process.alive() and process.status() == "inmigrate"


def send_prepare(guest, recording, ram, ownership, body=None, **limits):
    """A destination that gets these descriptors as RAM and ownership word; returns it and the channel."""
    destination = guest.destination()
    destination.qmp.command("migrate-set-parameters", **limits)
    path = guest.directory / "mig"
    destination.qmp.command("migrate-incoming", uri=f"unix:{path}")
    source = Peer.connect(path)
    source.send(frame(peer.HELLO, recording[0]))
    assert source.receive().kind == peer.WELCOME
    source.send(frame(peer.PREPARE, recording[1] if body is None else body, fds=2), [ram, ownership])
    os.close(ram)
    os.close(ownership)
    return destination, source


def ownership_word(value=peer.OWNED_BY_SOURCE):
    fd = peer.sealed_memfd(4096)
    OwnershipWord(fd).value = value
    return fd


def ends_with_a_sentence(destination, *words):
    assert destination.wait(10) == 1, destination.stderr()
    lines = [line for line in destination.stderr().splitlines() if "did not come in" in line]
    assert len(lines) == 1, destination.stderr()
    for word in words:
        assert word in lines[0], lines[0]
