"""The static probes for tracers: those that docs/handover.md lists are in the program, as a tracer finds them."""

import pathlib
import re
import subprocess

import pytest

from vmm import PAGURUS

pytestmark = pytest.mark.probe

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "handover.md"


def test_the_documented_probes_are_in_the_program():
    section = DOCUMENT.read_text().split("## What a tracer sees", 1)[1].split("\n## ", 1)[0]
    documented = {name for line in section.splitlines() if line.startswith("| `")
                  for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    notes = subprocess.run(["readelf", "--notes", "--wide", PAGURUS], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"Provider: (\w+)\s+Name: (\w+)", notes)
    assert {provider for provider, _ in found} == {"pagurus"}
    assert {name for _, name in found} == documented
