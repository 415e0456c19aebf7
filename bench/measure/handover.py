"""Hand-overs seen from inside the guest and, under traffic, by its peers."""

import time

from probe_client import ProbeControl, UdpProbe, find_highest_rate

# How long the guest is watched without a hand-over, and before and after one.
IDLE_S = 0.3
BEFORE_S = 0.15
AFTER_S = 0.2
# A turn of the probe guest's loop where instructions are emulated: what is shorter means nothing there.
TURN_MS = 0.1
# Short, so that a rate which the guest cannot keep up shows at once; and the usual one.
SHORT_QUEUE, QUEUE = 50, 1000


def loss_free_rate(subject, most):
    """The highest rate, up to `most`, that loses nothing while no hand-over is made."""
    subject.tap().set_queue(SHORT_QUEUE)
    try:
        return find_highest_rate(subject.address, most, step=0.5)["highest_loss_free_rate"]
    finally:
        subject.tap().set_queue(QUEUE)


class _OwnGap:
    """What a guest that watches itself tells of its gaps."""

    def __init__(self, subject):
        self._control = ProbeControl(subject.address, timeout=5)

    def begin(self):
        self._control.query("reset-gap", retries=3)

    def longest_ms(self):
        return self._control.query("stats", retries=3)["gap_longest_ns"] / 1e6


def _pause_ms(moments):
    return (moments["resume"] - moments["stop"]) * 1e3


def seen_by_guest(subject):
    """A hand-over of a guest that has nothing else to do, so that its longest gap is that of the hand-over."""
    own = _OwnGap(subject)
    own.begin()
    time.sleep(IDLE_S)
    idle = own.longest_ms()
    own.begin()
    # The guest spends no time on a question while it is handed over.
    time.sleep(BEFORE_S)
    moments = subject.give_away()
    time.sleep(AFTER_S)
    gap = own.longest_ms()
    # The end of a process takes processor time too, of which a machine with one processor has none to spare.
    subject.end_left()
    return {"quiet_stop_to_resume_ms": _pause_ms(moments), "guest_gap_ms": gap, "guest_gap_idle_ms": idle,
            "guest_gap_above_idle_ms": max(gap - idle, TURN_MS)}


def seen_by_peer(subject, rate):
    """A hand-over under a stream of packets: what became of them, the longest silence, and the phases if the VMM tells them."""
    with UdpProbe(subject.address, rate=rate, drain=1) as stream:
        time.sleep(BEFORE_S)
        moments = subject.hand_over()
        time.sleep(AFTER_S)
    packets = stream.report
    # Of the longest silences, those in which the pause lies, or its echo.
    around = [each["us"] / 1e3 for each in packets["gaps"]
              if each["start_ns"] / 1e9 < moments["resume"] + AFTER_S
              and each["start_ns"] / 1e9 + each["us"] / 1e6 > moments["stop"]]
    return {"stop_to_resume_ms": _pause_ms(moments), "udp_gap_ms": max(around, default=None),
            "command_to_running_ms": (moments["resume"] - moments["command"]) * 1e3, "phases": moments["phases"],
            **{what: packets[what] for what in ("sent", "lost", "duplicated", "reordered")}}


def measure(subject, rate):
    """Two hand-overs: milliseconds by name, packets by what became of them, and the phases."""
    return seen_by_guest(subject) | seen_by_peer(subject, rate)
