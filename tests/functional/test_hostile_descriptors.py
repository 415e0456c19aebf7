"""A real source, a real destination, and somebody in between who changes the descriptors that travel.

The destination ends and names what was wrong; the source takes the guest back, and nothing of it is missing.
"""

import fcntl
import os
import select
import socket
import struct

import pytest

import network
import peer
from false_destination import held_by
from guest import Guest, hand_over, settled
from peer import OwnershipWord, frame
from relay import Relay
from vmm import eventually

pytestmark = pytest.mark.probe

TUNSETIFF, TUNSETVNETHDRSZ = 0x400454CA, 0x400454D8
IFF_TUN, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 1, 2, 0x1000, 0x4000
TAP_OF_OURS = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR


@pytest.fixture(scope="module")
def shared(module_directory, nothing_left_by_module):
    """A guest with as many kinds of descriptors as one can have: TAP, console and its client, control socket."""
    console, control = f"{module_directory}/console", f"{module_directory}/control"
    guest = Guest(module_directory, serial=f"unix:{console},server=on,wait=off",
                  extra=("-qmp", f"unix:{control},server=on,wait=off"))
    guest.boot()
    client = socket.socket(socket.AF_UNIX)
    client.connect(console)
    yield guest
    try:
        hand_over_whole(guest, {"ram", "netdev n0", "console serial0", f"qmp-listener {control}"})
    finally:
        client.close()
        guest.remove()


def hand_over_whole(guest, what):
    """After all that: nobody has changed the memory, or a descriptor, on the way."""
    source = guest.vmms[0]
    assert source.status() == "running"
    guest.check()
    assert what <= set(hand_over(source, guest.destination())["moved"])
    source.quit()
    assert guest.ask()["boot_count"] == 1
    guest.check()


@pytest.fixture(scope="module")
def shared_other_tap(shared):
    tap = network.Tap()
    yield tap
    tap.remove()


def tun(flags, name=b"", mode=os.O_RDWR | os.O_NONBLOCK):
    fd = os.open("/dev/net/tun", mode)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("<16sH22x", name, flags))
    if flags & IFF_VNET_HDR:
        fcntl.ioctl(fd, TUNSETVNETHDRSZ, struct.pack("<i", 12))
    return fd


def one_end(pair):
    os.close(pair[1])
    return pair[0]


def epoll():
    with select.epoll() as poll:
        return os.dup(poll.fileno())


def one_socket(kind):
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    theirs.close()
    return ours.detach()


KINDS = {
    "/dev/null": lambda: os.open("/dev/null", os.O_RDWR),
    "a regular file": lambda: os.open("/etc/hostname", os.O_RDONLY),
    "a directory": lambda: os.open("/", os.O_RDONLY),
    "a path only": lambda: os.open("/dev/net/tun", os.O_PATH),
    "a pipe": lambda: one_end(os.pipe()),
    "a stream socket": lambda: one_socket(socket.SOCK_STREAM),
    "a datagram socket": lambda: one_socket(socket.SOCK_DGRAM),
    "an unsealed memfd": lambda: peer.sealed_memfd(4096, 0),
    "a sealed memfd of another size": lambda: peer.sealed_memfd(8192),
    "a sealed memfd that nobody may write": lambda: peer.sealed_memfd(
        4096, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE),
    "an eventfd": lambda: os.eventfd(0),
    "an epoll": epoll,
    "a pidfd": lambda: os.pidfd_open(os.getpid()),
    "a TUN": lambda: tun(IFF_TUN | IFF_NO_PI),
    "an open /dev/net/tun": lambda: os.open("/dev/net/tun", os.O_RDWR),
}

# Where a descriptor travels, which one it is there, and what the refusal names.
PLACES = {
    "RAM": (peer.PREPARE, 0, "guest RAM"),
    "ownership word": (peer.PREPARE, 1, "ownership word"),
    "TAP": (peer.STATE, ("netdev n0", 0), "netdev n0"),
    "console": (peer.STATE, ("console serial0", 0), "console serial0"),
    "console's client": (peer.STATE, ("console serial0", 1), "console serial0"),
    "control socket": (peer.STATE, ("qmp-listener", 0), "qmp-listener"),
}


def index_of(message, place):
    """The index in the message of a descriptor: itself, or of the section of that name the nth."""
    if message.kind == peer.PREPARE:
        return place
    name, number = place
    section, = [section for section in peer.sections_of(message.kind, message.body) if section.name.startswith(name)]
    return section.indices[number]


