"""Debian's stock kernel behind a datagram socket: TCP in both directions, byte for byte, across hand-overs."""

import socket

import pytest

import stock
from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from test_stock_stream import test_iperf3_and_checked_bytes_cross_hand_overs  # noqa: F401
from wire import DgramWire, Plug

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock


class DgramGuest(stock.StockGuest):
    """Its TAP is plugged to the socket that its network sends to."""

    def __init__(self, directory):
        self._wire = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._wire.bind(f"{directory}/peer")
        super().__init__(directory, tap=Tap(vnet_hdr=False))
        self._plug = Plug(DgramWire(self._wire, f"{directory}/net"), self.tap)
        self._plug.__enter__()

    def _network_words(self):
        return ["-netdev", f"dgram,id=n0,local.type=unix,local.path={self.directory}/net,"
                           f"remote.type=unix,remote.path={self.directory}/peer",
                "-device", f"virtio-net-pci,netdev=n0,mac={stock.MAC}"]

    def close(self):
        self._plug.__exit__()
        self._wire.close()
        super().close()
        (self.directory / "peer").unlink()


GUEST = DgramGuest
