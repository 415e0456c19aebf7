"""The stock guest with two processors: both work, and both go on after a hand-over."""

import pytest

from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import EchoedStream, UdpProbe

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

GUEST_OPTIONS = {"vcpus": 2}


def work_on(guest, processor):
    """Has one processor compute something."""
    return guest.output(f"taskset -c {processor} sh -c 'i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo $i'").strip()


def test_both_processors_are_up_and_work(stock_guest):
    assert stock_guest.output("nproc").strip() == "2"
    assert len(stock_guest.vmm.qmp.command("query-cpus-fast")) == 2
    assert [work_on(stock_guest, processor) for processor in (0, 1)] == ["2000", "2000"]


def test_both_processors_go_on_after_hand_overs_under_load(stock_guest):
    stock_guest.start_destinations(3)
    # Not ping: its socket holds 64 KiB, less than what comes at once after a pause of this busy host.
    with UdpProbe(stock_guest.tap.guest, 200) as probe, EchoedStream(stock_guest.tap.guest) as stream:
        for _ in range(3):
            stock_guest.hand_over()
        assert stream.finish() > 0
        report = probe.report()
    assert (report["lost"], report["duplicated"]) == (0, 0), report
    assert report["replies"] > 100, report
    assert [work_on(stock_guest, processor) for processor in (0, 1)] == ["2000", "2000"]


def test_the_processors_clocks_agree_after_a_hand_over(stock_guest):
    """Read in turn on one processor and the other, time goes forward only."""
    stock_guest.hand_over()
    line = "for i in 1 2 3 4 5 6 7 8 9 10; do for c in 0 1; do taskset -c $c cat /proc/uptime; done; done"
    uptimes = [float(text.split()[0]) for text in stock_guest.output(line).strip().splitlines()]
    assert len(uptimes) == 20
    assert uptimes == sorted(uptimes)


def test_a_processor_taken_offline_comes_back_after_a_hand_over(stock_guest):
    online = "/sys/devices/system/cpu/cpu1/online"
    stock_guest.output(f"echo 0 >{online}")
    stock_guest.hand_over()
    stock_guest.output(f"echo 1 >{online}")
    assert stock_guest.output("nproc").strip() == "2"
    assert work_on(stock_guest, 1) == "2000"


def test_power_off_ends_the_process_with_0(stock_guest):
    stock_guest.order("poweroff -f").close()
    assert stock_guest.vmm.wait(30) == 0
