"""A multi-queue TAP whose queues a management program has opened: fds=A:B."""

import fcntl
import os
import struct

import pytest

import network
from flows import Flows
from guest import give, hand_over, prepare, settled
from vmm import descriptors

pytestmark = pytest.mark.probe

TUNSETIFF, TUNSETQUEUE = 0x400454CA, 0x400454D9
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100
IFF_DETACH_QUEUE = 0x0400

MISSING = (999, "name")


@pytest.fixture
def open_queue():
    """Opens a queue of a multi-queue TAP."""
    opened = []

    def attach(tap):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        opened.append(fd)
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", tap.name.encode(), flags))
        return fd

    yield attach
    for fd in opened:
        os.close(fd)


def refused(guest, fds, words):
    """A process with these queues ends at once, and says why."""
    netdev = f"tap,id=n0,fds={':'.join(map(str, fds))}"
    process = guest.launch(netdev=netdev, pass_fds=[fd for fd in fds if fd not in MISSING], qmp=False)
    assert process.wait() == 1
    for word in words:
        assert word in process.stderr(), process.stderr()


def test_a_guest_uses_queues_that_were_opened_for_it_and_keeps_them(make_guest, open_queue):
    guest = make_guest(queues=2)
    fds = [open_queue(guest.tap) for _ in range(2)]
    source = guest.boot(netdev=f"tap,id=n0,fds={fds[0]}:{fds[1]}", pass_fds=fds)
    assert guest.ask("net")["max_pairs"] == 2
    with Flows(guest, 2) as flows:
        destination = guest.destination(netdev="tap,id=n0,fds=77:78")
        hand_over(source, destination)
    assert flows.problems() == {}
    source.quit()
    guest.check()
    assert sum("tun" in target for target in descriptors(destination)) == 2


def test_a_guest_arrives_only_where_as_many_queues_are_named(make_guest, open_queue):
    guest = make_guest(queues=2)
    fds = [open_queue(guest.tap) for _ in range(2)]
    source = guest.boot(netdev=f"tap,id=n0,fds={fds[0]}:{fds[1]}", pass_fds=fds)
    destination = guest.destination(netdev="tap,id=n0,fds=77:78:79")
    prepare(source)
    uri = f"unix:{destination.directory}/{destination.name}.mig"
    destination.qmp.command("migrate-incoming", uri=uri, exit_on_error=False)
    assert give(source, uri)["status"] == "failed"
    print(settled(destination))
    guest.check()


def test_one_queue_given_twice_is_refused(make_guest, open_queue):
    many = make_guest(queues=2)
    fd = open_queue(many.tap)
    again = os.dup(fd)
    try:
        refused(many, [fd, again], ["queues 0 and 1", "are the same one"])
    finally:
        os.close(again)


def test_queues_of_two_taps_are_refused(make_guest, open_queue):
    guest = make_guest(queues=2)
    other = network.Tap(multi_queue=True)
    guest.taps.append(other)
    refused(guest, [open_queue(guest.tap), open_queue(other)], [f"queue 1 is of TAP '{other.name}'"])


def test_what_is_no_queue_or_a_detached_one_is_refused(make_guest, open_queue):
    guest = make_guest(queues=2)
    fd, detached = open_queue(guest.tap), open_queue(guest.tap)
    with open("/dev/null", "rb") as null:
        refused(guest, [fd, null.fileno()], ["is not a TAP"])
    refused(guest, [fd, MISSING[0]], ["999"])
    refused(guest, [fd, MISSING[1]], ["'name' has not been found"])
    fcntl.ioctl(detached, TUNSETQUEUE, struct.pack("16sH22x", b"", IFF_DETACH_QUEUE))
    refused(guest, [fd, detached], ["queue 1 of TAP", "is detached"])
