"""Where a measurement was made."""

import os
import pathlib
import platform
import time

from measure import build


def describe():
    """What a reader must know to judge the numbers."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else "unknown",
        "processors": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "kvm": build.kvm_kind(),
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def sentence(host):
    return (f"{host['processors']} x {host['processor']}, {host['memory_mib']} MiB, Linux {host['kernel']}, "
            f"KVM {host['kvm']}, load {host['load']:.1f}")
