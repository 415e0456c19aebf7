"""One process that runs or awaits the guest, driven by QMP as closely in time as a client can."""

import subprocess
import time

from qmp import Qmp, QmpError

# In the nested test host a QEMU takes half a minute to answer.
PATIENCE_S = 180
# How often a new process is looked at whether it listens: finer than what is measured with it.
POLL_S = 0.0005


class Process:
    """A VMM, started; connect() before anything is asked of it."""

    def __init__(self, directory, name, command):
        self.name = name
        self.qmp_path = directory / f"{name}.qmp"
        self.log_path = directory / f"{name}.log"
        self.command = [str(word) for word in command]
        with open(self.log_path, "wb") as log:
            self.popen = subprocess.Popen([*self.command, "-qmp", f"unix:{self.qmp_path},server=on,wait=off"],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.qmp = None

    def connect(self):
        deadline = time.monotonic() + PATIENCE_S
        while not self.qmp_path.exists() and self.popen.poll() is None and time.monotonic() < deadline:
            time.sleep(POLL_S)
        if self.popen.poll() is not None:
            raise RuntimeError(f"{self.name} ended with {self.popen.returncode}: {self.log()}")
        self.qmp = Qmp(self.qmp_path, timeout=PATIENCE_S, poll=POLL_S)
        return self.qmp

    def log(self):
        return self.log_path.read_text(errors="replace")[-2000:]

    def event_time(self, name, timeout=PATIENCE_S):
        """When it says that it happened, in seconds since the epoch."""
        stamp = self.qmp.wait_event(name, timeout)["timestamp"]
        return stamp["seconds"] + stamp["microseconds"] / 1e6

    def wait_migrated(self, timeout=PATIENCE_S):
        """The outcome of a migration that this process is the source of."""
        deadline = time.monotonic() + timeout
        while True:
            info = self.qmp.command("query-migrate")
            if info.get("status") in ("completed", "failed", "cancelled"):
                break
            if time.monotonic() > deadline:
                raise RuntimeError(f"the migration of {self.name} does not end: {info}")
            time.sleep(0.005)
        if info["status"] != "completed":
            raise RuntimeError(f"the migration of {self.name} failed: {info}; {self.log()}")
        return info

    def end(self):
        """By quit, and if that does not help by force."""
        if self.popen.poll() is None and self.qmp:
            try:
                self.qmp.command("quit")
                self.popen.wait(10)
            except (QmpError, OSError, TimeoutError, subprocess.TimeoutExpired):
                pass
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        if self.qmp:
            self.qmp.socket.close()
        self.qmp_path.unlink(missing_ok=True)
