"""The nested test host as a process: its QEMU command line, the sockets to it, and its end.

Nothing of it has a name outside: the streams are socket pairs, the kernel log is an unlinked file, and QEMU gets a
signal from the kernel when this process dies. So whatever kills lab/run leaves nothing behind.
"""

import ctypes
import os
import signal
import socket
import subprocess
import tempfile

from errors import LabError

_QEMU = "/usr/bin/qemu-system-x86_64"
_PR_SET_PDEATHSIG = 1
_LOG_TAIL_LINES = 25
_END_TIMEOUT_S = 5

# tsc=reliable: a loaded host would make the clock watchdog drop the TSC, and with it KVM's master clock.
_KERNEL_COMMAND_LINE = "console=ttyS0 panic=-1 mitigations=off tsc=reliable random.trust_cpu=on quiet loglevel=5"


class Machine:
    """One QEMU process. States: constructed (nothing runs), started, ended. Not for use by several threads.

    `control` is the socket to PID 1 of the lab, `streams` maps the lab's outputs ("out", "err" or "terminal") to
    sockets, `process` is QEMU's subprocess.Popen object; all of them exist from start() on.
    """

    def __init__(self, boot_files, *, smp, memory_mib, icount, shares, keep_log, terminal):
        self._boot_files = boot_files
        self._smp = smp
        self._memory_mib = memory_mib
        self._icount = icount
        self._shares = shares
        self.terminal = terminal
        self._log = _open_log(keep_log)
        self._inherited = []
        self.control = None
        self.streams = {}
        self.process = None

    def start(self):
        arguments = self._arguments()
        try:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
                pass_fds=[inherited.fileno() for inherited in self._inherited], preexec_fn=_die_with_parent,
            )
        except OSError as error:
            raise LabError(f"{_QEMU} cannot be started ({error.strerror}); run scripts/install-packages.") from error
        for inherited in self._inherited:
            inherited.close()

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

    def _arguments(self):
        accelerator = "tcg,tb-size=1024"
        if self._smp > 1:
            accelerator += f",thread={'single' if self._icount else 'multi'}"
        arguments = [
            _QEMU, "-name", "pagurus-lab", "-machine", "q35", "-accel", accelerator, "-cpu", "max,svm=on",
            "-smp", str(self._smp), "-m", str(self._memory_mib), "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-kernel", str(self._boot_files.kernel), "-initrd", str(self._boot_files.initramfs),
            "-append", _KERNEL_COMMAND_LINE,
            # QEMU's own messages and the kernel's share the log, and with it one file position.
            "-chardev", "stdio,id=log,signal=off", "-serial", "chardev:log",
            "-virtfs", "local,path=/,mount_tag=root,security_model=none,multidevs=remap,readonly=on",
            "-device", "virtio-serial-pci,max_ports=8",
        ]
        for number, share in enumerate(self._shares):
            path = str(share).replace(",", ",,")
            arguments += [
                "-virtfs", f"local,path={path},mount_tag=share{number},security_model=none,multidevs=remap",
            ]
        if self._icount:
            arguments += ["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"]
        if self.terminal:
            arguments += self._stream("terminal", "virtconsole,nr=0")
        else:
            arguments += self._stream("out", "virtserialport,name=pg.out,nr=2")
            arguments += self._stream("err", "virtserialport,name=pg.err,nr=3")
        arguments += self._stream("control", "virtserialport,name=pg.control,nr=1")
        self.control = self.streams.pop("control")
        return arguments

    def _stream(self, name, device):
        ours, theirs = socket.socketpair()
        self.streams[name] = ours
        self._inherited.append(theirs)
        return ["-chardev", f"socket,id={name},fd={theirs.fileno()}", "-device", f"{device},chardev={name}"]


def _open_log(path):
    try:
        return open(path, "w+b", buffering=0) if path else tempfile.TemporaryFile(buffering=0)
    except OSError as error:
        raise LabError(f"the kernel log {path} cannot be written: {error.strerror}.") from error


_libc = ctypes.CDLL(None)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
