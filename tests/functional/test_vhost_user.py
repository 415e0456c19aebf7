"""A guest whose rings another process serves: DPDK's testpmd, which is not to notice who holds the guest."""

import time

import pytest

from flows import Flows
from guest import UdpProbe, catches_up, hand_over, move, prepare
from qmp import QmpError
from test_multiqueue import at_a_rate
from test_upgrade import Upgradable
from testpmd import Testpmd
from vmm import eventually

HAND_OVERS = 20

pytestmark = pytest.mark.probe


@pytest.fixture
def serve(make_guest, directory):
    """Makes a guest, its processes' words and, unless `peer` is off, its peer."""
    peers = []

    def start(pairs=None, server=False, chardev="", peer=True, **options):
        path = f"{directory}/vu"
        guest = make_guest(queues=pairs, **options)
        # The peer makes one of the same name.
        guest.tap.remove()
        guest.options["netdev"] = f"vhost-user,id=n0,chardev=c0,queues={pairs or 1}"
        guest.options["extra"] = ("-chardev", f"socket,id=c0,path={path}{',server=on' if server else ''}{chardev}")

        def connect():
            peers.append(Testpmd(directory, guest.tap, path, pairs or 1, client=server))
            return peers[-1]

        return guest, connect() if peer else connect

    yield start
    for peer in peers:
        peer.remove()


@pytest.mark.parametrize("pairs", [1, 2])
def test_the_peer_notices_nothing_of_twenty_hand_overs_under_traffic(serve, pairs):
    guest, peer = serve(pairs)
    process = guest.boot()
    assert guest.ask("net")["pairs"] == pairs
    with Flows(guest, pairs) as flows:
        time.sleep(0.2)
        seen, sockets = peer.seen(), peer.sockets()
        assert seen
        process = move(guest, process, HAND_OVERS)
        time.sleep(0.2)
        assert peer.seen() == seen
        assert peer.sockets() == sockets
    assert flows.problems() == {}
    assert all(sent > 0 for sent in flows.sent().values())
    assert guest.ask()["boot_count"] == 1
    guest.check()


