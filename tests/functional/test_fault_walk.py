"""The fault walk: every kind of fault at every point of a migration, on both sides, under traffic.

After each the promise of docs/handover.md is held against what is there: one process runs the guest, or none where the
one that had it died; the guest has lost nothing; both sides say what happened; and the next hand-over works.

One boot serves until the guest is lost on purpose: whoever has the guest is the next run's source.
"""

import collections
import os
import pathlib
import re
import time

import pytest

import fault_cases
from fault_cases import COPIED, DESTINATION, HELD, KINDS, LISTENS, LOCAL, LOST, NOBODY, SOURCE, TCP
from guest import Guest, UdpProbe, give, migration, prepare, processes_of_this_run, settled
from qmp import QmpError
from test_copy import free_port
from test_handover import move_addresses, other_tap
from vmm import BUILD, descriptors, eventually, thread_count

pytestmark = pytest.mark.faults

SAMPLE_ONLY = os.environ.get("PAGURUS_FAULT_SAMPLE") == "1"
copied_cases = fault_cases.sample if SAMPLE_ONLY else fault_cases.cases
CASES = fault_cases.cases(LOCAL) + copied_cases(COPIED) + copied_cases(TCP)

# Without loss on a KVM that emulates; the TAP's queue holds 1000 packets, 5 s of it.
RATE = 200
DELAYS_MS = {"delay": 30, "late": 900}
# Far more than a busy machine needs, and within the TAP's queue.
GENEROUS = {"hello-timeout": 20000, "prepare-timeout": 20000, "stall-timeout": 20000, "downtime-limit": 3000}
# For the one wait that a process is noticed by which hangs or is late.
SHORT_MS = 300
# Before this much of the pause is over the destination has taken the word also on a busy machine.
TAKEN_MS = 1000
LETTERS = {SOURCE: "s", DESTINATION: "d", HELD: "c", NOBODY: "-"}


class Walk:
    """The guest and the process that has it; what the runs so far came to."""

    def __init__(self, directory, mode):
        self.guest = Guest(directory)
        self.mode = mode
        if not mode.backend_transfer:
            other_tap(self.guest)
        self.process = None
        self.held_at_first = None
        self.ports = {}
        self.outcomes = {}

    def source(self):
        if self.process is None:
            self.process = self.guest.boot()
            assert self.guest.ask()["boot_count"] == 1
            self.held_at_first = self.held_at_first or holds(self.process)
        return self.process

    def destination(self):
        """A process that listens at uri(), once it has got `migrate-incoming`."""
        if self.mode.backend_transfer:
            return self.guest.destination()
        return self.guest.destination(netdev=netdev_of(self.guest.taps[1]))

    def settings(self, process):
        prepare(process, self.mode.backend_transfer)

    def arrived(self, process):
        """The guest is there now, and reachable."""
        self.process = process
        if not self.mode.backend_transfer:
            old, new = self.guest.taps
            move_addresses(old, new)
            new.host, new.guest = old.host, old.guest
            self.guest.taps.reverse()
            self.guest.options["netdev"] = netdev_of(new)

    def uri(self, destination):
        if self.mode.tcp:
            if destination.name not in self.ports:
                self.ports[destination.name] = free_port()
            return f"tcp:127.0.0.1:{self.ports[destination.name]}"
        return f"unix:{self.guest.directory}/{destination.name}.mig"

    def start_over(self):
        """After a run that broke the promise: nothing of it is used again."""
        for process in list(self.guest.vmms):
            process.kill()
            self.bury(process)
        self.process = None

    def bury(self, process):
        """A process that has ended, or is about to: nothing of it is left but its words."""
        self.guest.forget(process)
        (self.guest.directory / f"{process.name}.mig").unlink(missing_ok=True)


def netdev_of(tap):
    return f"tap,id=n0,ifname={tap.name},script=no,downscript=no"


@pytest.fixture(scope="module")
def tables():
    """What is known of each mode, for the file."""
    return []


