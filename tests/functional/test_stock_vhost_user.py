"""Debian's stock kernel whose rings DPDK's testpmd serves: TCP in both directions, byte for byte, across hand-overs."""

import pathlib

import pytest

import stock
from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from test_stock_stream import test_iperf3_and_checked_bytes_cross_hand_overs  # noqa: F401
from testpmd import Testpmd

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock


class VhostUserGuest(stock.StockGuest):
    """Its peer makes the TAP."""

    def __init__(self, directory):
        tap = Tap()
        tap.remove()
        self.peer = Testpmd(pathlib.Path(directory), tap, f"{directory}/vu")
        super().__init__(directory, tap=tap)

    def _network_words(self):
        return ["-chardev", f"socket,id=c0,path={self.peer.path}", "-netdev", "vhost-user,id=n0,chardev=c0",
                "-device", f"virtio-net-pci,netdev=n0,mac={stock.MAC}"]

    def lasting(self):
        return super().lasting() | {self.peer.process.pid}

    def close(self):
        super().close()
        self.peer.remove()


GUEST = VhostUserGuest


def test_the_peer_notices_nothing(stock_guest):
    seen, sockets = stock_guest.peer.seen(), stock_guest.peer.sockets()
    assert seen
    for _ in range(3):
        stock_guest.hand_over()
    assert stock_guest.answers()
    assert (stock_guest.peer.seen(), stock_guest.peer.sockets()) == (seen, sockets)
