"""The nested test host as a process: its QEMU command line, the sockets to it, and its end.

Nothing of it has a name outside: the streams are socket pairs, the kernel log is an unlinked file, and QEMU gets a
signal from the kernel when this process dies. So whatever kills lab/run leaves nothing behind.
"""

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import tempfile

import snapshot
from errors import LabError

_QEMU = "/usr/bin/qemu-system-x86_64"
_PR_SET_PDEATHSIG = 1
_LOG_TAIL_LINES = 25
_END_TIMEOUT_S = 5

# tsc=reliable: a loaded host would make the clock watchdog drop the TSC, and with it KVM's master clock.
_KERNEL_COMMAND_LINE = "console=ttyS0 panic=-1 mitigations=off tsc=reliable random.trust_cpu=on quiet loglevel=5"

# The virtio-serial ports by their character device: what lab/init finds by name.
_CONTROL_PORT = {"control": "virtserialport,name=pg.control,nr=1"}
_PIPE_PORTS = {"out": "virtserialport,name=pg.out,nr=2", "err": "virtserialport,name=pg.err,nr=3"}
_TERMINAL_PORTS = {"terminal": "virtconsole,nr=0"}


class Machine:
    """One QEMU process. States: constructed (nothing runs), started, ended; start() is possible again after end().
    Not for use by several threads.

    `control` is the socket to PID 1 of the lab, `qmp` the one to QEMU's monitor, `streams` maps the lab's outputs ("out"
    and "err", or "terminal") to sockets, `process` is QEMU's subprocess.Popen object; all exist from start() on.
    `snapshot` is where this machine's snapshot lies or should lie, None if it has none.
    """

    def __init__(self, boot_files, *, smp, memory_mib, icount, shares, keep_log, terminal, cold):
        self._boot_files = boot_files
        self._smp = smp
        self._memory_mib = memory_mib
        self._icount = icount
        self._shares = shares
        self.terminal = terminal
        self._log = _open_log(keep_log)
        self._inherited = []
        self.control = None
        self.qmp = None
        self.streams = {}
        self.process = None
        # In virtual time a run must not depend on whether there was a snapshot.
        uses_snapshot = not cold and not icount and os.path.exists(_QEMU)
        self.snapshot = snapshot.path(boot_files, _QEMU, self._hardware()) if uses_snapshot else None

    def start(self):
        """Starts QEMU; true if it continues from a snapshot and so needs no boot."""
        arguments = [_QEMU, *self._hardware(), *self._connections()]
        restores = self.snapshot is not None and self.snapshot.exists()
        if restores:
            arguments += ["-incoming", f"exec:exec cat {shlex.quote(str(self.snapshot))}"]
        try:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
                pass_fds=[inherited.fileno() for inherited in self._inherited], preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise LabError(f"{_QEMU} cannot be started ({error.strerror}); run scripts/install-packages.") from error
        for inherited in self._inherited:
            inherited.close()
        self._inherited.clear()
        return restores

    def end(self):
        """Ends QEMU; may be called in any state and more than once."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def log_tail(self):
        with open(f"/proc/self/fd/{self._log.fileno()}", encoding="utf-8", errors="replace") as log:
            lines = [line.rstrip() for line in log]
        # What led to a panic says more than its register dump.
        panic = next((number for number, line in enumerate(lines) if "Kernel panic" in line), len(lines))
        return lines[: panic + 1][-_LOG_TAIL_LINES:]

    def _hardware(self):
        """The part of the command line that a snapshot depends on."""
        accelerator = "tcg,tb-size=1024"
        if self._smp > 1:
            accelerator += f",thread={'single' if self._icount else 'multi'}"
        arguments = [
            "-name", "pagurus-lab", "-machine", "q35", "-accel", accelerator, "-cpu", "max,svm=on",
            "-smp", str(self._smp), "-m", str(self._memory_mib), "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-kernel", str(self._boot_files.kernel), "-initrd", str(self._boot_files.initramfs),
            "-append", _KERNEL_COMMAND_LINE, "-device", "virtio-serial-pci,id=ports,max_ports=8",
        ]
        outputs = _TERMINAL_PORTS if self.terminal else _PIPE_PORTS
        for name, device in (outputs | _CONTROL_PORT).items():
            arguments += ["-device", f"{device},chardev={name}"]
        for number in range(-1, len(self._shares)):
            tag = "root" if number < 0 else f"share{number}"
            arguments += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        if self._icount:
            arguments += ["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]
        return arguments

    def _connections(self):
        """The part that ties the machine to this run: sockets, the log, directories."""
        # QEMU's own messages and the kernel's share the log, and with it one file position.
        arguments = ["-chardev", "stdio,id=log,signal=off", "-serial", "chardev:log"]
        arguments += ["-fsdev", "local,id=root,path=/,security_model=none,multidevs=remap,readonly=on"]
        for number, share in enumerate(self._shares):
            path = str(share).replace(",", ",,")
            arguments += ["-fsdev", f"local,id=share{number},path={path},security_model=none,multidevs=remap"]
        self.control = self._connect("control", arguments)
        self.qmp = self._connect("qmp", arguments)
        arguments += ["-mon", "chardev=qmp,mode=control"]
        outputs = _TERMINAL_PORTS if self.terminal else _PIPE_PORTS
        self.streams = {name: self._connect(name, arguments) for name in outputs}
        return arguments

    def _connect(self, name, arguments):
        ours, theirs = socket.socketpair()
        self._inherited.append(theirs)
        arguments += ["-chardev", f"socket,id={name},fd={theirs.fileno()}"]
        return ours


def _open_log(path):
    try:
        return open(path, "w+b", buffering=0) if path else tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise LabError(f"the kernel log {path} cannot be written: {error.strerror}.") from error


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
