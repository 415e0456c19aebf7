"""What the threads of a VMM cost."""

import pathlib

_PROC = pathlib.Path("/proc")


class OwnTime:
    """Processor time of a process without its vCPUs, and with the kernel's threads that work for it."""

    def __init__(self, process):
        # Asked once and before: to answer costs the process time, too.
        self._vcpus = {str(cpu["thread-id"]) for cpu in process.qmp.command("query-cpus-fast")}
        self._tasks = _PROC / str(process.popen.pid) / "task"

    def us(self):
        """Microseconds until now."""
        tasks = list(self._tasks.iterdir())
        own = [task for task in tasks if task.name not in self._vcpus] + _vhost_threads({task.name for task in tasks})
        return sum(int((_read(task / "schedstat") or "0").split()[0]) for task in own) / 1e3


def _vhost_threads(owners):
    """Those of vhost, which before Linux 6.4 belong to no process and have the number of a thread in their name."""
    names = {f"vhost-{owner}" for owner in owners}
    return [task for task in _PROC.glob("[0-9]*") if _read(task / "comm").strip() in names]


def _read(path):
    """Nothing of a task that has ended."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