@pytest.fixture(scope="module")
def walk(module_directory, nothing_left_by_module, tables, request):
    directory = module_directory / request.param.name
    directory.mkdir()
    walk = Walk(directory, request.param)
    yield walk
    walk.guest.remove()
    if walk.outcomes:
        tables.append(table(walk.mode, walk.outcomes))
        write(tables)
        with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            print(tables[-1])


@pytest.fixture(autouse=True)
def nothing_left(walk):
    """In place of the fixture for one guest a test: the guest may be in another process now, but only in one."""
    yield
    expected = {walk.process.pid} if walk.process else set()
    eventually(lambda: processes_of_this_run() == expected, 5.0, f"the end of all processes but {expected}")


def runs_guest(process):
    """A processor of the guest works there.  Asks the kernel, and so can be asked about a process that hangs."""
    def worked():
        return sum(int((task / "schedstat").read_text().split()[0])
                   for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir()
                   if (task / "comm").read_text().startswith("vcpu"))

    before = worked()
    time.sleep(0.02)
    return worked() != before


def assert_guest_runs(process):
    eventually(lambda: runs_guest(process), 10.0, f"a processor's work in {process.name}")


def assert_guest_rests(process):
    # In the end: a thread that has left the guest may have something to put away.
    eventually(lambda: not runs_guest(process), 10.0, f"rest of the guest's processors in {process.name}")


def holds(process):
    return descriptors(process), thread_count(process.pid)


def set_limits(process, **limits):
    process.qmp.command("migrate-set-parameters", **{**GENEROUS, **limits})


def arm(process, case):
    if case.kind in DELAYS_MS:
        process.qmp.command("x-inject-fault", point=case.point, kind="delay", delay_ms=DELAYS_MS[case.kind])
    else:
        process.qmp.command("x-inject-fault", point=case.point, kind=case.kind)


def set_limits_of(case, source, destination):
    """Generous ones, but for the wait in which it is noticed that a process hangs or is late."""
    limits = {SOURCE: {}, DESTINATION: {}}
    if case.kind in ("hang", "late") and case.limit():
        side, name = case.limit()
        # A destination waits half as long as a source for what is answered.
        halved = side == DESTINATION and name != "stall-timeout"
        names = ("stall-timeout", "downtime-limit") if name == "copying" else (name,)
        limits[side].update(dict.fromkeys(names, SHORT_MS * (2 if halved else 1)))
        if name == "stall-timeout" and side == SOURCE and not case.mode.tcp:
            limits[side]["downtime-limit"] = TAKEN_MS
    set_limits(source, **limits[SOURCE])
    set_limits(destination, **limits[DESTINATION])


def migrate(source, uri, case):
    """Gives the command; the answer comes only from a process that is still there."""
    source.qmp.send({"execute": "migrate", "arguments": {"uri": uri}})
    if case.side == SOURCE and case.ends_process:
        return
    try:
        source.qmp.answer()
    except QmpError as error:
        assert migration(source)["error-desc"] == error.desc


def await_fault(process, case):
    eventually(lambda: f"fault injected at {case.point}\n" in process.stderr(), 20.0, f"the fault at {case.point}")
    if case.kind in ("exit", "kill"):
        assert process.wait() == (3 if case.kind == "exit" else -9)


def state_of(destination):
    """Where a destination that lives stands: None while it takes part in a migration."""
    try:
        if not destination.alive():
            return LOST
        state = destination.status()
        if state != "inmigrate":
            return state
        return LISTENS if migration(destination)["status"] in ("setup", "failed") else None
    except ConnectionError:
        destination.wait(10)
        return LOST


def words_of(destination):
    """What a destination without the guest has to say."""
    if state_of(destination) == LOST:
        assert destination.wait() == 1
        return destination.stderr().partition("the guest did not come in: ")[2]
    # A connection that was not accepted was no hand-over yet.
    not_accepted = destination.stderr().partition("a hand-over was not accepted: ")[2]
    return migration(destination).get("error-desc") or not_accepted


def await_destination(destination, case):
    """The end of a destination that lives, with the guest or without."""
    says = case.destination_says()

    def ended():
        state = state_of(destination)
        return state in (LOST, "running") or state == LISTENS and matches(says, words_of(destination))

    eventually(ended, 30.0, f"the end of the hand-over of {destination.name}, with '{says}',")
    if destination.alive() and destination.status() == "running":
        return DESTINATION
    assert matches(says, words_of(destination)), (says, words_of(destination), destination.stderr())
    assert state_of(destination) in case.destination_ends_as()
    return NOBODY


