"""A soak: hand-overs back to back under traffic, there and back between two builds, and what they cost.

The probe guest has no TCP; test_stock.py sends checked bytes over TCP across hand-overs of the stock guest.
"""

import statistics
import sys
import time

from guest import UdpProbe, hand_over
from vmm import descriptors, private_kib, thread_count

# Without loss on a KVM that emulates.
RATE = 200
# Far more than a busy machine needs; the TAP's queue holds 1000 packets, 5 s of them.
DOWNTIME_LIMIT_MS = 3000
# Processes that came by the second and third hand-over are compared with the last two: each build with itself, and none
# that booted the guest.
COMPARED = (2, 3)
# What an allocator may keep, more or less, of the same work.
MEMORY_TOLERANCE_KIB = 1024


class Resources:
    """What a process holds while it runs the guest."""

    def __init__(self, process):
        self.descriptors = descriptors(process)
        self.threads = thread_count(process.pid)
        self.private_kib = private_kib(process.pid)

    def assert_like(self, first):
        assert self.descriptors == first.descriptors
        assert self.threads == first.threads
        assert abs(self.private_kib - first.private_kib) <= MEMORY_TOLERANCE_KIB, (first.private_kib, self.private_kib)


class Progress:
    """One line that is written over and over on a terminal, elsewhere a line now and then."""

    def __init__(self, total):
        self._total = total
        self._terminal = sys.stdout.isatty()
        self._began = self._told = time.monotonic()

    def seconds(self):
        return time.monotonic() - self._began

    def tell(self, done):
        now = time.monotonic()
        if now - self._told < (0.2 if self._terminal else 5):
            return
        self._told = now
        left = (self._total - done) * self.seconds() / done
        line = f"soak: {done} of {self._total} hand-overs, about {left:.0f} s left"
        print(f"\r{line}  " if self._terminal else line, end="" if self._terminal else "\n", flush=True)

    def end(self):
        if self._terminal:
            print("\r" + " " * 60 + "\r", end="", flush=True)


def soak(guest, count, binaries):
    """Boots the guest and hands it over `count` times; the processes run `binaries` in turn.  Fails if anything is
    lost or grows; returns a sentence with the figures."""
    assert count >= 2 * max(COMPARED), f"a soak has at least {2 * max(COMPARED)} hand-overs"
    process = guest.boot(binary=binaries[0])
    before = guest.ask()
    progress = Progress(count)
    pauses, resources = [], {}
    with UdpProbe(guest.tap.guest, rate=RATE, drain=5) as stream:
        for number in range(1, count + 1):
            following = guest.destination(binary=binaries[number % 2])
            process.qmp.command("migrate-set-parameters", downtime_limit=DOWNTIME_LIMIT_MS)
            pauses.append(hand_over(process, following, timeout=60.0)["downtime-ms"])
            process.quit()
            guest.forget(process)
            process = following
            if number in COMPARED or number > count - 2:
                resources[number] = Resources(process)
            progress.tell(number)
        seconds = progress.seconds()
    progress.end()
    packets = stream.report
    assert (packets["lost"], packets["duplicated"], packets["reordered"]) == (0, 0, 0), packets
    for number in (count - 1, count):
        resources[number].assert_like(resources[COMPARED[number % 2]])
    after = guest.ask()
    assert after["boot_count"] == before["boot_count"] == 1
    assert after["tsc_backwards"] == 0
    assert after["uptime_ns"] > before["uptime_ns"]
    assert after["udp_echoes"] - before["udp_echoes"] >= packets["sent"]
    guest.check()
    pauses.sort()
    return (f"soak: {count} hand-overs, {packets['lost']} of {packets['sent']} packets lost, pause in ms: median "
            f"{statistics.median(pauses):.2f}, p99 {pauses[len(pauses) * 99 // 100]:.2f}, max {pauses[-1]:.2f}; "
            f"{seconds:.0f} s")
