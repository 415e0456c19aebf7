"""One run of a command in the lab: hands over the job, forwards the streams, waits for the exit status."""

import contextlib
import os
import selectors
import signal
import socket
import sys
import termios
import time
import tty

import snapshot
from errors import LabError, LabFroze

EXIT_TIMEOUT = 124
_EXIT_SIGNAL = 128
# A boot takes seconds; a machine whose cores are all busy elsewhere gets the benefit of the doubt.
_BOOT_TIMEOUT_S = 120
_RESTORE_TIMEOUT_S = 30
# PID 1 of the lab says every 5 s that it lives.  QEMU's SVM emulation can, rarely, lose the interrupt that should wake
# its processor: then nothing in there ever runs again.
_SILENCE_LIMIT_S = 90
_CHUNK = 65536


class _NotRestored(Exception):
    """QEMU did not continue from the snapshot."""


class _Ended(Exception):
    """A signal asked this process to end."""

    def __init__(self, number):
        super().__init__(number)
        self.number = number


def run(machine, script, timeout):
    """Runs the job in the machine (constructed, not started) and returns the exit status for lab/run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _raise_ended)
    try:
        try:
            return _attempt(machine, script, timeout)
        except _NotRestored:
            print("lab/run: the lab's snapshot could not be restored; booting it.", file=sys.stderr)
            machine.snapshot.unlink(missing_ok=True)
            return _attempt(machine, script, timeout)
    except _Ended as ended:
        return _EXIT_SIGNAL + ended.number
    except BrokenPipeError:
        return _EXIT_SIGNAL + signal.SIGPIPE
    except LabError as error:
        tail = "\n".join(f"  | {line}" for line in machine.log_tail()) or "  | (nothing)"
        raise type(error)(f"the lab failed: {error}\nThe last lines of its kernel log:\n{tail}") from error


def _attempt(machine, script, timeout):
    try:
        restored = machine.start()
        with _raw_terminal() if machine.terminal else contextlib.nullcontext():
            return _Session(machine, script, timeout, restored).loop()
    finally:
        machine.end()


class _Session:
    """The event loop. States: booting, given the job, running it ("started" has come), exited. One thread."""

    def __init__(self, machine, script, timeout, restored):
        self._machine = machine
        self._script = script.encode()
        self._started = time.monotonic()
        self._deadline = self._started + timeout if timeout else None
        self._boot_deadline = self._started + (_RESTORE_TIMEOUT_S if restored else _BOOT_TIMEOUT_S)
        self._restored = restored
        self._is_running = False
        self._heard = self._started
        self._status = None
        self._messages = b""
        self._selector = selectors.DefaultSelector()
        outputs = {"out": sys.stdout, "terminal": sys.stdout, "err": sys.stderr}
        self._outputs = [(stream, outputs[name].fileno()) for name, stream in machine.streams.items()]
        for stream, output in self._outputs:
            self._selector.register(stream, selectors.EVENT_READ, lambda s=stream, o=output: _forward(s, o))
        self._selector.register(machine.control, selectors.EVENT_READ, self._read_control)
        self._process_fd = os.pidfd_open(machine.process.pid)
        self._selector.register(self._process_fd, selectors.EVENT_READ, self._process_ended)
        if machine.terminal:
            self._selector.register(sys.stdin, selectors.EVENT_READ, self._forward_keys)
        if restored:
            self._send_job()

    def loop(self):
        while self._status is None:
            for key, _ in self._selector.select(self._time_left()):
                key.data()
            now = time.monotonic()
            if self._deadline and now >= self._deadline:
                print(f"lab/run: timed out after {now - self._started:.0f} s.", file=sys.stderr)
                self._status = EXIT_TIMEOUT
            elif not self._is_running and now >= self._boot_deadline:
                if self._restored:
                    raise _NotRestored
                raise LabError(f"it did not come up within {_BOOT_TIMEOUT_S} s.")
            elif self._is_running and now >= self._heard + _SILENCE_LIMIT_S:
                raise LabFroze(f"nothing ran in it for {_SILENCE_LIMIT_S} s, which is a rare defect of QEMU's SVM emulation.")
        for stream, output in self._outputs:
            while _forward(stream, output):
                pass
        os.close(self._process_fd)
        return self._status

    def _time_left(self):
        limits = [self._heard + _SILENCE_LIMIT_S if self._is_running else self._boot_deadline]
        if self._deadline:
            limits.append(self._deadline)
        return max(0, min(limits) - time.monotonic())

    def _read_control(self):
        data = _receive(self._machine.control)
        if not data:
            self._process_ended()
        self._heard = time.monotonic()
        *lines, self._messages = (self._messages + data).split(b"\n")
        for line in lines:
            self._handle(*line.decode(errors="replace").partition(" ")[::2])

    def _handle(self, word, rest):
        if word == "ready" and not self._restored:
            self._save_snapshot()
            self._send_job()
        elif word == "started":
            self._is_running = True
        elif word == "exit" and rest.isdecimal():
            self._status = int(rest)
        elif word == "alive":
            pass
        elif word == "failed":
            raise LabError(rest)
        else:
            raise LabError(f'its init sent "{word} {rest}", which is no message of the control port.')

    def _save_snapshot(self):
        if not self._machine.snapshot or self._machine.snapshot.exists():
            return
        try:
            snapshot.save(self._machine.qmp, self._machine.snapshot)
        except LabError as error:
            print(f"lab/run: the next run will have to boot again: {error}", file=sys.stderr)

    def _send_job(self):
        try:
            self._machine.control.sendall(b"%d\n" % len(self._script) + self._script)
        except ConnectionError:
            self._process_ended()

    def _process_ended(self):
        if self._status is None:
            status = self._machine.process.wait()
            if self._restored and not self._is_running:
                raise _NotRestored
            raise LabError(f"QEMU ended (status {status}) before the command did.")

    def _forward_keys(self):
        keys = os.read(sys.stdin.fileno(), _CHUNK)
        if not keys:
            raise _Ended(signal.SIGHUP)
        try:
            self._machine.streams["terminal"].sendall(keys)
        except ConnectionError:
            self._process_ended()


def _forward(stream, output):
    """Passes on what has arrived; false if nothing had."""
    try:
        data = _receive(stream)
    except BlockingIOError:
        return False
    view = memoryview(data)
    while view:
        view = view[os.write(output, view) :]
    return bool(data)


def _receive(stream):
    """What has arrived on a socket to QEMU; nothing if QEMU is gone, however it went."""
    try:
        return stream.recv(_CHUNK, socket.MSG_DONTWAIT)
    except ConnectionError:
        return b""


def _raise_ended(number, _frame):
    # A second signal must not interrupt the clean-up.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise _Ended(number)


@contextlib.contextmanager
def _raw_terminal():
    saved = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, saved)
