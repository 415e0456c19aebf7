"""Starts pagurus processes and looks at them from outside."""

import functools
import os
import pathlib
import re
import subprocess
import time

from qmp import Qmp

BUILD = pathlib.Path(os.environ.get("PAGURUS_BUILD", "build/release")).resolve()
PAGURUS = BUILD / "pagurus"
PAGURUSCTL = BUILD / "pagurusctl"
# Another version, as far as a guest and its state can tell (make variant).
VARIANT = pathlib.Path(__file__).resolve().parents[2] / "build" / "variant" / "pagurus"


class Vmm:
    """One pagurus process.  `arguments` are all its arguments but the QMP socket's."""

    def __init__(self, directory, name, arguments, binary=PAGURUS, pass_fds=(), qmp=True, stdin=subprocess.DEVNULL,
                 prefix=()):
        self.name = name
        self.directory = directory
        self.qmp_path = directory / f"{name}.qmp"
        self.arguments = [str(argument) for argument in arguments]
        self.stderr_path = directory / f"{name}.stderr"
        self.console_path = directory / f"{name}.console"
        with open(self.stderr_path, "wb") as stderr, open(self.console_path, "wb") as stdout:
            self.process = subprocess.Popen(
                [*prefix, str(binary), *self.arguments, "-qmp", f"unix:{self.qmp_path},server=on,wait=off"],
                stdin=stdin, stdout=stdout, stderr=stderr, pass_fds=pass_fds)
        self.pid = self.process.pid
        self._qmp = None
        if qmp:
            try:
                self.qmp
            except (TimeoutError, ConnectionError) as error:
                self.kill()
                raise AssertionError(f"{name} did not start: {error}; stderr: {self.stderr()}") from error

    @property
    def qmp(self):
        if self._qmp is None:
            deadline = time.monotonic() + 20
            while not self.qmp_path.exists():
                if self.process.poll() is not None:
                    raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.stderr()}")
                assert time.monotonic() < deadline, f"{self.name} has no QMP socket; stderr: {self.stderr()}"
                time.sleep(0.01)
            self._qmp = Qmp(self.qmp_path)
        return self._qmp

    def stderr(self):
        return self.stderr_path.read_text(errors="replace")

    def console(self):
        return self.console_path.read_text(errors="replace")

    def status(self):
        return self.qmp.command("query-status")["status"]

    def alive(self):
        return self.process.poll() is None

    def wait(self, timeout=30):
        """The exit status; fails the test if the process does not end."""
        return self.process.wait(timeout)

    def quit(self):
        self.qmp.command("quit")
        assert self.wait() == 0, self.stderr()

    def kill(self):
        if self.alive():
            self.process.kill()
        self.process.wait(10)
        if self._qmp:
            self._qmp.close()


def file_descriptors(pid):
    """What each descriptor of a process is, without the numbers that differ from run to run."""
    names = []
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            names.append(re.sub(r":\[\d+\]$", "", os.readlink(entry)))
        except FileNotFoundError:
            pass
    return sorted(names)


def descriptors(process):
    """What a process has open; its own output files by their place, not by its name."""
    return [name.replace(f"/{process.name}.", "/") for name in file_descriptors(process.pid)]


def peak_memory(pid):
    """Bytes that the process had in memory at most."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("the kernel does not tell")


@functools.cache
def knows(option, kind, word):
    """Whether the program takes that word of an option, as its own help tells: knows("-netdev", "tap", "queues")."""
    done = subprocess.run([PAGURUS, option, f"{kind},help"], capture_output=True, text=True, check=False)
    return re.search(rf"^  {re.escape(word)}=", done.stdout + done.stderr, re.MULTILINE) is not None


def sanitized():
    """These programs keep memory that they have freed, so as to catch its use."""
    return b"__asan_init" in PAGURUS.read_bytes()


def thread_count(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/task").iterdir()))


def private_kib(pid):
    """Memory of the process that is not shared, in KiB; not guest RAM, which counts as private while only one maps it."""
    total = 0
    is_ram = False
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        words = line.split()
        if not words[0].endswith(":"):
            is_ram = "memfd:" in line
        elif words[0] in ("Private_Clean:", "Private_Dirty:") and not is_ram:
            total += int(words[1])
    return total


def ended(pid):
    """The process is gone, or only waits for its parent to notice (which not every init does)."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def eventually(condition, timeout=10.0, what="the condition"):
    """Waits until condition() is true and returns its value."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not come true in {timeout} s"
        time.sleep(0.02)
