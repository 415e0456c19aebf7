"""Debian's stock kernel with packed rings: its own driver of them, traffic, and hand-overs under it."""

import pytest

from stock import GuestSilent
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import EchoedStream, Iperf3, UdpProbe
from test_stock import hand_over_while
from vmm import eventually

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

GUEST_OPTIONS = {"nic": ",packed=on"}
RING_PACKED = 34


def test_the_driver_uses_packed_rings(stock_guest):
    assert stock_guest.output("cat /sys/bus/virtio/devices/virtio0/features").strip()[RING_PACKED] == "1"


@pytest.mark.parametrize("reverse", [False, True], ids=["to_the_guest", "from_the_guest"])
def test_a_tcp_stream_survives_hand_overs(stock_guest, reverse):
    stock_guest.start_destinations(3)
    with Iperf3(stock_guest.tap.guest, 6, reverse) as iperf3:
        hand_over_while(stock_guest, iperf3.running, times=3)
        assert iperf3.megabits_per_second() > 1


def test_datagrams_and_checked_bytes_cross_hand_overs_without_loss(stock_guest):
    stock_guest.start_destinations(3)
    with UdpProbe(stock_guest.tap.guest, 300) as probe, EchoedStream(stock_guest.tap.guest) as stream:
        hand_over_while(stock_guest, probe.running, times=3)
        report = probe.report()
        assert stream.finish() > 0
    assert report["sent"] > 300
    assert (report["lost"], report["duplicated"]) == (0, 0), report


def test_a_driver_begins_anew_after_a_hand_over(stock_guest):
    """Its rings start at the beginning again, wherever they were."""
    stock_guest.hand_over()
    address = f"{stock_guest.tap.guest}/24"
    index = "cat /sys/bus/virtio/devices/virtio0/net/*/ifindex"
    before = stock_guest.output(index)

    def has_begun_anew():
        # It answers before the driver is unbound, too.
        try:
            output, status = stock_guest.command(index, 5)
        except GuestSilent:
            return False
        return status == 0 and output != before

    with stock_guest.order(
            "cd /sys/bus/virtio/drivers/virtio_net && echo virtio0 >unbind && echo virtio0 >bind && sleep 1 && "
            f"dev=$(ls ../../devices/virtio0/net) && ip address add {address} dev $dev && ip link set $dev up"):
        eventually(has_begun_anew, 30, "the driver's new device")
    stock_guest.hand_over()
    assert stock_guest.output(f"ip -o address | grep -c {address}").strip() == "1"
