"""The static probes as a tracer uses them: the kernel's uprobes, placed where the notes of the program say.

Runs with the probe guest; it is a stock test because it needs a kernel with uprobes, as the lab's is.
"""

import os
import pathlib
import re
import subprocess

import pytest

from guest import hand_over
from vmm import PAGURUS, eventually

pytestmark = pytest.mark.stock

TRACING = pathlib.Path("/sys/kernel/tracing")
EVENTS = TRACING / "uprobe_events"
# Of a hand-over that succeeds; the order of each process is certain.
SOURCE = ["source_hello", "source_prepare", "source_stop", "source_stopped", "source_save", "source_send", "source_sent",
          "source_completed"]
DESTINATION = ["destination_prepare", "destination_ready", "destination_load", "destination_loaded", "destination_owned",
               "destination_running"]


def probe_offsets():
    """Where in the file of the program each probe is."""
    words = ["readelf", "--wide", "--notes", "--segments", PAGURUS]
    output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    segments = [tuple(int(number, 16) for number in found)
                for found in re.findall(r"LOAD +(0x\w+) (0x\w+) 0x\w+ (0x\w+)", output)]
    offsets = {}
    for name, location in re.findall(r"Name: (\w+)\s+Location: (0x\w+)", output):
        address = int(location, 16)
        offsets[name] = next(address - begin + offset for offset, begin, size in segments if begin <= address < begin + size)
    return offsets


def add_event(line):
    # To be appended to, so that what others trace on this machine stays; Python's own open() would seek, which is refused.
    events = os.open(EVENTS, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(events, line.encode() + b"\n")
    finally:
        os.close(events)


@pytest.fixture
def tracing():
    mounted = EVENTS.exists()
    if not mounted and subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=False).returncode:
        pytest.skip("this kernel has no tracefs")
    if not EVENTS.exists():
        pytest.skip("this kernel has no uprobes")
    yield
    if not mounted:
        subprocess.run(["umount", TRACING], check=True)


@pytest.fixture
def trace(tracing):
    """A function that returns the names of the probes that were hit, in the order of time."""
    added = []
    switch = TRACING / "events/pagurus/enable"
    try:
        for name, offset in probe_offsets().items():
            add_event(f"p:pagurus/{name} {PAGURUS}:{offset:#x}")
            added.append(name)
        switch.write_text("1")
        yield lambda: [name for name in re.findall(r": (\w+): \(0x", (TRACING / "trace").read_text()) if name in added]
    finally:
        if added:
            switch.write_text("0")
        for name in added:
            add_event(f"-:pagurus/{name}")


def test_every_probe_of_a_hand_over_is_hit_in_order(trace, guest):
    source = guest.boot()
    hand_over(source, guest.destination())
    eventually(lambda: "source_completed" in trace(), timeout=30)
    hit = trace()
    assert [name for name in hit if name in SOURCE] == SOURCE
    assert [name for name in hit if name in DESTINATION] == DESTINATION
    assert hit.index("source_stopped") < hit.index("destination_load")
    assert set(hit) == {*SOURCE, *DESTINATION}
