"""A destination made of the test itself, for a real source."""

import struct

import peer
from guest import prepare
from peer import OwnershipWord, frame
from vmm import file_descriptors


def held_by(process):
    return file_descriptors(process.pid)


class FalseDestination:
    """Takes part in a hand-over as far as the test wants; it is the source's turn after __init__."""

    def __init__(self, source, listener):
        self.source = source
        prepare(source)
        source.qmp.collect_events()
        source.qmp.command("migrate", uri=f"unix:{listener.path}")
        self.peer = listener.accept()
        self.hello = self.peer.receive()
        assert self.hello.kind == peer.HELLO and self.hello.fds == []

    def welcome(self, wanted=("console serial0", "netdev n0")):
        self.peer.send(frame(peer.WELCOME, peer.text("0.0") + peer.text_list(wanted) + peer.text_list([])))

    def take_prepare(self):
        self.welcome()
        prepared = self.peer.receive()
        assert prepared.kind == peer.PREPARE
        assert len(prepared.fds) == 2
        self.word = OwnershipWord(prepared.fds[1])
        assert self.word.value == peer.OWNED_BY_SOURCE
        prepared.close()

    def ready(self):
        self.peer.send(frame(peer.READY, struct.pack("<Q", 1)))

    def take_state(self):
        self.take_prepare()
        self.ready()
        state = self.peer.receive()
        assert state.kind == peer.STATE
        state.close()
