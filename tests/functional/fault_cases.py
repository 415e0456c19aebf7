"""What docs/handover.md promises for each fault at each point of a migration, derived from where the point lies.

The points of both sides are put into the one order in which a migration passes them.  What a fault does to the guest
then follows from two moments of that order: STATE is whole on its way to the destination, and the destination has
taken the ownership word.  Over TCP both are one: GO has been sent.  What each side says follows from the message that
the other one waits for.
"""

import dataclasses
import re

# The steps in the order in which a migration takes them, as the messages between the sides make it.
STEPS = (
    "source.connect", "source.hello",
    "destination.accept", "destination.hello", "destination.welcome",
    "source.welcome", "source.prepare",
    "destination.prepare", "destination.ready",
    "source.ready", "source.copy", "destination.copy", "source.stop", "source.save", "source.state",
    "destination.load", "destination.loaded", "source.go",
    "destination.own", "destination.enter", "destination.running",
    "source.commit",
)
CANNOT_FAIL = ("source.go", "source.commit", "destination.own", "destination.enter", "destination.running")
# The steps that send a message.
SENDS = ("source.hello", "source.prepare", "source.copy", "source.state", "source.go",
         "destination.welcome", "destination.ready", "destination.loaded", "destination.running")
POINTS = tuple(f"{step}.{when}" for step in STEPS for when in ("before", "after"))
# The kinds of x-inject-fault; `late` is a delay longer than the other side waits.
KINDS = ("exit", "kill", "hang", "error", "short-write", "close", "delay", "late")

SOURCE, DESTINATION, NOBODY = "source", "destination", "nobody"
# The source gave the guest away, does not know whether it arrived, and holds it for its operator.
HELD = "held"
LISTENS, LOST = "listens", "lost"

# How a process says that its channel broke.
BROKEN = r"closed the channel|cannot (send to|receive from) the peer|process died"
TAKEN_BACK = "the source has taken the guest back"
ANSWER_LOST = r"has taken the guest, but its answer got lost"
HAS_ENDED = r"which took the guest, has ended"
UNCONFIRMED = r"did not confirm: "


@dataclasses.dataclass(frozen=True)
class Mode:
    """A way to migrate, and the steps that it does not have."""

    name: str
    without: tuple
    backend_transfer: bool
    # Over TCP the source gives the guest away by GO; elsewhere the destination takes it by the ownership word.
    tcp: bool = False

    def has(self, step):
        return step not in self.without


_WITH_WORD = ("destination.loaded", "source.go")
LOCAL = Mode("local", ("source.copy", "destination.copy", *_WITH_WORD), backend_transfer=True)
COPIED = Mode("copied", _WITH_WORD, backend_transfer=False)
TCP = Mode("tcp", (), backend_transfer=False, tcp=True)


