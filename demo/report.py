"""The demo's report: what it says and whether the demo has passed."""

import statistics

_WHERE = {"direct": "directly on this machine's KVM",
          "lab": "in the nested test host: emulated processor, 50 to 100 times slower than hardware"}
# Before this phase the guest runs; from there to the end of the last it does not.
_PAUSE_BEGINS = "stop"


class Report:
    """Made of the demo's measurements. `passed`: nothing was lost or changed, and everything lived."""

    def __init__(self, data):
        self.data = data
        data["same-boot"] = data["boot-id-before"] == data["boot-id-after"]
        data["pause-ms-median"] = statistics.median(one["pause-ms"] for one in data["hand-overs"])
        data["troubles"] = list(self._troubles())
        self.passed = data["passed"] = not data["troubles"]

    def text(self):
        return "\n".join([*self._hand_overs(), *self._traffic(), *self._verdict()])

    def _troubles(self):
        data, udp = self.data, self.data["udp"]
        for name in ("lost", "duplicated", "reordered", "refused"):
            if udp[name]:
                yield f"UDP packets {name}: {udp[name]}"
        if not udp["sent"]:
            yield "no UDP packet was sent"
        if data["tcp"]["error"]:
            yield f"TCP: {data['tcp']['error']}"
        if not data["tcp"]["verified"]:
            yield "TCP: nothing came back"
        if not data["same-boot"]:
            yield "the guest has booted again"
        for one in data["hand-overs"]:
            if one["state"] != "running":
                yield f"the guest was {one['state']} in process {one['new-pid']}"

    def _hand_overs(self):
        hand_overs = self.data["hand-overs"]
        names = []
        for one in hand_overs:
            names += [name for name in one["phases-ms"] if name not in names]
        yield ""
        yield f"What happened, {_WHERE[self.data['where']]}"
        yield f"  {'process':>16}   " + "".join(_cell(name, name) for name in names) + " = pause, ms"
        for one in hand_overs:
            process = f"{one['old-pid']} -> {one['new-pid']}"
            times = "".join(_cell(name, f"{one['phases-ms'].get(name, 0):.3f}") for name in names)
            yield f"  {process:>16}   {times} = {one['pause-ms']:.3f}"
        yield "  The guest stands still from the bar on; send overlaps load."
        for moved in sorted({", ".join(one["moved"]) for one in hand_overs}):
            yield f"  Moved as they are, neither copied nor opened again: {moved}"

    def _traffic(self):
        data, udp, quiet, tcp = self.data, self.data["udp"], self.data["without-hand-over"], self.data["tcp"]
        yield (f"  UDP  {data['rate']}/s for {udp['elapsed_s']:.0f} s: sent {udp['sent']}, lost {udp['lost']}, "
               f"duplicated {udp['duplicated']}, reordered {udp['reordered']}")
        yield (f"       longest gap between replies {udp['longest_gap_us'] / 1000:.1f} ms; without a hand-over "
               f"{quiet['longest_gap_us'] / 1000:.1f} ms (in {quiet['elapsed_s']:.0f} s)")
        yield f"  TCP  {tcp['verified']} bytes sent, echoed and verified on one connection"
        yield f"  The guest has been up for {data['guest-uptime-s']:.0f} s" + (
            f", in the same boot ({data['boot-id-after'][:8]})" if data["same-boot"] else "")

    def _verdict(self):
        data = self.data
        for trouble in data["troubles"]:
            yield f"  FAILED  {trouble}"
        yield (f"hand-overs={len(data['hand-overs'])} lost={data['udp']['lost']} "
               f"tcp={'broken' if data['tcp']['error'] else 'ok'} pause_ms={data['pause-ms-median']:.3f}")


def _cell(phase, text):
    """One column of the table; a bar stands where the pause begins."""
    return ("  |" if phase == _PAUSE_BEGINS else "") + f"{text:>9}"
