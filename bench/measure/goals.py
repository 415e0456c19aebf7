"""What Pagurus wants to reach, and how far it is from it: a row for each goal, from the results of the benchmarks."""

from measure import table


class Goal:
    """`measure(results)` gives the value; where a benchmark is missing, there is none."""

    def __init__(self, words, measure, most=None, least=None, unit=""):
        self.words, self.measure, self.most, self.least, self.unit = words, measure, most, least, unit

    def row(self, results):
        try:
            value = self.measure(results)
        except KeyError:
            value = None
        wanted = f"at most {self.most:g}" if self.least is None else f"at least {self.least:g}"
        return (self.words, f"{wanted}{self.unit}", "-" if value is None else f"{table.number(value)}{self.unit}",
                self.verdict(value))

    def verdict(self, value):
        if value is None:
            return "not measured"
        if self.most is not None:
            missed, by = value > self.most, value / self.most if self.most else value
        else:
            missed, by = value < self.least, self.least / value if value else float("inf")
        return f"missed by a factor of {table.number(by)}" if missed and self.most != 0 else "missed" if missed else "✓"


def _median(ratio):
    if ratio is None:
        raise KeyError("nothing was measured")
    return ratio["median"]


def _to_pagurus(results_of, other, what):
    return lambda results: _median(results[results_of]["to_pagurus"][other][what])


# Results of hand-overs that are held against cpr-transfer.
HANDOVERS = {
    "handover": "probe guest",
    "stock-handover": "Debian's kernel",
    "stock-handover-2-vhost": "Debian's kernel, 2 vCPUs, vhost",
    "virtual-handover": "Debian's kernel, virtual time",
    "virtual-handover-vhost": "Debian's kernel, virtual time, vhost",
}


def _handovers(of, guest):
    """The goals of the hand-over that are held against cpr-transfer."""
    return (
        Goal(f"{guest}: pause: cpr-transfer to ours", _to_pagurus(of, "cpr", "stop_to_resume_ms"), least=5),
        Goal(f"{guest}: guest's gap above idle: cpr-transfer to ours", _to_pagurus(of, "cpr", "guest_gap_above_idle_ms"), least=5),
        Goal(f"{guest}: command to running: cpr-transfer to ours", _to_pagurus(of, "cpr", "command_to_running_ms"), least=2),
    )


def _datapath(of, guest, more):
    return (
        Goal(f"{guest}: loss-free packet rate: QEMU's to ours", _to_pagurus(of, "cpr", "rate"), most=1),
        *(Goal(f"{guest}: {name.replace('_', ' ')}: QEMU's to ours", _to_pagurus(of, "cpr", name), most=1) for name in more),
        Goal(f"{guest}: processor time per packet: QEMU's to ours", _to_pagurus(of, "cpr", "vmm_us"), least=1),
        Goal(f"{guest}: latency: QEMU's to ours", _to_pagurus(of, "cpr", "latency_p50_us"), least=1),
    )


TCP = ("tcp_to_guest", "tcp_from_guest")
GOALS = (
    Goal("pause, as a multiple of the floor", lambda r: _median(r["handover"]["to_floor"]["pagurus"]), most=2),
    Goal("pause, p99", lambda r: r["handover"]["summary"]["pagurus"]["stop_to_resume_ms"]["p99"], most=2, unit=" ms"),
    *(goal for of, guest in HANDOVERS.items() for goal in _handovers(of, guest)),
    Goal("pause: plain migration to ours, idle guest", _to_pagurus("handover", "copied", "stop_to_resume_ms"), least=20),
    Goal("pause: plain migration to ours, guest that writes", _to_pagurus("brownout", "copied", "pause_ms"), least=20),
    Goal("guest's gap above idle: plain migration to ours", _to_pagurus("handover", "copied", "guest_gap_above_idle_ms"),
         least=20),
    Goal("pause, largest RAM to smallest", lambda r: _median(r["scaling"]["last_to_first"]["memory"]), most=1.1),
    Goal("pause, most vCPUs to one", lambda r: _median(r["scaling"]["last_to_first"]["vcpus"]), most=2),
    *(Goal(f"packets {what}", lambda r, what=what: r["loss"]["packets"][what], most=0)
      for what in ("lost", "duplicated", "reordered")),
    Goal("memory rate in the first 10 ms, of that before",
         lambda r: _median(r["brownout"]["summary"]["pagurus"]["first_10ms"]), least=0.8),
    Goal("exec to first instruction", lambda r: _median(r["start"]["summary"]["pagurus"]["first_instruction_ms"]), most=10,
         unit=" ms"),
    Goal("exec to first instruction: microvm to ours",
         lambda r: _median(r["start"]["to_pagurus"]["qemu microvm"]["first_instruction_ms"]), least=5),
    Goal("private memory beyond RAM", lambda r: _median(r["start"]["summary"]["pagurus"]["private_kib"]) / 1024, most=8,
         unit=" MiB"),
    Goal("private memory: QEMU's to ours", lambda r: _median(r["start"]["to_pagurus"]["qemu q35"]["private_kib"]), least=4),
    *_datapath("datapath", "probe guest", ("throughput",)),
    *_datapath("stock-datapath", "Debian's kernel", TCP),
    *_datapath("stock-datapath-vhost", "Debian's kernel, vhost", TCP),
    Goal("instructions per packet: QEMU's to ours", _to_pagurus("virtual-single", "cpr", "vmm_us"), least=1),
    Goal("instructions per packet, vhost: QEMU's to ours", _to_pagurus("virtual-single-vhost", "cpr", "vmm_us"), least=1),
)


def text(results):
    """The table of all goals."""
    rows = [("goal", "wanted", "measured", ""), *(goal.row(results) for goal in GOALS)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
