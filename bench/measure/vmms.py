"""The VMMs that are compared: each keeps one guest and gives it a new process on request, by its own best way.

All have the guest on a TAP that is a port of a bridge, RAM in a memfd or file that other processes can map, and no
device that they could do without.  A hand-over begins with nothing prepared: the new process is started in it.
"""

import json
import os
import pathlib
import subprocess
import time

from guest import MAC
import stock_command
from network import Bridge, Tap
from probe_client import ProbeControl, UdpProbe

from measure import ROOT, build
from measure.process import POLL_S, Process


class Guest:
    """The probe guest, or one of a few instructions: what it has, the same for each VMM."""

    initrd = None

    def __init__(self, memory="256M", vcpus=1, queues=1, append="probe.spin=1", kernel=None, nics=1, vhost=False):
        self.nics = nics
        self.vhost = vhost
        self.kernel = kernel or build.program("probe.elf")
        self.memory = memory
        self.vcpus = vcpus
        self.queues = queues
        self.append = append

    def words(self, address):
        """The kernel's command line."""
        pairs = f" probe.queues={self.queues} probe.ctrl=1" if self.queues > 1 else ""
        return f"probe.ip={address} probe.pattern=1M probe.smp={self.vcpus}{pairs} {self.append}"

    def wait_until_ready(self, address):
        ProbeControl(address, timeout=5).wait_until_ready(120)


class StockGuest(Guest):
    """Debian's own cloud kernel, as the functional tests boot it (tests/guest), with sockperf."""

    initrd = ROOT / "build" / "bench-guest.img"
    _BOOT_TIMEOUT_S = 300

    def __init__(self, memory="256M", vcpus=1, vhost=False):
        if not self.initrd.exists():
            raise RuntimeError(f"{self.initrd} is missing; tests/guest/make-initramfs {self.initrd} --also /usr/bin/sockperf makes it")
        cache = pathlib.Path(os.environ.get("PAGURUS_CACHE", ROOT / "build" / "cache"))
        super().__init__(memory, vcpus, kernel=cache / "kernel-cloud" / "vmlinuz", vhost=vhost)

    def words(self, address):
        return f"quiet panic=-1 tsc=reliable mitigations=off reboot=t pg.ip={address}/24"

    def wait_until_ready(self, address):
        deadline = time.monotonic() + self._BOOT_TIMEOUT_S
        while UdpProbe(address, rate=10, duration=0.5).start().wait(10)["replies"] == 0:
            if time.monotonic() > deadline:
                raise RuntimeError("the stock guest does not answer")
        output, status = stock_command.run(address, "gapd")
        if status:
            raise RuntimeError(f"the stock guest does not watch its gaps: {output}")


class Subject:
    """One VMM with one guest.  hand_over() returns its moments, in seconds since the epoch, and its phases if it tells."""

    taps_needed = 1
    keeps_ram = True  # the new process has the same file with RAM

    def __init__(self, directory, guest):
        self.directory = directory
        self.guest = guest
        self.process = None
        self._left = None
        self._alive = []
        self._count = 0
        self.taps = [Tap(multi_queue=guest.queues > 1) for _ in range(self.taps_needed)]
        self.bridge = Bridge(self.taps[0])
        for tap in self.taps[1:]:
            self.bridge.join(tap)

    @property
    def address(self):
        return self.taps[0].guest

    def netdev(self):
        """The back end of the process that is started next: the words of both VMMs are the same."""
        queues = f",queues={self.guest.queues}" if self.guest.queues > 1 else ""
        vhost = ",vhost=on" if self.guest.vhost else ""
        return f"tap,id=n0,ifname={self.next_tap().name},script=no,downscript=no{queues}{vhost}"

    def next_tap(self):
        """The one for the process that is started next: not that of the process before, if there are two."""
        return self.taps[self._count % len(self.taps)]

    def tap(self):
        """That of the process that was started last."""
        return self.taps[(self._count - 1) % len(self.taps)]

    def start(self, *more):
        initrd = ["-initrd", self.guest.initrd] if self.guest.initrd else []
        command = [*self.command(), *initrd, *more]
        self._count += 1
        self._alive.append(Process(self.directory, f"{self.key}-{self._count}", command))
        return self._alive[-1]

    def launch(self):
        """The first process; the guest is on its way."""
        self.process = self.start()
        self.process.connect()

    def boot(self):
        self.launch()
        self.guest.wait_until_ready(self.address)

    def stop(self):
        """The guest waits, and costs nothing, while others are measured."""
        self.process.qmp.command("stop")

    def go_on(self):
        self.process.qmp.command("cont")

    def hand_over(self):
        moments = self.give_away()
        self.end_left()
        return moments

    def give_away(self):
        """A hand-over after which the old process is still there, until end_left()."""
        source = self.process
        source.qmp.collect_events()
        command = time.time()
        destination = self.move(source)
        resumed = destination.event_time("RESUME")
        info = source.wait_migrated()
        stopped = source.event_time("STOP")
        self.process = destination
        self._left = source
        return {"command": command, "stop": stopped, "resume": resumed, "phases": info.get("phases", [])}

    def end_left(self):
        self._left.end()
        self._alive.remove(self._left)

    def uri(self):
        return f"unix:{self.directory}/{self.key}-{self._count}.mig"

    def remove(self):
        for process in self._alive:
            process.end()
        self.bridge.remove()
        for tap in self.taps:
            tap.remove()


