"""The floor of this KVM, by the program floor."""

import json
import subprocess

from measure import build


def measure(count, vcpus=1, memory_mib=256):
    """Its report; "us" has the times."""
    done = subprocess.run([build.program("floor"), "--json", "--count", str(count), "--vcpus", str(vcpus), "--memory",
                           str(memory_mib)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
