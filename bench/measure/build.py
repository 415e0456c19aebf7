"""What is under test, and what it runs on."""

import functools
import subprocess

from measure import BUILD, ROOT


def program(name):
    """A built program."""
    return BUILD / name


@functools.cache
def kvm_kind():
    """What /dev/kvm is good for, as scripts/kvm-kind says."""
    return subprocess.run([ROOT / "scripts" / "kvm-kind"], capture_output=True, text=True, check=True).stdout.strip()
