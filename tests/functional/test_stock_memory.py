"""The stock guest with more memory than fits below 4 GiB: it uses what is above, and takes it along."""

import re

import pytest

from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import Ping

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

# The host's memory is used only where the guest touches it, so the host need not have as much.
GUEST_OPTIONS = {"memory": "5G"}
FOUR_GIB = 4 << 30


def test_all_memory_is_found_and_used_above_4_gib(stock_guest):
    total_kib = int(re.search(r"MemTotal: +(\d+) kB", stock_guest.output("cat /proc/meminfo"))[1])
    assert total_kib > 4.7 * (1 << 20)
    ends = re.findall(r"BIOS-e820: \[mem 0x[0-9a-f]+-0x([0-9a-f]+)\] usable", stock_guest.kernel_log())
    assert max(int(end, 16) for end in ends) > FOUR_GIB
    # Pages of the zone above 4 GiB that are in use.
    normal = stock_guest.output("cat /proc/zoneinfo").split("zone   Normal")[1]
    free, present = (int(re.search(rf"{word} +(\d+)", normal)[1]) for word in ("pages free", "present"))
    assert present > free


def test_memory_above_4_gib_crosses_a_hand_over(stock_guest):
    stock_guest.output("seq 1 200000 >/tmp/numbers")
    before = stock_guest.output("sha256sum /tmp/numbers")
    stock_guest.hand_over()
    assert stock_guest.output("echo 3 >/proc/sys/vm/drop_caches; sha256sum /tmp/numbers") == before
    assert Ping(stock_guest.tap.guest, "-c", "20", "-i", "0.02").lost() == 0
