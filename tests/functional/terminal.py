"""A program on a terminal of its own, typed at and read from the outside."""

import fcntl
import os
import pathlib
import pty
import re
import select
import struct
import subprocess
import termios
import time

ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]")


LEAKS_OF_LIBEDIT = f"suppressions={pathlib.Path(__file__).parent}/leak-suppressions.txt:print_suppressions=0"


class Terminal:
    def __init__(self, arguments, columns=120, **environment):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

        def take_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [str(argument) for argument in arguments], stdin=slave, stdout=slave, stderr=slave, close_fds=True,
            preexec_fn=take_terminal,
            env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "LSAN_OPTIONS": LEAKS_OF_LIBEDIT, **environment})
        os.close(slave)
        self.output = b""  # what has not been expected yet

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, timeout=10.0):
        """Waits for it; returns everything up to its end, without the terminal's control sequences."""
        deadline = time.monotonic() + timeout
        while True:
            plain = ESCAPE.sub(b"", self.output).decode(errors="replace")
            if found := re.search(pattern, plain):
                # The rest may begin inside of what the pattern did not need; it is kept as plain text.
                self.output = plain[found.end():].encode()
                return plain[: found.end()]
            left = deadline - time.monotonic()
            assert left > 0 and self._read(left), f"no {pattern!r} on the terminal; there is {plain!r}"

    def _read(self, seconds):
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the program has ended
            return False
        self.output += data
        return bool(data)

    def wait(self, timeout=10.0):
        """The exit status."""
        return self.process.wait(timeout)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        os.close(self.master)