def loses_without_hand_overs(guest, rate):
    """Whether packets are lost when processes start and end beside the guest's.

    Unlike a TAP, the peer drops what the ring has no room for, and keeps a processor busy by looking for more: on two
    processors a new process alone may cost packets.
    """
    with UdpProbe(guest.tap.guest, rate=rate) as stream:
        for _ in range(HAND_OVERS // 2):
            guest.forget(guest.destination())
            if not catches_up(guest.tap.guest):
                return True
    return stream.report["lost"] != 0


@at_a_rate
def test_hand_overs_at_nine_tenths_of_the_highest_rate_lose_nothing(serve):
    """The rings are the longest there are, for the same reason."""
    guest, peer = serve()
    guest.options["device"] += ",rx_queue_size=1024,tx_queue_size=1024"
    process = guest.boot()
    rate = guest.loss_free_rate()
    for _ in range(8):
        while loses_without_hand_overs(guest, rate):
            rate *= 0.7
        print(f"highest rate without loss, with processes that start and end: {rate:.0f} packets per second")
        seen = peer.seen()
        with UdpProbe(guest.tap.guest, rate=0.9 * rate) as stream:
            process = move(guest, process, HAND_OVERS, catch_up=True)
        report = stream.report
        print(f"{HAND_OVERS} hand-overs at {0.9 * rate:.0f} packets per second: "
              f"{report['lost']} of {report['sent']} lost")
        assert peer.seen() == seen
        # What the peer drops because the ring is full, as it did not in the search: the guest was too slow meanwhile.
        if report["lost"] == 0:
            break
        rate *= 0.7
    assert (report["lost"], report["duplicated"], report["reordered"]) == (0, 0, 0), report
    guest.check()


def test_a_stopped_guest_s_rings_stand_still_and_go_on_where_they_stood(serve):
    guest, peer = serve(2)
    process = guest.boot()
    seen = len(peer.seen())
    process.qmp.command("stop")
    assert peer.seen()[seen:] == ["read message VHOST_USER_GET_VRING_BASE"] * 4
    # Stopped, it moves too.
    process = move(guest, process)
    assert process.status() == "paused"
    assert len(peer.seen()) == seen + 4
    process.qmp.command("cont")
    assert guest.answers(10.0)
    with Flows(guest, 2) as flows:
        process = move(guest, process, 2)
    assert flows.problems() == {}
    guest.check()


def test_a_guest_that_arrives_paused_has_its_rings_stopped_until_cont(serve):
    guest, peer = serve()
    process = guest.boot()
    seen = len(peer.seen())
    destination = guest.destination("-S")
    hand_over(process, destination)
    process.quit()
    assert destination.status() == "paused"
    stopped = ["read message VHOST_USER_GET_VRING_BASE"] * 2
    eventually(lambda: peer.seen()[seen:] == stopped, 10.0, "the rings stopped")
    # With the link down they stay so.
    destination.qmp.command("set_link", name="n0", up=False)
    destination.qmp.command("cont")
    assert not guest.answers(1.0)
    assert peer.seen()[seen:] == stopped
    destination.qmp.command("set_link", name="n0", up=True)
    assert guest.answers(10.0)
    guest.check()


def test_a_reset_guest_sets_its_peer_up_again(serve):
    guest, peer = serve()
    process = guest.boot()
    process = move(guest, process)
    process.qmp.command("system_reset")
    guest.wait_until_ready()
    seen = peer.seen()
    process = move(guest, process)
    assert peer.seen() == seen
    assert guest.answers(10.0)


def test_a_peer_that_connects_to_the_guest_moves_as_well(serve):
    guest, connect = serve(server=True, peer=False)
    process = guest.launch(qmp=False)
    peer = connect()
    guest.wait_until_ready()
    seen = peer.seen()
    with Flows(guest, 1) as flows:
        process = move(guest, process, 3)
    assert flows.problems() == {}
    assert peer.seen() == seen


def backend(process):
    [nic] = [entry for entry in process.qmp.command("query-backend-transfer-support") if entry["backend"] == "n0"]
    return nic


def test_a_peer_that_dies_takes_the_link_with_it_and_its_successor_goes_on(serve, directory):
    guest, peer = serve(chardev=",reconnect-ms=100")
    process = guest.boot()
    assert backend(process)["supported"]
    peer.kill()
    process.qmp.wait_event("NETDEV_VHOST_USER_DISCONNECTED")
    support = backend(process)
    assert not support["supported"] and "nobody is connected to its chardev 'c0'" in support["reason"]
    prepare(process)
    with pytest.raises(QmpError, match="netdev n0 cannot move: nobody is connected"):
        process.qmp.command("migrate", uri=f"unix:{directory}/nobody")
    assert process.status() == "running"
    successor = Testpmd(directory, guest.tap, peer.path)
    try:
        event = process.qmp.wait_event("NETDEV_VHOST_USER_CONNECTED")
        assert event["data"] == {"netdev-id": "n0", "chardev-id": "c0"}
        assert eventually(guest.answers, 30.0, "an answer by the new peer")
        seen = successor.seen()
        move(guest, process)
        assert successor.seen() == seen
        assert guest.answers(10.0)
    finally:
        successor.remove()


@pytest.mark.parametrize("server", [False, True])
def test_a_peer_that_dies_after_a_hand_over_has_a_successor_too(serve, directory, server):
    guest, connect = serve(server=server, chardev="" if server else ",reconnect-ms=100", peer=False)
    peer = None if server else connect()
    process = guest.launch(qmp=False)
    peer = peer or connect()
    guest.wait_until_ready()
    process = move(guest, process)
    peer.kill()
    process.qmp.wait_event("NETDEV_VHOST_USER_DISCONNECTED")
    successor = Testpmd(directory, guest.tap, peer.path, client=server)
    try:
        process.qmp.wait_event("NETDEV_VHOST_USER_CONNECTED")
        assert eventually(guest.answers, 30.0, "an answer by the new peer")
        with Flows(guest, 1) as flows:
            move(guest, process)
        assert flows.problems() == {}
        assert guest.ask()["boot_count"] == 1
        guest.check()
    finally:
        successor.remove()


@pytest.mark.usefixtures("runtime_directory")
def test_an_upgrade_is_nothing_to_the_peer(serve):
    guest, peer = serve(2, chardev=",reconnect-ms=100")
    running = Upgradable(guest)
    seen, sockets = peer.seen(), peer.sockets()
    with Flows(guest, 2) as flows:
        for _ in range(3):
            done = running.upgrade()
            assert done.returncode == 0, done.stderr
            assert "netdev n0" in done.stdout
    assert flows.problems() == {}
    assert (peer.seen(), peer.sockets()) == (seen, sockets)
    assert f"socket,id=c0,path={peer.path},reconnect-ms=100" in running.ask("query-process")["command-line"]
    running.end()


def test_what_would_leave_the_peer_behind_is_refused(serve, directory):
    guest, _ = serve(device="virtio-net-pci,netdev=n0,mac=52:54:00:00:00:17,backend-transfer=off")
    process = guest.boot()
    prepare(process)
    with pytest.raises(QmpError, match="netdev n0 has to move with the guest"):
        process.qmp.command("migrate", uri=f"unix:{directory}/nobody")
    prepare(process, backend_transfer=False)
    with pytest.raises(QmpError, match="netdev 'n0': RAM cannot be copied"):
        process.qmp.command("migrate", uri=f"unix:{directory}/nobody")
    assert process.status() == "running"
    assert guest.answers()


def test_a_chardev_is_no_second_netdev_s(serve):
    guest, peer = serve()
    process = guest.boot()
    seen = peer.seen()
    with pytest.raises(QmpError, match="chardev 'c0' is used twice: a vhost-user netdev has it to itself"):
        process.qmp.command("netdev_add", type="vhost-user", id="n1", chardev="c0")
    assert peer.seen() == seen
    assert guest.answers()
