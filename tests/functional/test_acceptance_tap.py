"""The test that the proposals of moving a TAP came with, in our own words, as a user of QEMU would run it.

A multi-queue `tap0` with four queue pairs; a stock guest started with -S, whose network card is plugged in by netdev_add
and device_add before `cont`; RAM that other processes can map; migration events; `ping -i 0` with time stamps through the
whole.  The guest moves with its TAP, without losing a packet, and to a new TAP, where packets may be lost only in the
outage itself.
"""

import re
import signal
import subprocess
import time

import pytest

import stock
import stock_repeat
from guest import hand_over, prepare
from network import Bridge, Tap
from vmm import eventually, knows

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

QUEUES = 4
# A processor for each of two of the queue pairs, which is as many as the guest then uses.
VCPUS = 2
RAM = "256M"


class PluggedGuest(stock.StockGuest):
    """The stock guest without a network card of the command line; `netdev` and `device` are plugged into each process."""

    def __init__(self, directory, netdev, device):
        self.netdev = {"type": "tap", "id": "netdev0", "script": "no", "downscript": "no", "queues": QUEUES,
                       "vnet_hdr": True, **netdev}
        self.device = {"driver": "virtio-net-pci", "id": "vnet0", "netdev": "netdev0", "mq": True, "mac": stock.MAC, **device}
        super().__init__(
            directory, "-object", f"memory-backend-memfd,id=ram,size={RAM},share=on", vcpus=VCPUS, memory=RAM,
            machine="pagurus-1.2,memory-backend=ram", tap=Tap(multi_queue=True, name="tap0"))

    def _network_words(self):
        return []

    def _start(self, *more):
        vmm = super()._start(*more, "-S")
        netdev = {"ifname": self.tap.name, **self.netdev}
        vmm.qmp.execute({"execute": "netdev_add", "arguments": netdev})
        vmm.qmp.command("device_add", **self.device)
        return vmm

    def hand_over(self):
        """Moves the guest and returns when the command was given and when the new process ran it."""
        [destination] = self._waiting or [None]
        if destination is None:
            self.start_destinations(1)
            [destination] = self._waiting
        self._waiting.clear()
        source, self.vmm = self.vmm, destination
        source.qmp.collect_events(0.1)
        began = time.time()
        hand_over(source, destination, 60)
        destination.qmp.command("cont")  # it was started with -S
        eventually(lambda: destination.status() == "running", 10, "the guest running in its new process")
        ended = time.time()
        told = [event["data"]["status"] for event in source.qmp.collect_events(0.1) if event["event"] == "MIGRATION"]
        assert (told[0], told[-1]) == ("setup", "completed"), told
        source.quit()
        return began, ended


class TimedPing:
    """`ping -i 0 -D` until stop(): which answers came, and when."""

    _ANSWER = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes from .*icmp_seq=(\d+) .*?(DUP!)?\)?$", re.MULTILINE)
    _ROUND = 1 << 16  # icmp_seq has sixteen bits

    def __init__(self, address):
        self._process = subprocess.Popen(["ping", "-n", "-i", "0", "-D", address], stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT, text=True)
        self.answers = {}
        self.duplicates = 0

    def stop(self):
        """All numbers up to the last one that was answered count; what was under way at the end does not."""
        self._process.send_signal(signal.SIGINT)
        output = self._process.communicate(timeout=30)[0]
        newest = 0
        for when, number, duplicate in self._ANSWER.findall(output):
            number = int(number)
            # An answer is at most half a round away from the newest one.
            number += round((newest - number) / self._ROUND) * self._ROUND
            self.duplicates += bool(duplicate) or number in self.answers
            self.answers.setdefault(number, float(when))
            newest = max(newest, number)
        assert len(self.answers) > 100, output[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def lost(self):
        return sorted(set(range(1, max(self.answers))) - set(self.answers))

    def lost_outside(self, windows):
        """Those of lost() that have an answer on either side from the same time before, between or after the windows."""
        times = sorted(self.answers.items())
        outside = []
        for (before, left), (after, right) in zip(times, times[1:]):
            if after - before > 1 and not any(left <= end and right >= begin for begin, end in windows):
                outside += range(before + 1, after)
        return outside


def vhost_values():
    without = pytest.mark.skipif(not knows("-netdev", "tap", "vhost"), reason="this program has no -netdev tap,vhost=")
    return [pytest.param(False, id="vhost_off"), pytest.param(True, id="vhost_on", marks=without)]


def vhost_option(vhost):
    return {"vhost": True} if vhost else {}


@pytest.fixture
def plug(directory):
    """Boots a guest that ends with the test."""
    guests = []

    def start(vhost, **device):
        guest = PluggedGuest(directory, vhost_option(vhost), device)
        guests.append(guest)
        stock_repeat.watch(guest)
        guest.vmm.qmp.command("cont")
        guest.wait_ready()
        stock_repeat.learn_symbols(guest)
        prepare(guest.vmm)
        return guest

    yield start
    for guest in guests:
        stock_repeat.forget(guest)
        guest.close()


@pytest.mark.parametrize("vhost", vhost_values())
def test_the_tap_is_handed_over_and_no_packet_is_lost(plug, vhost):
    guest = plug(vhost)
    with TimedPing(guest.tap.guest) as ping:
        for _ in range(3):
            guest.start_destinations(1)
            time.sleep(1)
            guest.hand_over()
        time.sleep(1)
        ping.stop()
    print(f"vhost {'on' if vhost else 'off'}: {len(ping.answers)} answers over 3 hand-overs, lost {ping.lost()}")
    assert (ping.lost(), ping.duplicates) == ([], 0)
    assert guest.answers()


@pytest.mark.parametrize("vhost", vhost_values())
def test_a_new_tap_loses_packets_only_in_the_outage(plug, vhost):
    guest = plug(vhost, **{"backend-transfer": False})
    bridge, second = Bridge(guest.tap), Tap(multi_queue=True, name="tap1")
    try:
        bridge.join(second)
        guest.netdev["ifname"] = second.name
        with TimedPing(guest.tap.guest) as ping:
            guest.start_destinations(1)
            time.sleep(1)
            window = guest.hand_over()
            time.sleep(1)
            ping.stop()
        print(f"vhost {'on' if vhost else 'off'}: {len(ping.lost())} of {max(ping.answers)} lost, "
              f"{1000 * (window[1] - window[0]):.0f} ms from the command to the guest running on its new TAP")
        assert (ping.lost_outside([window]), ping.duplicates) == ([], 0)
        assert guest.answers()
    finally:
        bridge.remove()
        second.remove()
