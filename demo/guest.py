"""The demo's guest: a pagurus process, its successors, and the services in the guest (tests/guest/README.md)."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("PAGURUS_BUILD") or REPOSITORY / "build/release")
CACHE = pathlib.Path(os.environ.get("PAGURUS_CACHE") or REPOSITORY / "build/cache")
KERNEL = CACHE / "kernel-cloud/vmlinuz"
INITRD = REPOSITORY / "build/stock-guest.img"
HOST, GUEST = "10.0.0.1", "10.0.0.2"
TAP = "pagurus0"
WORDS = f"console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off pg.ip={GUEST}/24"
BOOT_TIMEOUT_S = 120


class GuestFailed(Exception):
    """The guest or its process did not do what it should."""


def make_network():
    """The TAP, in the demo's own network namespace."""
    for command in (f"link set lo up", f"tuntap add dev {TAP} mode tap vnet_hdr", f"address add {HOST}/24 dev {TAP}",
                    f"link set {TAP} up"):
        subprocess.run(["ip", *command.split()], check=True)


class Guest:
    def __init__(self, directory, smp):
        self._directory = directory
        self.qmp = directory / "guest.qmp"
        self._console = directory / "console"
        self._log = directory / "pagurus.log"
        with open(self._log, "wb") as log:
            self._first = subprocess.Popen(
                [BUILD / "pagurus", "-machine", "pagurus-1.1", "-cpu", "host", "-m", "256M", "-smp", str(smp),
                 "-kernel", KERNEL, "-initrd", INITRD, "-append", WORDS,
                 "-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no",
                 "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56",
                 "-serial", f"file:{self._console}", "-qmp", f"unix:{self.qmp},server=on,wait=off"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self._first.pid

    def wait_until_ready(self):
        """Waits for the guest's own word; returns the seconds that took."""
        begin = time.monotonic()
        while time.monotonic() - begin < BOOT_TIMEOUT_S:
            if self._console.exists() and "PAGURUS-GUEST READY" in self._console.read_text(errors="replace"):
                return time.monotonic() - begin
            if self._first.poll() is not None:
                raise GuestFailed(f"pagurus ended with status {self._first.returncode}: {self.last_words()}")
            time.sleep(0.1)
        raise GuestFailed(f"the guest was not ready after {BOOT_TIMEOUT_S} s: {self.last_words()}")

    def last_words(self):
        texts = [path.read_text(errors="replace")[-600:] for path in (self._log, self._console) if path.exists()]
        return " | ".join(text.strip() for text in texts if text.strip()) or "it said nothing"

    def command(self, line):
        """The output of a shell command in the guest."""
        with socket.create_connection((GUEST, 23), timeout=30) as connection:
            connection.sendall(line.encode() + b"\n")
            answer = b""
            while data := connection.recv(65536):
                answer += data
        output, found, status = answer.decode().rpartition("\nexit ")
        if not found or status.strip() != "0":
            raise GuestFailed(f"'{line}' failed in the guest: {answer!r}")
        return output.strip()

    def upgrade(self):
        """Replaces the process; returns the report of pagurusctl."""
        done = subprocess.run([BUILD / "pagurusctl", "upgrade", self.qmp, "--timeout", "120", "--json"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise GuestFailed(f"the upgrade failed: {done.stderr.strip()}")
        report = json.loads(done.stdout)
        self.pid = report["new-pid"]
        return report

    def end(self):
        """Ends whichever process has the guest now, and reaps the first."""
        for pid in {self.pid, self._first.pid}:
            if self._is_pagurus(pid):
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 10
        while any(self._is_pagurus(pid) for pid in {self.pid, self._first.pid}) and time.monotonic() < deadline:
            self._first.poll()
            time.sleep(0.05)
        for pid in {self.pid, self._first.pid}:
            if self._is_pagurus(pid):
                os.kill(pid, signal.SIGKILL)
        self._first.wait()

    @staticmethod
    def _is_pagurus(pid):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return re.search(r"^Name:\s+pagurus$", status, re.M) and not re.search(r"^State:\s+Z", status, re.M)
