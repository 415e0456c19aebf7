"""What the threads of a VMM cost."""

import pathlib

_PROC = pathlib.Path("/proc")


def own_us(process):
    """Microseconds of processor time that its threads have had, those of the vCPUs left out, and the kernel's threads that
    work for it."""
    vcpus = {str(cpu["thread-id"]) for cpu in process.qmp.command("query-cpus-fast")}
    tasks = list((_PROC / str(process.popen.pid) / "task").iterdir())
    own = [task for task in tasks if task.name not in vcpus] + _vhost_threads({task.name for task in tasks})
    return sum(int((task / "schedstat").read_text().split()[0]) for task in own) / 1e3


def _vhost_threads(owners):
    """Those of vhost, which before Linux 6.4 belong to no process and have the number of a thread in their name."""
    names = {f"vhost-{owner}" for owner in owners}
    found = []
    for task in _PROC.glob("[0-9]*"):
        try:
            if (task / "comm").read_text().strip() in names:
                found.append(task)
        except FileNotFoundError:
            pass
    return found