def try_with(guest, kind, change, *words):
    """A hand-over in which that message is changed, and its end as it must be."""
    source = guest.vmms[0]
    # The pause's limit is for those who say nothing.
    source.qmp.command("migrate-set-parameters", downtime_limit=20000)
    files = held_by(source)
    destination = guest.destination()
    relay = Relay(guest, source, destination)
    try:
        relay.welcome()
        word = None

        def look(message):
            nonlocal word
            if message.kind == peer.PREPARE:
                word = OwnershipWord(message.fds[1])
            # What is not sent is closed with the rest.
            return change(message) if message.kind == kind else (
                frame(message.kind, message.body, fds=len(message.fds)), message.fds)

        relay.pass_on(relay.source, relay.destination, look)
        if kind == peer.STATE:
            assert relay.pass_on(relay.destination, relay.source) == peer.READY
            relay.pass_on(relay.source, relay.destination, look)
        answer = relay.destination.receive()
        assert answer.kind == peer.REFUSED
        relay.source.send(frame(peer.REFUSED, answer.body))
        info = settled(source)
        for word_of_it in words:
            assert word_of_it in answer.reason(), answer.reason()
            assert word_of_it in info["error-desc"], info
        assert info["status"] == "failed", info
        return destination, answer.reason()
    finally:
        relay.close()
        if word is not None:
            # Nobody took what was not given.
            assert word.value == peer.TAKEN_BACK
        assert source.status() == "running"
        assert guest.ask()["boot_count"] == 1
        eventually(lambda: held_by(source) == files, 5.0, "the same descriptors as before")


def ends(guest, destination, reason):
    assert destination.wait(10) == 1, destination.stderr()
    lines = [line for line in destination.stderr().splitlines() if "did not come in" in line]
    assert len(lines) == 1 and reason in lines[0], (reason, destination.stderr())
    guest.forget(destination)


def waits_on(guest, destination):
    """What cannot be read has changed nothing: the destination is as good as before."""
    assert destination.alive() and destination.status() == "inmigrate"
    destination.quit()
    guest.forget(destination)


def sent_with(message, fds, announced=None):
    return frame(message.kind, message.body, fds=len(fds) if announced is None else announced), fds


FITTING = {("console's client", "a stream socket")}


@pytest.mark.parametrize("place, what", [(p, k) for p in PLACES for k in KINDS if (p, k) not in FITTING])
def test_a_descriptor_of_another_kind_is_refused_by_name(shared, place, what):
    kind, which, name = PLACES[place]
    wrong = KINDS[what]()

    def change(message):
        fds = list(message.fds)
        fds[index_of(message, which)] = wrong
        return sent_with(message, fds)

    try:
        ends(shared, *try_with(shared, kind, change, name))
    finally:
        os.close(wrong)


