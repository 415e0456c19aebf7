"""The dgram back end from outside: this test is the peer."""

import socket

import pytest

from guest import MAC
from test_multiqueue import check_at_nine_tenths_of_the_highest_rate
from test_stream import Traffic, move
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


@pytest.mark.parametrize("over", [over_unix, over_udp])
def test_twenty_hand_overs_at_nine_tenths_of_the_highest_rate(make_guest, directory, over):
    wire, words = over(directory)
    with wire.sock:
        guest = make_guest(netdev=f"dgram,id=n0,{words}")
        process = guest.launch()
        with Plug(wire, guest.tap):
            guest.wait_until_ready()
            # A UDP socket keeps fewer datagrams than a TAP: what arrives in a few tenths of a second at this rate.
            check_at_nine_tenths_of_the_highest_rate(guest, process, most=1000).quit()
    (directory / "peer").unlink(missing_ok=True)
