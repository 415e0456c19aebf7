"""The dgram back end from outside: this test is the peer."""

import socket

import pytest

from guest import MAC, move
from test_multiqueue import at_a_rate, check_at_nine_tenths_of_the_highest_rate
from test_stream import Traffic
from wire import DgramWire, Host, Plug

pytestmark = pytest.mark.probe


def over_unix(directory):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(directory / "peer"))
    to = str(directory / "net")
    words = f"local.type=unix,local.path={to},remote.type=unix,remote.path={directory}/peer"
    return DgramWire(sock, to), words


def over_udp(_):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = (f"local.type=inet,local.host=127.0.0.1,local.port={port},"
             f"remote.type=inet,remote.host=127.0.0.1,remote.port={sock.getsockname()[1]}")
    return DgramWire(sock, ("127.0.0.1", port)), words


@pytest.mark.parametrize("over", [over_unix, over_udp])
def test_the_socket_moves_twenty_times_under_traffic(make_guest, directory, over):
    wire, words = over(directory)
    with wire.sock:
        guest = make_guest(netdev=f"dgram,id=n0,{words}")
        process = guest.launch()
        host = Host(wire, guest.tap.guest, MAC, guest.tap.host)
        host.wait_for_guest()
        with Traffic(host):
            for _ in range(20):
                process = move(guest, process)
        assert host.sent > 20
        assert host.lost() == [] and host.duplicated() == []
        process.quit()
    assert not (directory / "net").exists()
    (directory / "peer").unlink(missing_ok=True)


def check_at_nine_tenths(wire, guest, process):
    with Plug(wire, guest.tap):
        guest.wait_until_ready()
        check_at_nine_tenths_of_the_highest_rate(guest, process, Plug.MOST).quit()


@at_a_rate
def test_twenty_hand_overs_at_nine_tenths_of_the_highest_rate_over_unix(make_guest, directory):
    wire, words = over_unix(directory)
    with wire.sock:
        guest = make_guest(netdev=f"dgram,id=n0,{words}")
        check_at_nine_tenths(wire, guest, guest.launch())
    (directory / "peer").unlink()


def connected_udp_sockets():
    """They keep as much as a TAP, which takes a privilege: no longer pause of a busy machine fills them."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for sock in sockets:
        sock.bind(("127.0.0.1", 0))
        sock.setsockopt(socket.SOL_SOCKET, getattr(socket, "SO_RCVBUFFORCE", 33), 4 << 20)
    for sock, other in zip(sockets, reversed(sockets)):
        sock.connect(other.getsockname())
    return sockets


@at_a_rate
def test_twenty_hand_overs_at_nine_tenths_of_the_highest_rate_over_udp(make_guest):
    ours, theirs = connected_udp_sockets()
    with ours, theirs:
        guest = make_guest(netdev=f"dgram,id=n0,local.type=fd,local.str={theirs.fileno()}")
        process = guest.launch(pass_fds=[theirs.fileno()])
        check_at_nine_tenths(DgramWire(ours), guest, process)
