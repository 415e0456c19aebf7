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
        return f"missed by a factor of {table.number(by)}" if missed and self.most != 0 else "missed" if missed else "reached"


def _to_pagurus(other, what):
    return lambda results: _median(results["handover"]["to_pagurus"][other][what])


def _median(ratio):
    if ratio is None:
        raise KeyError("nothing was measured")
    return ratio["median"]


GOALS = (
    Goal("pause, as a multiple of the floor", lambda r: _median(r["handover"]["to_floor"]["pagurus"]), most=2),
    Goal("pause, p99", lambda r: r["handover"]["summary"]["pagurus"]["stop_to_resume_ms"]["p99"], most=2, unit=" ms"),
    Goal("pause: cpr-transfer to ours", _to_pagurus("cpr", "stop_to_resume_ms"), least=5),
    Goal("guest's gap above idle: cpr-transfer to ours", _to_pagurus("cpr", "guest_gap_above_idle_ms"), least=5),
    Goal("pause: plain migration to ours", _to_pagurus("copied", "stop_to_resume_ms"), least=20),
    Goal("guest's gap above idle: plain migration to ours", _to_pagurus("copied", "guest_gap_above_idle_ms"), least=20),
    Goal("command to running: cpr-transfer to ours", _to_pagurus("cpr", "command_to_running_ms"), least=2),
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
    Goal("loss-free packet rate: QEMU's to ours", lambda r: _median(r["datapath"]["to_pagurus"]["cpr"]["rate"]), most=1),
    Goal("packet throughput: QEMU's to ours", lambda r: _median(r["datapath"]["to_pagurus"]["cpr"]["throughput"]), most=1),
    Goal("processor time per packet: QEMU's to ours", lambda r: _median(r["datapath"]["to_pagurus"]["cpr"]["vmm_us"]),
         least=1),
    Goal("latency: QEMU's to ours", lambda r: _median(r["datapath"]["to_pagurus"]["cpr"]["latency_p50_us"]), least=1),
)


def text(results):
    """The table of all goals."""
    rows = [("goal", "wanted", "measured", ""), *(goal.row(results) for goal in GOALS)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)
