"""Debian's stock kernel behind a stream socket: TCP in both directions, byte for byte, across hand-overs."""

import socket

import pytest

import stock
from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import EchoedStream, Iperf3
from test_stock import hand_over_while
from wire import Plug, StreamWire

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock


class StreamGuest(stock.StockGuest):
    """Its TAP is plugged to the other end of the socket that is its network."""

    def __init__(self, directory):
        super().__init__(directory, tap=Tap(vnet_hdr=False))
        self._wire = socket.socket(socket.AF_UNIX)
        self._wire.connect(str(self.directory / "net"))
        self._plug = Plug(StreamWire(self._wire), self.tap)
        self._plug.__enter__()

    def _network_words(self):
        return ["-netdev", f"stream,id=n0,server=on,addr.type=unix,addr.path={self.directory}/net",
                "-device", f"virtio-net-pci,netdev=n0,mac={stock.MAC}"]

    def close(self):
        self._plug.__exit__()
        self._wire.close()
        super().close()


GUEST = StreamGuest


@pytest.mark.parametrize("reverse", [False, True], ids=["to_the_guest", "from_the_guest"])
def test_iperf3_and_checked_bytes_cross_hand_overs(stock_guest, reverse):
    stock_guest.start_destinations(4)
    with Iperf3(stock_guest.tap.guest, 8, reverse) as iperf3, EchoedStream(stock_guest.tap.guest, 0.05) as stream:
        hand_over_while(stock_guest, iperf3.running)
        megabits = iperf3.megabits_per_second()
        verified = stream.finish()
    print(f"{megabits:.1f} Mbit/s, {verified} bytes of TCP verified")
    assert megabits > 0 and verified > 0