def listening(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    os.unlink(path)
    return sock.detach()


def test_a_listening_socket_is_no_client_of_a_console(shared, directory):
    wrong = listening(f"{directory}/listening")

    def change(message):
        fds = list(message.fds)
        fds[index_of(message, ("console serial0", 1))] = wrong
        return sent_with(message, fds)

    ends(shared, *try_with(shared, peer.STATE, change, "console serial0", "listening"))
    os.close(wrong)


def test_another_tap_is_refused_by_its_name(shared, shared_other_tap):
    wrong = tun(TAP_OF_OURS, shared_other_tap.name.encode())

    def change(message):
        fds = list(message.fds)
        fds[index_of(message, ("netdev n0", 0))] = wrong
        return sent_with(message, fds)

    try:
        ends(shared, *try_with(shared, peer.STATE, change, "netdev n0", shared_other_tap.name, shared.tap.name))
    finally:
        os.close(wrong)


@pytest.mark.parametrize("flags, mode, words", [
    (TAP_OF_OURS, os.O_RDWR, "blocks its reader"),
    (TAP_OF_OURS, os.O_RDONLY | os.O_NONBLOCK, "not open for reading and writing"),
    (TAP_OF_OURS, os.O_WRONLY | os.O_NONBLOCK, "not open for reading and writing"),
    (IFF_TAP | IFF_NO_PI, os.O_RDWR | os.O_NONBLOCK, "vnet header"),
])
def test_a_tap_that_is_made_otherwise_is_refused(shared, flags, mode, words):
    """It has the name that is announced: the source calls it by its own."""
    name = shared.tap.name.replace("tap", "tax")
    wrong = tun(flags, name.encode(), mode)

    def change(message):
        fds = list(message.fds)
        fds[index_of(message, ("netdev n0", 0))] = wrong
        body = message.body.replace(peer.text(shared.tap.name), peer.text(name))
        return frame(message.kind, body, fds=len(fds)), fds

    try:
        ends(shared, *try_with(shared, peer.STATE, change, "netdev n0", name, words))
    finally:
        os.close(wrong)


def test_ram_that_nobody_may_write_is_refused(shared):
    wrong = peer.sealed_memfd(64 << 20, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    try:
        ends(shared, *try_with(shared, peer.PREPARE,
                               lambda message: sent_with(message, [wrong, message.fds[1]]), "guest RAM"))
    finally:
        os.close(wrong)


@pytest.mark.parametrize("kind, first, second, swapped, twice", [
    (peer.PREPARE, 0, 1, "ownership word", "guest RAM"),
    (peer.STATE, ("netdev n0", 0), ("console serial0", 1), "netdev n0", "netdev n0"),
    (peer.STATE, ("netdev n0", 0), ("console serial0", 0), "netdev n0", "netdev n0"),
    (peer.STATE, ("netdev n0", 0), ("qmp-listener", 0), "qmp-listener", "netdev n0"),
    (peer.STATE, ("console serial0", 0), ("console serial0", 1), "console serial0", "console serial0"),
])
@pytest.mark.parametrize("how", ["swapped", "the second twice"])
def test_descriptors_in_each_others_place_are_refused(shared, kind, first, second, swapped, twice, how):
    def change(message):
        fds = list(message.fds)
        a, b = index_of(message, first), index_of(message, second)
        fds[a], fds[b] = fds[b], fds[a] if how == "swapped" else fds[b]
        return sent_with(message, fds)

    ends(shared, *try_with(shared, kind, change, swapped if how == "swapped" else twice))


@pytest.mark.parametrize("which", [("netdev n0", 0), ("console serial0", 0)])
def test_a_section_without_its_descriptors_is_refused_by_name(shared, which):
    """The others are there, as many as the message says."""
    def change(message):
        section, = [s for s in peer.sections_of(message.kind, message.body) if s.name == which[0]]
        body = message.body[:section.fds - 4] + struct.pack("<I", 0) + message.body[section.end:]
        kept = [index for index in range(len(message.fds)) if index not in section.indices]
        for other in peer.sections_of(message.kind, body):
            renumbered = [kept.index(index) for index in other.indices]
            body = body[:other.fds] + struct.pack(f"<{len(renumbered)}I", *renumbered) + body[other.end:]
        fds = [message.fds[index] for index in kept]
        return frame(message.kind, body, fds=len(fds)), fds

    ends(shared, *try_with(shared, peer.STATE, change, which[0]))


@pytest.mark.parametrize("kind", [peer.PREPARE, peer.STATE])
@pytest.mark.parametrize("what, words", [
    ("one less, and announced", ["file descriptor"]),
    ("one less than announced", ["file descriptors arrived where"]),
    ("none", ["file descriptor"]),
    ("one more, and announced", ["1 file descriptors arrived that nobody claims"]),
    ("one more than announced", ["1 file descriptors arrived that belong to no message"]),
    ("200 more, and announced", ["200 file descriptors arrived that nobody claims"]),
    ("253 in all, and announced", ["more file descriptors arrived than this process may hold"]),
    ("more than any message has", ["file descriptors"]),
])
def test_too_few_and_too_many_descriptors_are_refused(shared, kind, what, words):
    more = os.open("/dev/null", os.O_RDONLY)

    def change(message):
        fds = list(message.fds)
        if what.startswith("one less"):
            return sent_with(message, fds[:-1], None if "and" in what else len(fds))
        if what == "none":
            return sent_with(message, [])
        if what == "more than any message has":
            return sent_with(message, fds, 0xFFFFFFFF)
        added = {"one": 1, "200": 200, "253": 253 - len(fds)}[what.split()[0]]
        return sent_with(message, [*fds, *[more] * added], None if "and" in what else len(fds))

    try:
        destination, reason = try_with(shared, kind, change, *words)
    finally:
        os.close(more)
    if kind == peer.PREPARE:
        waits_on(shared, destination)
    else:
        ends(shared, destination, reason)


@pytest.mark.parametrize("kind", [peer.PREPARE, peer.STATE])
def test_a_descriptor_that_two_fields_name_is_refused(shared, kind):
    def change(message):
        if kind == peer.PREPARE:
            body = struct.pack("<II", 1, 1) + message.body[8:]
        else:
            first, second = [s for s in peer.sections_of(kind, message.body) if s.indices][:2]
            body = message.body[:second.fds] + struct.pack("<I", first.indices[0]) + message.body[second.fds + 4:]
        return frame(kind, body, fds=len(message.fds)), message.fds

    destination, reason = try_with(shared, kind, change, "file descriptor", "twice")
    if kind == peer.PREPARE:
        waits_on(shared, destination)
    else:
        ends(shared, destination, reason)


@pytest.fixture(scope="module")
def shared_with_file(module_directory, nothing_left_by_module):
    """A guest whose console is a file, which is another back end."""
    path = module_directory / "file"
    path.mkdir()
    guest = Guest(path, serial=f"file:{path}/console")
    guest.boot()
    yield guest
    guest.remove()


@pytest.mark.parametrize("what, make", [
    ("a directory", KINDS["a directory"]),
    ("a path only", KINDS["a path only"]),
    ("a file that is open for reading", KINDS["a regular file"]),
    ("an eventfd", KINDS["an eventfd"]),
    ("an epoll", KINDS["an epoll"]),
])
def test_what_no_bytes_flow_into_is_no_console(shared_with_file, what, make):
    del what
    wrong = make()

    def change(message):
        fds = list(message.fds)
        fds[index_of(message, ("console serial0", 0))] = wrong
        return sent_with(message, fds)

    ends(shared_with_file, *try_with(shared_with_file, peer.STATE, change, "console"))
    os.close(wrong)
