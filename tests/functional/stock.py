"""The stock guest in Pagurus: boots it, talks to it, types on its console, and hands it from process to process."""

import dataclasses
import os
import pathlib
import re
import select
import socket
import threading
import time

import stock_command
from guest import end, hand_over, prepare
from network import Tap
from stock_command import GuestSilent
from vmm import BUILD, Vmm

_REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
KERNEL = pathlib.Path(os.environ.get("PAGURUS_CACHE") or _REPOSITORY / "build/cache") / "kernel-cloud/vmlinuz"
INITRD = _REPOSITORY / "build/stock-guest.img"
UDP_PROBE = BUILD / "udp-probe"
MAC = "52:54:00:12:34:56"

_BOOT_TIMEOUT_S = 90
# Preparing takes long where one emulated processor serves two busy ones of the guest and everybody else.
_HANDOVER_TIMEOUT_S = 60
_READY = "PAGURUS-GUEST READY"
_WORDS = "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off"


class Console:
    """The client of the guest's serial port.  A thread of its own reads, from the first byte to the end."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._changed = threading.Condition()
        self._text = ""
        self.closed = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while True:
            try:
                data = self._socket.recv(65536)
            except OSError:
                data = b""
            with self._changed:
                self.closed = not data
                self._text += data.decode(errors="replace")
                self._changed.notify_all()
            if not data:
                return

    @property
    def text(self):
        with self._changed:
            return self._text

    def wait_for(self, pattern, timeout=30.0, after=0):
        """The match of a pattern in what came after that many characters; complains if it does not come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                if found := re.search(pattern, self._text[after:]):
                    return found
                left = deadline - time.monotonic()
                if left <= 0 or self.closed:
                    raise GuestSilent(f'the console never said "{pattern}"; its last words: {self._text[-600:]!r}')
                self._changed.wait(left)

    def type(self, text):
        self._socket.sendall(text.encode())

    def close(self):
        self._socket.close()


class StockGuest:
    """One guest, in whatever process it is now (`vmm`), with a TAP of its own and a client on its console."""

    def __init__(self, directory, *options, vcpus=1, memory="256M", append="reboot=t", tap=None, machine="pagurus-1.2",
                 nic=""):
        self.directory = pathlib.Path(directory)
        self.tap = tap or Tap()
        self.console_path = self.directory / "serial"
        self.vcpus = vcpus
        self.nic = nic
        self.generation = 0
        self.vmms = []
        self._waiting = []
        self._arguments = [
            "-machine", machine, "-cpu", "host", "-m", memory, "-smp", vcpus,
            "-kernel", KERNEL, "-initrd", INITRD,
            "-append", f"{_WORDS} pg.ip={self.tap.guest}/24 {append}",
            *self._network_words(), "-serial", f"unix:{self.console_path},server=on,wait=off", *options]
        self.vmm = self._start()
        self.console = Console(self.console_path)

    def _network_words(self):
        return ["-netdev", f"tap,id=n0,ifname={self.tap.name},script=no,downscript=no",
                "-device", f"virtio-net-pci,netdev=n0,mac={MAC}{self.nic}"]

    def _start(self, *more):
        vmm = Vmm(self.directory, f"vmm{self.generation}", [*self._arguments, *more])
        self.generation += 1
        self.vmms.append(vmm)
        return vmm

    def wait_ready(self, after=0):
        """Waits until the guest's services listen; returns how many characters of the console were read for that."""
        return after + self.console.wait_for(_READY + r"[^\n]*\n", _BOOT_TIMEOUT_S, after).end()

    def command(self, line, timeout=30.0):
        """Runs a command line in the guest: its output and its exit status."""
        return stock_command.run(self.tap.guest, line, timeout)

    def output(self, line, timeout=30.0):
        """The output of a command line that must succeed."""
        output, status = self.command(line, timeout)
        assert status == 0, f"{line!r} ended with {status}: {output}"
        return output

    def order(self, line):
        """Sends a command line and does not wait for an answer: for what ends the guest."""
        connection = socket.create_connection((self.tap.guest, 23), 10)
        connection.sendall(line.encode() + b"\n")
        return connection

    def kernel_log(self):
        return self.output("dmesg")

    def clocks(self):
        """One reading of the guest's clocks."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect((self.tap.guest, 37))
            return read_clocks(udp)

    def answers(self, timeout=5.0):
        try:
            return self.command("true", timeout)[1] == 0
        except GuestSilent:
            return False

    def start_destinations(self, count, *options):
        """Starts the processes of the next hand-overs, so that these take no longer than they must."""
        for _ in range(count):
            destination = self._start("-incoming", "defer", *options)
            prepare(destination)
            self._waiting.append(destination)

    def end_destinations(self):
        """Ends those that wait and are not needed."""
        while self._waiting:
            end(self._waiting.pop())

    def hand_over(self):
        """Moves the guest into the next waiting process, or a new one, and ends the old one.

        Returns what query-migrate said at the end.
        """
        if not self._waiting:
            self.start_destinations(1)
        source, destination = self.vmm, self._waiting.pop(0)
        info = hand_over(source, destination, _HANDOVER_TIMEOUT_S)
        self.vmm = destination
        source.quit()
        return info

    def lasting(self):
        """The processes that a test may leave behind for the next one."""
        return {self.vmm.pid}

    def close(self):
        """Ends all processes; tells what they said, if anything."""
        self.console.close()
        for vmm in self.vmms:
            end(vmm)
            if vmm.stderr():
                print(f"--- standard error of {vmm.name} (status {vmm.process.returncode})\n{vmm.stderr()}")
        self.tap.remove()


@dataclasses.dataclass
class ClockReading:
    """The guest's clocks in nanoseconds, and the host's before and after they were read."""

    realtime: int
    monotonic: int
    host_realtime: tuple
    host_monotonic: tuple

    def realtime_ahead(self):
        """By how much the guest's clock is ahead of the host's: the least and the most it can be."""
        return self.realtime - self.host_realtime[1], self.realtime - self.host_realtime[0]

    def monotonic_ahead(self):
        return self.monotonic - self.host_monotonic[1], self.monotonic - self.host_monotonic[0]


def read_clocks(udp):
    """One reading over a connected socket; a datagram that is lost is asked for again."""
    for _ in range(5):
        before = time.time_ns(), time.monotonic_ns()
        udp.send(b"?")
        if select.select([udp], [], [], 3.0)[0]:
            realtime, monotonic = map(int, udp.recv(100).split())
            after = time.time_ns(), time.monotonic_ns()
            return ClockReading(realtime, monotonic, (before[0], after[0]), (before[1], after[1]))
    raise GuestSilent("the guest does not tell the time")