def matches(pattern, text):
    return bool(re.search(pattern, text)) if pattern else text == ""


def await_source(source, case):
    """The end of a source that lives: where it says that the guest is."""
    info = settled(source, timeout=30.0)
    if info["status"] == "failed":
        if case.mode.tcp and source.status() == "postmigrate":
            return HELD
        assert source.status() == "running"
        return SOURCE
    assert info["status"] == "completed", info
    assert source.status() == "postmigrate"
    if case.mode.backend_transfer:
        assert "/dev/net/tun" not in descriptors(source)
    return DESTINATION


def check_words_of_source(source, case, guest_in):
    says = case.source_says(guest_in)
    eventually(lambda: matches(says, migration(source).get("error-desc", "")), 10.0, f"'{says}' from the source")
    if migration(source)["status"] == "completed":
        with pytest.raises(QmpError, match="postmigrate|another process"):
            source.qmp.command("cont")


def run(walk, case):
    """One run up to the moment in which both sides have come to their ends; returns where the guest is."""
    guest, source = walk.guest, walk.source()
    destination = walk.destination()
    walk.settings(source)
    walk.settings(destination)
    set_limits_of(case, source, destination)
    faulty = source if case.side == SOURCE else destination
    arm(faulty, case)
    uri = walk.uri(destination)
    destination.qmp.command("migrate-incoming", uri=uri)
    # Without its TAP the guest comes to another wire, and what waits at the old one is lost.
    loses = {NOBODY} if case.mode.backend_transfer else {NOBODY, DESTINATION}
    stream = UdpProbe(guest.tap.guest, rate=RATE, drain=0.05 if case.guest_ends_in() <= loses else 5).start()
    try:
        time.sleep(0.03)
        migrate(source, uri, case)
        await_fault(faulty, case)
        if case.waits_for_ever():
            assert state_of(destination) is None
            end_hanging(walk, case, faulty, NOBODY)
        if case.side == SOURCE and case.ends_process:
            guest_in = await_destination(destination, case)
        else:
            guest_in = await_source(source, case)
            if not case.ends_process and guest_in == DESTINATION:
                assert settled(destination)["status"] == "completed"
                assert destination.status() == "running"
            elif not case.ends_process and await_destination(destination, case) == DESTINATION:
                assert guest_in == HELD
                guest_in = DESTINATION
        if case.kind == "hang" and not case.waits_for_ever():
            guest_in = end_hanging(walk, case, faulty, guest_in)
        elif case.ends_process and case.side == DESTINATION and guest_in == DESTINATION:
            guest_in = NOBODY
        assert guest_in in case.guest_ends_in()
        check_owner(source, destination, guest_in)
        if source.alive():
            check_words_of_source(source, case, guest_in)
        if guest_in == HELD:
            continue_here(walk, source, destination)
    finally:
        packets = stream.stop()
    assert packets["sent"] > 0 and packets["duplicated"] == 0, packets
    if guest_in not in loses:
        assert (packets["lost"], packets["reordered"]) == (0, 0), packets
    if guest_in == NOBODY:
        assert not guest.answers(0.1)
        begin_anew(walk, source, destination)
    else:
        holder = destination if guest_in == DESTINATION else source
        # Soon: a guest that has come to another wire is announced there for a while.
        eventually(lambda: holds(holder) == walk.held_at_first, 10.0, f"{holds(holder)} as {walk.held_at_first}")
        follow(walk, source, destination, guest_in)
    assert guest.ask()["boot_count"] == 1
    guest.check()
    return guest_in


def end_hanging(walk, case, hanging, guest_in):
    """Kills the process that hangs; until then it ran the guest only if the guest was its own."""
    if case.guest_runs_until_killed():
        assert_guest_runs(hanging)
        # On a TAP of its own the guest cannot be reached before it has arrived.
        if case.side == SOURCE or case.mode.backend_transfer:
            assert walk.guest.answers(5.0)
    else:
        assert_guest_rests(hanging)
    hanging.process.kill()
    hanging.wait()
    its_own = guest_in == NOBODY if case.side == SOURCE else guest_in == DESTINATION
    return NOBODY if its_own else guest_in


