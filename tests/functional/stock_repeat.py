"""Tells one known defect of the lab's emulated processor from all else, and repeats the test it hit, once and visibly.

QEMU's emulation of SVM can deliver a timer interrupt twice, also to a guest that has interrupts off; then the guest's
kernel waits for ever for a spin lock which the code it interrupted holds.  The sign: the guest answers nobody, and its
processors do nothing but run the kernel's slow path of taking a spin lock.  A guest of ours that misses an interrupt
sleeps instead, and one that works is not always at the same place.  Anything but that sign is a failure, as ever.

PYTEST_DONT_REWRITE: there is no assertion in here, and fixtures import this before pytest does.
"""

import os
import pathlib
import re
import time

import pytest
from _pytest.runner import runtestprotocol

_TRACING = pathlib.Path("/sys/kernel/tracing")
_SLOW_PATH = "native_queued_spin_lock_slowpath"
# The kernel is placed at random, but at multiples of this.
_ALIGNMENT = 2 << 20
_OBSERVE_S = 2.0
_LEAST_EXITS = 20

_watched = []
_slow_path_offsets = None
_repeated = []


def watch(guest):
    _watched.append(guest)


def forget(guest):
    _watched.remove(guest)


def learn_symbols(guest):
    """Where the kernel takes spin locks; the same in every boot, up to the alignment."""
    global _slow_path_offsets
    if _slow_path_offsets is None:
        lines = guest.output(f"grep -A1 ' {_SLOW_PATH}$' /proc/kallsyms").split("\n")
        begin, end = (int(line.split()[0], 16) for line in lines[:2])
        _slow_path_offsets = (begin % _ALIGNMENT, begin % _ALIGNMENT + end - begin)


def _instruction_pointers(pid):
    """Where the processors of that process's guest were at their exits, for a while."""
    if not (_TRACING / "events").exists():
        os.system(f"mount -t tracefs tracefs {_TRACING}")
    enable = _TRACING / "events/kvm/kvm_exit/enable"
    threads = {int(entry.name) for entry in pathlib.Path(f"/proc/{pid}/task").iterdir()}
    (_TRACING / "trace").write_text("")
    enable.write_text("1")
    time.sleep(_OBSERVE_S)
    enable.write_text("0")
    found = []
    for line in (_TRACING / "trace").read_text().splitlines():
        thread = re.match(r".*-(\d+)\s+\[", line)
        pointer = re.search(r" rip (0x[0-9a-f]+)", line)
        if thread and pointer and int(thread[1]) in threads:
            found.append(int(pointer[1], 16))
    return found


def deadlocked_on_a_spin_lock(guest):
    """None, or a sentence that says by what it was recognized."""
    if os.environ.get("PAGURUS_LAB") != "1" or _slow_path_offsets is None:
        return None
    if not guest.vmm.alive() or guest.vmm.status() != "running" or guest.answers():
        return None
    pointers = _instruction_pointers(guest.vmm.pid)
    begin, end = _slow_path_offsets
    inside = [pointer for pointer in pointers if begin <= pointer % _ALIGNMENT < end]
    sentence = f"{len(inside)} of {len(pointers)} exits in {_OBSERVE_S:.0f} s were inside {_SLOW_PATH}"
    print(f"the silent guest: {sentence}; others: {sorted({hex(p) for p in pointers} - {hex(p) for p in inside})[:10]}")
    return sentence if len(pointers) >= _LEAST_EXITS and len(inside) == len(pointers) else None


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed and item.get_closest_marker("stock"):
        report.emulation_defect = next(filter(None, map(deadlocked_on_a_spin_lock, _watched)), None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if not item.get_closest_marker("stock"):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    defects = list(filter(None, (getattr(report, "emulation_defect", None) for report in reports)))
    # The teardown of a module cannot be undone, so its last test is not repeated.
    if defects and nextitem is not None and nextitem.module is item.module:
        _repeated.append(f"{item.nodeid}: {defects[0]}")
        item._initrequest()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter):
    if _repeated:
        terminalreporter.section("repeated: the lab's emulated processor deadlocked the guest")
        for line in _repeated:
            terminalreporter.line(line)
    terminalreporter.line(f"tests repeated because of the lab's emulated processor: {len(_repeated)}")
