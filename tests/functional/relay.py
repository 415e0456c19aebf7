"""Stands between a real source and a real destination; passes on what they say, changed as a test wants."""

import peer
from guest import prepare
from peer import Listener, Peer, frame


def unchanged(message):
    """The bytes and descriptors that a message is made of; what a test changes, it returns in the same way."""
    return frame(message.kind, message.body, fds=len(message.fds)), message.fds


class Relay:
    def __init__(self, guest, source, destination):
        real = f"{guest.directory}/real"
        destination.qmp.command("migrate-incoming", uri=f"unix:{real}")
        listener = Listener(guest.directory / "relay")
        prepare(source)
        source.qmp.command("migrate", uri=f"unix:{listener.path}")
        self.source = listener.accept()
        listener.close()
        self.destination = Peer.connect(real)

    @staticmethod
    def pass_on(sender, receiver, change=unchanged):
        message = sender.receive()
        receiver.send(*change(message))
        message.close()
        return message.kind

    def welcome(self):
        """The first two messages."""
        assert self.pass_on(self.source, self.destination) == peer.HELLO
        assert self.pass_on(self.destination, self.source) == peer.WELCOME

    def close(self):
        self.source.close()
        self.destination.close()