def continue_here(walk, source, destination):
    """What an operator does who has looked: the destination has ended, so the guest goes on in the source."""
    assert not destination.alive()
    assert not walk.guest.answers(0.1)
    source.qmp.command("cont")
    assert source.status() == "running"
    assert walk.guest.answers(5.0)


def check_owner(source, destination, guest_in):
    for process, side in ((source, SOURCE), (destination, DESTINATION)):
        if side == guest_in:
            assert_guest_runs(process)
        elif process.alive():
            assert_guest_rests(process)


def follow(walk, source, destination, guest_in):
    """The process that has the guest gives it on: to the destination that failed, if that still listens."""
    guest = walk.guest
    if guest_in == DESTINATION:
        leave(walk, source)
        walk.arrived(destination)
        destination = None
    elif not destination.alive():
        walk.bury(destination)
        destination = None
    give_on(walk, destination)
    assert guest.ask()["boot_count"] == 1


def begin_anew(walk, source, destination):
    """The guest was lost with its process: another one is booted, and given to the destination if that still listens."""
    leave(walk, source)
    walk.process = None
    listens = destination.alive() and destination
    if not listens:
        walk.bury(destination)
    walk.source()
    give_on(walk, listens)


def give_on(walk, listening):
    """One more hand-over, without a fault."""
    source, following = walk.process, listening or walk.destination()
    walk.settings(source)
    set_limits(source)
    if not listening:
        walk.settings(following)
        set_limits(following)
        following.qmp.command("migrate-incoming", uri=walk.uri(following))
    assert give(source, walk.uri(following))["status"] == "completed", migration(source)
    assert settled(following)["status"] == "completed"
    leave(walk, source)
    walk.arrived(following)


def leave(walk, process):
    if process.alive():
        process.quit()
    walk.bury(process)


@pytest.mark.parametrize("walk, case", [pytest.param(case.mode, case, id=case.name) for case in CASES],
                         indirect=["walk"], scope="module")
def test_fault(walk, case):
    walk.outcomes[case] = "F"
    try:
        walk.outcomes[case] = LETTERS[run(walk, case)]
    except BaseException:
        for process in walk.guest.vmms:
            print(f"--- standard error of {process.name}, process {process.pid}\n{process.stderr()}")
        walk.start_over()
        raise


@pytest.mark.parametrize("walk", [LOCAL], indirect=True)
def test_the_walk_knows_all_points(walk):
    points = {point["point"]: point["can-fail"] for point in walk.source().qmp.command("x-query-fault-points")}
    assert points == {point: point.rpartition(".")[0] not in fault_cases.CANNOT_FAIL for point in fault_cases.POINTS}


def table(mode, outcomes):
    """What the runs of a mode came to."""
    lines = ["", f"fault walk, mode {mode.name}", "", f"{'point':28}" + "".join(f"{kind:>12}" for kind in KINDS)]
    for point in dict.fromkeys(case.point for case in outcomes):
        row = {case.kind: outcome for case, outcome in outcomes.items() if case.point == point}
        lines.append(f"{point:28}" + "".join(f"{row.get(kind, ''):>12}" for kind in KINDS))
    counts = collections.Counter(outcomes.values())
    points = len({case.point for case in outcomes})
    lines += ["", f"{len(outcomes)} runs at {points} points: {counts['s']} times the guest stayed in the source (s), "
                  f"{counts['d']} times it moved to the destination (d), {counts['c']} times the source held "
                  f"it until its operator's cont (c), {counts['-']} times it ended with the process that had it (-), "
                  f"{counts['F']} broke the promise (F)"]
    return "\n".join(lines)


def write(tables):
    # The lab cannot write there.
    if os.access(BUILD.parent, os.W_OK):
        (BUILD.parent / "fault-walk.txt").write_text("\n".join(tables).lstrip() + "\n")
