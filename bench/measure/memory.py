"""What a process has in memory besides the guest's RAM."""

import pathlib
import re

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ *(.*)$")


def private_kib(pid):
    """KiB that no other process shares, without files that the guest's RAM is in: "all", and of it "dirty", which
    could not be read again from a file."""
    found = {"all": 0, "dirty": 0}
    counted = True
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if mapping := _MAPPING.match(line):
            counted = not mapping[1].startswith(("/memfd:", "/dev/shm/"))
        elif counted and line.startswith(("Private_Clean:", "Private_Dirty:")):
            kib = int(line.split()[1])
            found["all"] += kib
            found["dirty"] += kib if line.startswith("Private_Dirty:") else 0
    return found
