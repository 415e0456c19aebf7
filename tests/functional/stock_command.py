"""The command service of the stock guest (tests/guest/echod.c)."""

import socket
import time


class GuestSilent(Exception):
    """The guest does not answer in time."""


def run(address, line, timeout=30.0):
    """Runs a command line in the guest at that address: its output and its exit status."""
    deadline = time.monotonic() + timeout
    answer = b""
    try:
        with socket.create_connection((address, 23), timeout) as connection:
            connection.sendall(line.encode() + b"\n")
            while True:
                connection.settimeout(max(deadline - time.monotonic(), 0.01))
                if not (data := connection.recv(65536)):
                    break
                answer += data
    except (TimeoutError, OSError) as error:
        raise GuestSilent(f"the guest did not run {line!r}: {error}; it said {answer!r}") from error
    output, _, status = answer.decode(errors="replace").rpartition("\nexit ")
    return output, int(status)
