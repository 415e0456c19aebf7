"""What the threads of a VMM cost."""

import pathlib


def own_us(process):
    """Microseconds of processor time that its threads have had, those of the vCPUs left out."""
    vcpus = {str(cpu["thread-id"]) for cpu in process.qmp.command("query-cpus-fast")}
    tasks = pathlib.Path(f"/proc/{process.popen.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks if task.name not in vcpus) / 1e3
