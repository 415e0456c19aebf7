"""The course of the demo: boot, find the rate, measure quiet time, replace the process, count."""

import os
import time

from guest import GUEST, DemoFailed, Guest, make_network
from report import Report
from traffic import TcpStream, UdpProbe

WANTED_RATE = 1000
LOWEST_RATE = 50
TRIAL_S = 3
# A queue that grows loses nothing yet; a median above this says that it grows.
MAX_MEDIAN_LATENCY_US = 50_000
# The sender itself may be held up; what it then sends says nothing about the rate.
MIN_ACHIEVED = 0.98
IN_LAB = os.environ.get("PAGURUS_LAB") == "1"
# From one hand-over to the next, and from one's end to the next one's begin at least.
INTERVAL_S = 4
REST_S = 1.5
LONGEST_QUIET_WINDOW_S = 60
# The default of 300 ms is meant for hardware. A TAP queue holds 1000 packets: a second's at the highest rate.
PAUSE_LIMIT_IN_LAB_MS = 900
BOOT_ID = "/proc/sys/kernel/random/boot_id"


def say(text, end="\n"):
    print(text, end=end, flush=True)


def run(arguments, scene):
    """The whole; returns the report."""
    make_network()
    guest = Guest(scene, arguments.smp)
    say(f"Booting Debian's cloud kernel in process {guest.pid} ...", end="")
    say(f" ready after {guest.wait_until_ready():.1f} s: Linux {guest.command('uname -r')}")
    boot_id = guest.command(f"cat {BOOT_ID}")

    tcp = TcpStream()
    rate, quiet = settle(scene, arguments)
    say(f"Replacing the process {arguments.hand_overs} times under {rate} packets/s and the TCP stream")
    udp = UdpProbe(scene, rate)
    hand_overs = replace(guest, arguments.hand_overs)
    counted = udp.stop()
    tcp.stop()

    return Report({
        "where": "lab" if IN_LAB else "direct",
        "wanted": arguments.hand_overs,
        "hand-overs": hand_overs,
        "rate": rate,
        "udp": counted,
        "without-hand-over": quiet,
        "tcp": {"error": tcp.error, "verified": tcp.verified},
        "guest-uptime-s": float(guest.command("cat /proc/uptime").split()[0]),
        "boot-id-before": boot_id,
        "boot-id-after": guest.command(f"cat {BOOT_ID}"),
    })


def settle(scene, arguments):
    """The rate, and the measurement at that rate without a hand-over that shows that it loses nothing."""
    rate = arguments.rate or find_rate(scene)
    seconds = min(INTERVAL_S * (arguments.hand_overs + 1), LONGEST_QUIET_WINDOW_S)
    while True:
        say(f"Measuring without a hand-over: {rate} packets/s for {seconds} s ...", end="")
        quiet = UdpProbe(scene, rate, seconds).result()
        fine, words = judge(quiet, rate)
        say(f" {words}")
        if fine or arguments.rate:
            return rate, quiet
        rate = lower(rate)


def find_rate(scene):
    """The highest rate that seems to lose nothing without a hand-over, while the TCP stream runs."""
    say("Looking for the highest rate that loses nothing without a hand-over")
    bad = None
    rate = WANTED_RATE
    while not try_rate(scene, rate):
        bad, rate = rate, lower(rate)
    if bad is None:
        return rate
    middle = (rate + bad) // 2
    return middle if try_rate(scene, middle) else rate


def try_rate(scene, rate):
    say(f"  {rate} packets/s for {TRIAL_S} s ...", end="")
    fine, words = judge(UdpProbe(scene, rate, TRIAL_S).result(), rate)
    say(f" {words}")
    return fine


def lower(rate):
    if rate // 2 < LOWEST_RATE:
        raise DemoFailed(f"even {rate} packets/s to {GUEST} are too many without a hand-over: this machine is too busy")
    return rate // 2


def judge(result, rate):
    """Whether the rate can be kept up, and why."""
    for trouble in ("lost", "duplicated", "reordered"):
        if result[trouble]:
            return False, f"{trouble} {result[trouble]}: too many"
    median_ms = result["latency_us"]["p50"] / 1000
    if result["latency_us"]["p50"] > MAX_MEDIAN_LATENCY_US:
        return False, f"lost 0, but the queue grows (median latency {median_ms:.0f} ms): too many"
    if result["achieved_rate"] < MIN_ACHIEVED * rate:
        return False, f"lost 0, but only {result['achieved_rate']:.0f}/s could be sent: too many"
    return True, f"lost 0, median latency {median_ms:.1f} ms"


def replace(guest, times):
    """The hand-overs, evenly spread; the last is followed by traffic, too."""
    hand_overs = []
    due = time.monotonic()
    for number in range(1, times + 1):
        due = max(due + INTERVAL_S, time.monotonic() + REST_S)
        time.sleep(max(0, due - time.monotonic()))
        if IN_LAB:
            guest.allow_pause(PAUSE_LIMIT_IN_LAB_MS)
        say(f"  {number}: process {guest.pid} ->", end="")
        begin = time.time()
        one = {"begin-s": begin, **summary(guest.upgrade()), "end-s": time.time()}
        say(f" {one['new-pid']}, pause {one['pause-ms']:.3f} ms")
        hand_overs.append(one)
    time.sleep(max(REST_S, due + INTERVAL_S - time.monotonic()))
    return hand_overs


def summary(upgrade):
    """What the report needs of pagurusctl's."""
    migration = upgrade["hand-over"]
    return {
        "old-pid": upgrade["old-pid"],
        "new-pid": upgrade["new-pid"],
        "state": upgrade["state"],
        "pause-ms": migration["downtime-ms"],
        "total-ms": migration["total-time"],
        "moved": [in_words(name) for name in migration["moved"]],
        "phases-ms": {phase["name"]: phase["duration-us"] / 1000 for phase in migration["phases"]},
    }


def in_words(name):
    """A moved resource as a person calls it; pagurusctl names it as the configuration does."""
    kind, _, identifier = name.partition(" ")
    return {"ram": "RAM", "netdev": f"TAP queue ({identifier})", "console": "console",
            "qmp-listener": "control socket"}.get(kind, name)