class Pagurus(Subject):
    """The hand-over: RAM and TAP are passed on.  Of further network cards the guest makes no use."""

    key = "pagurus"
    name = "pagurus"

    def __init__(self, directory, guest):
        super().__init__(directory, guest)
        self.unused_taps = [Tap() for _ in range(guest.nics - 1)]

    def remove(self):
        super().remove()
        for tap in self.unused_taps:
            tap.remove()

    def version(self):
        return subprocess.run([build.program("pagurus"), "--version"], capture_output=True, text=True,
                              check=True).stdout.split("\n")[0]

    def command(self):
        multiqueue = ",mq=on" if self.guest.queues > 1 else ""
        unused = [word for i, tap in enumerate(self.unused_taps, 1) for word in
                  ("-netdev", f"tap,id=n{i},ifname={tap.name},script=no,downscript=no",
                   "-device", f"virtio-net-pci,netdev=n{i},mac=52:54:00:00:01:{i:02x}")]
        return [build.program("pagurus"), "-machine", "pagurus-1.2", "-cpu", "host", "-m", self.guest.memory,
                "-smp", self.guest.vcpus, "-kernel", self.guest.kernel,
                "-append", self.guest.words(self.address),
                "-netdev", self.netdev(),
                "-device", f"virtio-net-pci,netdev=n0,mac={MAC}{multiqueue}", *unused, "-serial", "none"]

    def move(self, source):
        destination = self.start("-incoming", "defer")
        qmp = destination.connect()
        qmp.command("migrate-set-parameters", backend_transfer=True)
        # A long pause of a busy machine is measured, not rolled back.
        source.qmp.command("migrate-set-parameters", backend_transfer=True, downtime_limit=3000)
        qmp.command("migrate-incoming", uri=self.uri())
        source.qmp.command("migrate", uri=self.uri())
        return destination


class Unprepared(Pagurus):
    """The same without filling the new process' page tables before the pause."""

    key = "unprepared"
    name = "pagurus, page tables not filled before"

    def command(self):
        return ["env", f"LD_PRELOAD={build.program('unprepared.so')}", *super().command()]


class Qemu(Subject):
    """What the ways of QEMU have in common."""

    binary = "qemu-system-x86_64"
    machine = "q35,accel=kvm,memory-backend=ram"
    ram = "memory-backend-memfd,id=ram,size={memory},share=on"

    def version(self):
        output = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True).stdout
        return output.split("\n")[0].removeprefix("QEMU emulator version ")

    @staticmethod
    def cpu():
        # An emulating KVM offers an MSR of this name and refuses its value, whereupon QEMU aborts.
        return "host,-arch-capabilities" if build.kvm_kind() == "emulated" else "host"

    def command(self):
        ram = self.ram.format(memory=self.guest.memory, directory=self.directory, key=self.key)
        multiqueue = f",mq=on,vectors={2 * self.guest.queues + 2}" if self.guest.queues > 1 else ""
        return [self.binary, "-machine", self.machine, "-cpu", self.cpu(), "-m", self.guest.memory, "-object", ram,
                "-smp", self.guest.vcpus, "-nodefaults", "-no-user-config", "-display", "none",
                "-kernel", self.guest.kernel, "-append", self.guest.words(self.address),
                "-netdev", self.netdev(),
                "-device", f"virtio-net-pci,netdev=n0,mac={MAC},romfile={multiqueue}"]


class QemuCopied(Qemu):
    """Plain local migration: RAM is copied, the new process has a new TAP."""

    key = "copied"
    name = "qemu migration, RAM copied"
    taps_needed = 2
    keeps_ram = False
    capabilities = ()

    def move(self, source):
        destination = self.start("-incoming", "defer")
        qmp = destination.connect()
        for side in (qmp, source.qmp):
            side.command("migrate-set-capabilities",
                         capabilities=[{"capability": name, "state": True} for name in self.capabilities])
        source.qmp.command("migrate-set-parameters", max_bandwidth=10 << 30)
        qmp.command("migrate-incoming", uri=self.uri())
        source.qmp.command("migrate", uri=self.uri())
        return destination


class QemuShared(QemuCopied):
    """Local migration with RAM in a file that both processes map."""

    key = "shared"
    name = "qemu migration, RAM shared"
    keeps_ram = True
    ram = "memory-backend-file,id=ram,size={memory},share=on,mem-path={directory}/{key}.ram"
    capabilities = ("x-ignore-shared",)


def listens(path):
    """Whether a UNIX socket is there, and somebody takes connections (flag __SO_ACCEPTCON)."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    return any(line.endswith(f" {path}") and line.split()[3] == "00010000" for line in lines)


class QemuCpr(Qemu):
    """Mode cpr-transfer, as docs/devel/migration/CPR.rst of QEMU says; a new TAP, because it passes none on."""

    key = "cpr"
    name = "qemu cpr-transfer"
    taps_needed = 2
    binary = subprocess.run([ROOT / "scripts" / "fetch-qemu", "--print"], capture_output=True, text=True,
                            check=True).stdout.strip()
    machine = Qemu.machine + ",aux-ram-share=on"

    def move(self, source):
        main, cpr = (self.directory / f"{self.key}-{self._count}.{end}" for end in ("main", "early"))

        def channel(kind, path):
            return {"channel-type": kind, "addr": {"transport": "socket", "type": "unix", "path": str(path)}}

        destination = self.start("-incoming", f"unix:{main}", "-incoming", json.dumps(channel("cpr", cpr)))
        source.qmp.command("migrate-set-parameters", mode="cpr-transfer")
        while not listens(cpr):
            if destination.popen.poll() is not None:
                raise RuntimeError(f"{destination.name} ended: {destination.log()}")
            time.sleep(POLL_S)
        source.qmp.command("migrate", channels=[channel("main", main), channel("cpr", cpr)])
        # It has no monitor before the source has sent the early part.
        destination.connect()
        return destination


ALL = {subject.key: subject for subject in (Pagurus, Unprepared, QemuCpr, QemuShared, QemuCopied)}
