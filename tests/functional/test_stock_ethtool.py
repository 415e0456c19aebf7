"""What ethtool sets in Debian's stock kernel is what the device does, in the next process too."""

import re

import pytest

from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import Ping
from test_stock_hotplug import MAC, unplug, wait_for_nic

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

RSS, HASH_REPORT = 60, 57
DELAY_US = 300_000
GUEST_OPTIONS = {"nic": ",notf_coal=on"}
DEVICE_WORDS = {"driver": "virtio-net-pci", "id": "nic1", "netdev": "n1", "mac": MAC, "mq": "on", "rss": "on", "hash": "on"}


@pytest.fixture
def second(stock_guest):
    tap = Tap(multi_queue=True)
    yield tap
    tap.remove()


def packets_by_pair(guest, tap):
    """How many packets come by each queue pair of the second NIC while it is pinged 20 times.

    ARP has no hash: it comes by the first.
    """

    def read():
        return [pair["rx-packets"] for pair in guest.vmm.qmp.command("query-network-counters")[1]["queue-pairs"]]

    before = read()
    assert Ping(tap.guest, "-c", "20", "-i", "0.05").lost() == 0
    return [new - old for old, new in zip(before, read())]


def test_the_pair_that_receives_is_the_one_that_the_driver_chose(stock_guest, second):
    qmp = stock_guest.vmm.qmp
    netdev = {"type": "tap", "id": "n1", "ifname": second.name, "queues": 2}
    qmp.command("netdev_add", **netdev)
    qmp.command("device_add", **{key: value == "on" if value == "on" else value for key, value in DEVICE_WORDS.items()})
    name = wait_for_nic(stock_guest)
    stock_guest.output(f"ip address add {second.guest}/24 dev {name} && ip link set {name} up && ethtool -L {name} combined 2")
    features = stock_guest.output(f"cat /sys/class/net/{name}/device/features").strip()
    assert features[RSS] == features[HASH_REPORT] == "1", features
    for pair in (1, 0, 1):
        stock_guest.output(f"ethtool -X {name} start {pair} equal 1")
        by_pair = packets_by_pair(stock_guest, second)
        assert by_pair[pair] >= 20 and by_pair[1 - pair] < 10, by_pair
    device = ",".join(f"{key}={value}" for key, value in DEVICE_WORDS.items()).removeprefix("driver=")
    stock_guest.start_destinations(1, "-netdev", f"tap,id=n1,ifname={second.name},queues=2", "-device", device)
    with Ping(second.guest, "-c", "60", "-i", "0.05") as ping:
        stock_guest.hand_over()
        assert ping.lost() == 0
    by_pair = packets_by_pair(stock_guest, second)
    assert by_pair[1] >= 20 and by_pair[0] < 10, by_pair
    unplug(stock_guest)


def round_trips_us(guest):
    """The shortest and the longest of five; a packet that comes shortly after another one waits less."""
    output = Ping(guest.tap.guest, "-c", "5", "-i", "0.5").result()
    shortest, longest = re.search(r"= ([0-9.]+)/[0-9.]+/([0-9.]+)/", output).groups()
    return float(shortest) * 1000, float(longest) * 1000


def test_an_interrupt_waits_as_long_as_the_driver_asked_for(stock_guest):
    assert round_trips_us(stock_guest)[0] < DELAY_US / 2
    # Without a limit for what it sends, this driver would have to be down for it.
    stock_guest.output(f"ethtool -C eth0 rx-usecs {DELAY_US} rx-frames 1000 tx-frames 1", timeout=60)
    assert round_trips_us(stock_guest)[1] >= DELAY_US
    stock_guest.hand_over()
    assert round_trips_us(stock_guest)[1] >= DELAY_US
    stock_guest.output("ethtool -C eth0 rx-usecs 0 rx-frames 0 tx-frames 1", timeout=60)
    assert round_trips_us(stock_guest)[0] < DELAY_US / 2
