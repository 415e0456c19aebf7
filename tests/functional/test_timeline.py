"""pagurusctl timeline: the phases of a process' last hand-over, in the terminal and as a trace."""

import json
import subprocess

import pytest

from guest import hand_over
from vmm import PAGURUSCTL

pytestmark = pytest.mark.probe


def timeline(process, *arguments):
    return subprocess.run([PAGURUSCTL, "timeline", *map(str, arguments), process.qmp_path], capture_output=True, text=True,
                          timeout=60, check=False)


def names(text):
    return [line.split()[0] for line in text.splitlines() if line.startswith("  ")]


def test_both_processes_show_their_phases(guest, directory):
    source = guest.boot()
    done = timeline(source)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pagurusctl: this process has neither sent nor received a guest\n"

    destination = guest.destination()
    hand_over(source, destination)
    trace_path = directory / "trace.json"
    done = timeline(source, "--chrome", trace_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("migration: completed, ")
    assert names(done.stdout) == ["hello", "prepare", "stop", "save", "send", "load", "own", "enter"]
    assert names(timeline(destination).stdout) == ["prepare", "load", "own", "enter"]

    events = [event for event in json.loads(trace_path.read_text())["traceEvents"] if event["ph"] == "X"]
    assert [event["name"] for event in events] == ["pause", *names(done.stdout)]
    pause = events[0]
    inside = events[3:]
    assert all(pause["ts"] <= event["ts"] for event in inside)
    # The last one ends with the pause, but for the rounding of the figures.
    assert abs(pause["ts"] + pause["dur"] - (inside[-1]["ts"] + inside[-1]["dur"])) < 1


def test_a_trace_that_cannot_be_written_is_an_error(guest, directory):
    source = guest.boot()
    hand_over(source, guest.destination())
    done = timeline(source, "--chrome", directory / "nowhere" / "trace.json")
    assert done.returncode == 1
    assert "No such file or directory" in done.stderr