@dataclasses.dataclass(frozen=True)
class Case:
    """One run: a fault of one kind at one point."""

    mode: Mode
    point: str
    kind: str

    @property
    def name(self):
        return f"{self.point}-{self.kind}-{self.mode.name}"

    @property
    def step(self):
        return self.point.rpartition(".")[0]

    @property
    def side(self):
        return self.point.partition(".")[0]

    @property
    def ends_process(self):
        """The test itself ends one that hangs."""
        return self.kind in ("exit", "kill", "hang")

    @property
    def breaks_at(self):
        """The point from which on the migration cannot go on as it should; None: nothing is broken."""
        no_channel = self.point in ("source.connect.before", "destination.accept.before")
        if self.kind == "delay" or (no_channel and self.kind in ("short-write", "close")):
            return None
        if self.kind != "short-write":
            return self.point
        following = (f"{step}.before" for step in SENDS if step.startswith(self.side) and self.mode.has(step))
        return next((point for point in following if not passed(self.point, point.replace("before", "after"))), None)

    def guest_ends_in(self):
        """Where the guest may be at the end."""
        point = self.breaks_at
        if point is None:
            return {DESTINATION}
        if self.mode.tcp:
            return self._guest_ends_in_by_go(point)
        if self.kind == "late":
            return {SOURCE}
        given, taken = passed(point, "source.state.after"), passed(point, "destination.own.after")
        if self.ends_process:
            if self.side == SOURCE:
                return {DESTINATION} if given else {NOBODY}
            return {NOBODY} if taken else {SOURCE}
        if taken:
            return {DESTINATION}
        # Both live, and both may reach for the word: either gets it.  A destination whose own step failed does not.
        if given and self.kind != "error" or point == "source.state.after":
            return {SOURCE, DESTINATION}
        # READY was sent: STATE may have come before the channel broke.
        if self.point == "destination.ready.after" and self.kind == "close":
            return {SOURCE, DESTINATION}
        return {SOURCE}

    def _guest_ends_in_by_go(self, point):
        if self.side == SOURCE:
            if passed(point, "source.go.after"):
                return {DESTINATION}
            if self.ends_process:
                return {NOBODY}
            # What came of half a GO the source cannot know.
            return {HELD} if self.kind == "short-write" and point == "source.go.before" else {SOURCE}
        if not passed(point, "destination.loaded.after"):
            return {SOURCE}
        if self.ends_process:
            return {NOBODY} if passed(point, "destination.running.after") else {HELD}
        if self.point == "destination.loaded.after" and self.kind in ("error", "close"):
            # GO may have come before the channel broke.
            return {HELD, DESTINATION} if self.kind == "close" else {HELD}
        # One that is late finds GO.
        return {DESTINATION}

    def destination_ends_as(self):
        """What becomes of a destination that lives and has not got the guest."""
        if self.point == "destination.welcome.after" and self.kind == "close":
            # PREPARE may have come before the channel broke.
            return {LISTENS, LOST}
        first = "source.prepare.after" if self.side == SOURCE else "destination.prepare.before"
        if self.kind == "late" and self.side == DESTINATION:
            # It carries out what the source has sent before that gave up.
            first = "destination.welcome.after"
        return {LOST} if passed(self.breaks_at, first) else {LISTENS}

    def guest_runs_until_killed(self):
        """The process hangs, and its guest runs all the same: only the control thread hangs."""
        if self.side == SOURCE:
            return not passed(self.point, "source.stop.after")
        return passed(self.point, "destination.enter.after")

    def waits_for_ever(self):
        """The destination waits for this process, which hangs, as long as that is there."""
        return (self.mode.tcp and self.kind == "hang" and self.side == SOURCE
                and passed(self.point, "source.state.after") and not passed(self.point, "source.go.after"))

    def limit(self):
        """Which side notices by which parameter that this process hangs or is late; None: nobody waits for it."""
        at = self.point
        if self.side == SOURCE:
            if at == "source.connect.before" or passed(at, "source.state.after"):
                return None
            for sent, name in (("source.hello", "hello"), ("source.prepare", "prepare"), ("source.state", "stall")):
                if not passed(at, f"{sent}.after"):
                    return DESTINATION, f"{name}-timeout"
        if self.mode.has("source.copy") and passed(at, "destination.ready.after"):
            # The source finds that nobody reads the RAM that it sends, or that the pause gets too long.
            if not passed(at, "destination.load.before"):
                return SOURCE, "copying"
        taken = "destination.loaded" if self.mode.tcp else "destination.own"
        for sent, name in (("destination.welcome", "hello-timeout"), ("destination.ready", "prepare-timeout"),
                           (taken, "downtime-limit"), ("destination.running", "stall-timeout")):
            if not passed(at, f"{sent}.after"):
                return SOURCE, name
        return None

    def source_says(self, guest_in):
        """A pattern for the error-desc of a source that lives; empty: it has none."""
        if guest_in == SOURCE:
            if self.side == SOURCE and self.kind == "late":
                return f"{_LATE[self.limit()]}|{BROKEN}"
            if self.side == SOURCE:
                return re.escape(f"fault injected at {self.point}") if self.kind == "error" else BROKEN
            if self.kind in ("hang", "late"):
                return _LATE[self.limit()]
            reason = re.escape(f"the destination refused: fault injected at {self.point}")
            if not passed(self.point, "destination.hello.before"):
                # It may have hung up before HELLO was sent.
                return f"{reason}|{BROKEN}"
            return reason if self.kind == "error" else BROKEN
        if guest_in == NOBODY:
            # Only a process on this host can be watched.
            return "" if self.mode.tcp else HAS_ENDED
        point = self.breaks_at
        if point is None or passed(point, "destination.running.after"):
            return ""
        if self.mode.tcp:
            return self._source_says_unconfirmed()
        # A destination that is quick enough has answered before the source's channel broke.
        return ANSWER_LOST if self.side == DESTINATION else f"{ANSWER_LOST}|^$"

    def _source_says_unconfirmed(self):
        if self.kind in ("hang", "late"):
            return UNCONFIRMED + _LATE[self.limit()]
        if self.kind == "error":
            return UNCONFIRMED + re.escape(f"the destination refused: fault injected at {self.point}")
        # As above; of half a GO nobody is quick enough to answer.
        answered = "|^$" if self.side == SOURCE and self.kind == "close" else ""
        return f"{UNCONFIRMED}.*({BROKEN}){answered}"

    def destination_says(self):
        """A pattern for what a destination says that has not got the guest; empty: it has noticed nothing."""
        if self.point == "source.connect.before":
            return ""
        if self.waits_for_ever():
            return BROKEN
        if self.kind == "hang":
            return _LATE.get(self.limit(), "")
        if self.kind == "late":
            return _LATE[self.limit()] + (f"|{BROKEN}|{TAKEN_BACK}" if self.side == DESTINATION else "")
        if self.kind != "error":
            return rf"{BROKEN}|{TAKEN_BACK}"
        # A source that fails before its command has returned says so to whoever gave the command.
        if self.side == SOURCE and not passed(self.point, "source.welcome.before"):
            return BROKEN
        # What RAM fills the channel with is in the way of the reason.
        broken = f"|{BROKEN}" if self.step == "source.copy" else ""
        return re.escape(f"fault injected at {self.point}") + f"|{TAKEN_BACK}{broken}"


