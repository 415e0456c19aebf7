"""The demo's guest: a pagurus process, its successors, and the services in the guest (tests/guest/README.md)."""

import ctypes
import json
import os
import pathlib
import socket
import subprocess
import time

from ending import die_with_parent

REPOSITORY = pathlib.Path(__file__).resolve().parents[1]
BUILD = pathlib.Path(os.environ.get("PAGURUS_BUILD") or REPOSITORY / "build/release").resolve()
CACHE = pathlib.Path(os.environ.get("PAGURUS_CACHE") or REPOSITORY / "build/cache").resolve()
KERNEL = CACHE / "kernel-cloud/vmlinuz"
INITRD = REPOSITORY / "build/stock-guest.img"
HOST, GUEST = "10.0.0.1", "10.0.0.2"
TAP = "pagurus0"
WORDS = f"console=ttyS0 quiet panic=-1 reboot=t tsc=reliable mitigations=off pg.ip={GUEST}/24"
BOOT_TIMEOUT_S = 120
COMMAND_PORT = 23
_CLONE_NEWNET = 0x40000000


class DemoFailed(Exception):
    """Said to the person as it is."""


def make_network():
    """A network namespace of this process's own, with a TAP in it; both end with the last process in there."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        raise DemoFailed(f"cannot make a network namespace: {os.strerror(ctypes.get_errno())}")
    for words in ("link set lo up", f"tuntap add dev {TAP} mode tap vnet_hdr", f"address add {HOST}/24 dev {TAP}",
                  f"link set {TAP} up"):
        done = subprocess.run(["ip", *words.split()], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            raise DemoFailed(f"'ip {words}' failed: {done.stdout.strip()}")


class Guest:
    """States: booting (from the constructor on), ready, then moved once per upgrade(). `pid` is the process that has
    the guest. Whoever made the scene ends the processes."""

    def __init__(self, scene, smp):
        self._scene = scene
        self.qmp = scene.directory / "guest.qmp"
        self._console = scene.directory / "console"
        self._log = scene.directory / "pagurus.log"
        with open(self._log, "wb") as log:
            self._first = scene.start(
                [BUILD / "pagurus", "-machine", "pagurus-1.2", "-cpu", "host", "-m", "256M", "-smp", smp,
                 "-kernel", KERNEL, "-initrd", INITRD, "-append", WORDS,
                 "-netdev", f"tap,id=n0,ifname={TAP},script=no,downscript=no",
                 "-device", "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56",
                 "-serial", f"file:{self._console}", "-qmp", f"unix:{self.qmp},server=on,wait=off"],
                stdout=log, stderr=log, preexec_fn=die_with_parent)
        self.pid = self._first.pid

    def wait_until_ready(self):
        """Waits for the guest's own word; returns the seconds that took."""
        begin = time.monotonic()
        while time.monotonic() - begin < BOOT_TIMEOUT_S:
            if self._console.exists() and "PAGURUS-GUEST READY" in self._console.read_text(errors="replace"):
                return time.monotonic() - begin
            if self._first.poll() is not None:
                raise DemoFailed(f"pagurus ended with status {self._first.returncode}: {self.last_words()}")
            time.sleep(0.1)
        raise DemoFailed(f"the guest was not ready after {BOOT_TIMEOUT_S} s: {self.last_words()}")

    def last_words(self):
        texts = [path.read_text(errors="replace")[-600:] for path in (self._log, self._console) if path.exists()]
        return " | ".join(text.strip() for text in texts if text.strip()) or "it said nothing"

    def command(self, line):
        """The output of a shell command in the guest."""
        try:
            answer = _ask(line)
        except OSError as error:
            raise DemoFailed(f"the guest did not answer '{line}' ({error}): {self.last_words()}") from error
        output, found, status = answer.rpartition("\nexit ")
        if not found or status.strip() != "0":
            raise DemoFailed(f"'{line}' failed in the guest: {answer!r}")
        return output.strip()

    def allow_pause(self, milliseconds):
        """How long a hand-over may take at most; the process that has the guest then gives up and keeps it."""
        self._control(["qmp", self.qmp, "migrate-set-parameters", json.dumps({"downtime-limit": milliseconds})])

    def upgrade(self):
        """Replaces the process; returns the report of pagurusctl."""
        report = json.loads(self._control(["upgrade", self.qmp, "--timeout", "120", "--json", "--verbose"]))
        self.pid = report["new-pid"]
        return report

    def _control(self, arguments):
        with open(self._scene.directory / "pagurusctl.log", "a") as log:
            begin = log.tell()
            control = self._scene.start([BUILD / "pagurusctl", *arguments], stdout=subprocess.PIPE, stderr=log,
                                        text=True)
            output, _ = control.communicate()
        if control.returncode != 0:
            words = pathlib.Path(log.name).read_text(errors="replace")[begin:].strip()
            raise DemoFailed(f"'pagurusctl {arguments[0]}' failed:\n{words}\n{self.last_words()}")
        return output


def _ask(line):
    with socket.create_connection((GUEST, COMMAND_PORT), timeout=30) as connection:
        connection.sendall(line.encode() + b"\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
    return answer.decode(errors="replace")
