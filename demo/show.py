"""The course of the demo, and its report."""

import os
import pathlib
import statistics
import tempfile
import time

from guest import GUEST, Guest, GuestFailed, make_network
from traffic import TcpStream, UdpProbe

RATES = (1000, 500, 250, 125, 60)
TRIAL_S = 4
# A queue that grows loses nothing yet; a median above this says that it grows.
MAX_MEDIAN_LATENCY_US = 50_000
IN_LAB = os.environ.get("PAGURUS_LAB") == "1"
# Time with traffic around each hand-over.
REST_S = 2.0


class DemoFailed(Exception):
    """Said to the person as it is."""


class Report:
    def __init__(self, data):
        self.data = data
        udp = data["udp"]
        self.passed = (udp["lost"] == udp["duplicated"] == udp["reordered"] == 0 and data["tcp"]["ok"]
                       and data["same-boot"] and len(data["hand-overs"]) == data["wanted"])
        self.text = "\n".join(self._lines())

    def _lines(self):
        data, udp, quiet = self.data, self.data["udp"], self.data["without-hand-over"]
        yield ""
        yield f"What happened ({data['where']})"
        for number, one in enumerate(data["hand-overs"], 1):
            yield (f"  hand-over {number}   process {one['old-pid']} -> {one['new-pid']}   pause {one['pause-ms']:.3f} ms   "
                   f"moved: {', '.join(one['moved'])}")
        yield "  phases, ms    " + "   ".join(f"{name:>8}" for name in self._phase_names())
        for number, one in enumerate(data["hand-overs"], 1):
            yield f"    {number:>9}     " + "   ".join(f"{one['phases-ms'].get(name, 0):8.3f}" for name in self._phase_names())
        yield (f"  UDP, {data['rate']}/s   sent {udp['sent']}   lost {udp['lost']}   duplicated {udp['duplicated']}   "
               f"reordered {udp['reordered']}")
        yield (f"  longest gap between replies   {udp['longest_gap_us'] / 1000:.1f} ms with hand-overs, "
               f"{quiet['longest_gap_us'] / 1000:.1f} ms without")
        tcp = data["tcp"]
        yield f"  TCP   {tcp['verified']} bytes sent, echoed and verified on one connection" + (
            "" if tcp["ok"] else f"   BROKEN: {tcp['error']}")
        yield f"  guest   up {data['guest-uptime-s']:.0f} s, " + ("the same boot" if data["same-boot"] else "REBOOTED")
        pause = statistics.median(one["pause-ms"] for one in data["hand-overs"]) if data["hand-overs"] else float("nan")
        yield (f"hand-overs={len(data['hand-overs'])} lost={udp['lost']} tcp={'ok' if tcp['ok'] else 'broken'} "
               f"pause_ms={pause:.3f}")

    def _phase_names(self):
        names = []
        for one in self.data["hand-overs"]:
            names += [name for name in one["phases-ms"] if name not in names]
        return names


def in_words(name):
    """A moved resource as a person calls it; pagurusctl names it as the configuration does."""
    kind, _, identifier = name.partition(" ")
    return {"ram": "RAM", "netdev": f"TAP queue ({identifier})", "console": "console",
            "qmp-listener": "control socket"}.get(kind, name)


def say(text):
    print(text, flush=True)


def run(arguments):
    with tempfile.TemporaryDirectory(prefix="pagurus-demo-") as name:
        make_network()
        guest = Guest(pathlib.Path(name), arguments.smp)
        try:
            return show(arguments, guest)
        except GuestFailed as failure:
            raise DemoFailed(failure) from failure
        finally:
            guest.end()


def show(arguments, guest):
    say(f"Booting Debian's cloud kernel in process {guest.pid} ...")
    say(f"  ready after {guest.wait_until_ready():.1f} s: Linux {guest.command('uname -r')}")
    boot = guest.command("cat /proc/sys/kernel/random/boot_id")

    tcp = TcpStream()
    tcp.start()
    udp = None
    try:
        rate = arguments.rate or find_rate()
        control_s = REST_S * (arguments.hand_overs + 1)
        say(f"Measuring {control_s:.0f} s at {rate} packets/s without a hand-over ...")
        quiet = UdpProbe(rate, control_s).result()
        say(f"Replacing the process {arguments.hand_overs} times under {rate} packets/s and a TCP stream ...")
        udp = UdpProbe(rate)
        hand_overs = replace(guest, arguments.hand_overs)
        counted = udp.stop()
    finally:
        if udp:
            udp.kill()
        tcp.stop()

    uptime = float(guest.command("cat /proc/uptime").split()[0])
    return Report({
        "where": "in the nested test host: software CPU, 50 to 100 times slower than hardware" if IN_LAB
                 else "directly on this machine's KVM",
        "rate": rate,
        "wanted": arguments.hand_overs,
        "hand-overs": hand_overs,
        "udp": counted,
        "without-hand-over": quiet,
        "tcp": {"ok": tcp.error is None, "error": tcp.error, "verified": tcp.verified},
        "guest-uptime-s": uptime,
        "same-boot": guest.command("cat /proc/sys/kernel/random/boot_id") == boot,
    })


def find_rate():
    """The highest of a few rates that loses nothing without a hand-over, with the TCP stream running."""
    for rate in RATES:
        result = UdpProbe(rate, TRIAL_S).result()
        latency_ms = result["latency_us"]["p50"] / 1000
        fine = result["lost"] == 0 and result["latency_us"]["p50"] < MAX_MEDIAN_LATENCY_US
        verdict = "taken" if fine else "too fast here"
        say(f"  {rate} packets/s for {TRIAL_S} s: lost {result['lost']}, median latency {latency_ms:.1f} ms: {verdict}")
        if fine:
            return rate
    raise DemoFailed(f"even {RATES[-1]} packets/s to {GUEST} are lost without a hand-over: this machine is too busy")


def replace(guest, times):
    hand_overs = []
    for number in range(1, times + 1):
        time.sleep(REST_S)
        report = guest.upgrade()
        migration = report["hand-over"]
        one = {
            "old-pid": report["old-pid"],
            "new-pid": report["new-pid"],
            "pause-ms": migration["downtime-ms"],
            "total-ms": migration["total-time"],
            "moved": [in_words(name) for name in migration["moved"]],
            "phases-ms": {phase["name"]: phase["duration-us"] / 1000 for phase in migration["phases"]},
        }
        say(f"  {number}: process {one['old-pid']} -> {one['new-pid']}, pause {one['pause-ms']:.3f} ms")
        hand_overs.append(one)
    time.sleep(REST_S)
    return hand_overs