_LATE = {
    (DESTINATION, "hello-timeout"): "the source did not send HELLO in time",
    (DESTINATION, "prepare-timeout"): "the source did not send PREPARE in time",
    (DESTINATION, "stall-timeout"): "the source did not send STATE in time",
    (SOURCE, "hello-timeout"): "the destination did not answer HELLO in time",
    (SOURCE, "prepare-timeout"): "the destination did not get ready in time",
    (SOURCE, "copying"): "the destination did not read on in time|downtime-limit",
    (SOURCE, "downtime-limit"): "downtime-limit is over",
    (SOURCE, "stall-timeout"): "the destination did not confirm in time",
}


def passed(point, milestone):
    """A migration at `point` has been at `milestone`."""
    return POINTS.index(point) >= POINTS.index(milestone)


def cases(mode):
    """All runs of a mode, in the order of a migration."""
    return [case for point in POINTS for kind in KINDS if _possible(case := Case(mode, point, kind))]


def sample(mode):
    """Two kinds at each point, other ones at the next: always the same."""
    chosen = []
    for number, point in enumerate(POINTS):
        at_point = [case for case in cases(mode) if case.point == point]
        chosen += [at_point[(number + offset) % len(at_point)] for offset in _offsets(mode, point) if at_point]
    return chosen


def _offsets(mode, point):
    if not mode.tcp or passed(point, "source.state.before"):
        return 0, 3
    # Until then TCP is only another channel: one kind at every second point.
    return (POINTS.index(point) // 2,) if point.endswith("after") else ()


def _possible(case):
    if not case.mode.has(case.step) or case.kind == "error" and case.step in CANNOT_FAIL:
        return False
    # Nobody can be late for what is settled.
    return case.kind != "late" or case.limit() is not None and not passed(case.point, "destination.own.after")
