"""How the demo ends, however it ends: every process it started is gone, and its directory with them.

The demo is the reaper of orphans below it, so a VMM whose starter has gone is found here as well. Children run in
sessions of their own: Ctrl-C in the terminal reaches the demo alone, which then ends them in an order that lets each
clean up behind itself. Network and TAP need nothing: they live in a namespace that ends with its last process.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# An upgrade that is interrupted rolls back first; an interrupted lab ends its QEMU.
_GRACE_S = 15
_EXIT_SIGNAL = 128
# Whoever starts and ends others comes before those.
_FIRST = ("pagurusctl",)

_libc = ctypes.CDLL(None)


class Scene:
    """The demo's directory and processes. Made once, before anything is started; end() may be called at any time, also
    from a signal handler while it runs already."""

    def __init__(self):
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._directories = []
        for number in _SIGNALS:
            signal.signal(number, self._end_by_signal)
        self.directory = self.make_directory()

    def make_directory(self, parent=None):
        """A directory that ends with the scene."""
        # Held back meanwhile, a signal finds every directory that exists.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._directories.append(pathlib.Path(tempfile.mkdtemp(prefix="pagurus-demo-", dir=parent)))
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return self._directories[-1]

    def start(self, command, **options):
        """A child process whose temporary files lie in the directory; the arguments are those of Popen."""
        place = str(self.directory)
        environment = dict(os.environ, TMPDIR=place, XDG_RUNTIME_DIR=place)
        return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, env=environment,
                                start_new_session=True, **options)

    def end(self):
        _end_children(signal.SIGTERM, _GRACE_S, _FIRST)
        _end_children(signal.SIGTERM, _GRACE_S)
        _end_children(signal.SIGKILL, _GRACE_S)
        for directory in self._directories:
            shutil.rmtree(directory, ignore_errors=True)

    def _end_by_signal(self, number, _frame):
        # A second one must not cut this short. It ends here and not by an exception, which could strike a clean-up.
        for other in _SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        self.end()
        os.write(2, b"\ndemo: interrupted; everything it started has ended\n")
        os._exit(_EXIT_SIGNAL + number)


def die_with_parent():
    """For preexec_fn: SIGTERM when the demo dies in a way it cannot see."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_children(number, seconds, names=()):
    """Signals the children (of these names, or all) once each, those that become ours meanwhile too."""
    told = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        children = [pid for pid, name in _children() if not names or name in names]
        if not children:
            return
        for pid in children:
            if pid not in told:
                os.kill(pid, number)
                told.add(pid)
        time.sleep(0.02)


def _children():
    """Pid and name of every living child; dead ones are reaped."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        head, _, rest = text.rpartition(")")
        pid, _, name = head.partition(" (")
        state, parent = rest.split()[:2]
        if int(parent) != os.getpid():
            continue
        if state == "Z":
            _reap(int(pid))
        else:
            found.append((int(pid), name))
    return found


def _reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass
