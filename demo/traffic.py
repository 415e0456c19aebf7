"""The demo's traffic: a UDP probe with sequence numbers, and a TCP stream of which every byte is checked."""

import hashlib
import json
import signal
import socket
import subprocess
import threading
import time

from guest import BUILD, GUEST, DemoFailed

ECHO_PORT = 7
# Time for the last replies: more than any pause.
DRAIN_S = 5
END_TIMEOUT_S = 60


class UdpProbe:
    """udp-probe in the background, for a given time or until stop(). result() waits for its report."""

    def __init__(self, scene, rate, duration_s=None):
        limit = ["--duration", duration_s] if duration_s else []
        self._process = scene.start(
            [BUILD / "udp-probe", "--json", "--rate", rate, "--drain", DRAIN_S, *limit, GUEST, ECHO_PORT],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._timeout_s = (duration_s or 0) + DRAIN_S + END_TIMEOUT_S

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        try:
            report, complaint = self._process.communicate(timeout=self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise DemoFailed("udp-probe does not end") from error
        if self._process.returncode not in (0, 1):
            raise DemoFailed(f"udp-probe failed: {complaint.strip()}")
        return json.loads(report)


class TcpStream:
    """One connection to the echo service. A thread sends chunks whose bytes follow from their position, whatever is
    still on its way back; another checks each byte that returns. `verified` counts them, `error` is None or a sentence.
    """

    CHUNK = 4096
    INTERVAL_S = 0.05

    def __init__(self):
        self.sent = 0
        self.verified = 0
        self.error = None
        self._ending = threading.Event()
        try:
            self._connection = socket.create_connection((GUEST, ECHO_PORT), timeout=30)
        except OSError as error:
            raise DemoFailed(f"no TCP connection to the guest: {error}") from error
        self._threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True)
                         for work in (self._send, self._check)]
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Ends the stream and waits until the last byte has come back."""
        self._ending.set()
        deadline = time.monotonic() + END_TIMEOUT_S
        for thread in self._threads:
            thread.join(max(0, deadline - time.monotonic()))
        if self.error is None and self.verified != self.sent:
            self.error = f"{self.sent} bytes were sent and {self.verified} came back"
        self._connection.close()

    def _guarded(self, work):
        try:
            work()
        except OSError as error:
            self.error = self.error or f"the connection broke after {self.verified} bytes: {error}"
            self._ending.set()

    def _send(self):
        number = 0
        while not self._ending.wait(self.INTERVAL_S):
            self._connection.sendall(_chunk(number, self.CHUNK))
            number += 1
            self.sent = number * self.CHUNK
        # The guest closes its side when it has echoed everything before this.
        self._connection.shutdown(socket.SHUT_WR)

    def _check(self):
        expected = b""
        number = 0
        while data := self._connection.recv(65536):
            while len(expected) < len(data):
                expected += _chunk(number, self.CHUNK)
                number += 1
            if not expected.startswith(data):
                raise OSError("bytes came back changed")
            expected = expected[len(data):]
            self.verified += len(data)
        if not self._ending.is_set():
            raise OSError("the guest closed it")


def _chunk(number, length):
    return hashlib.shake_128(number.to_bytes(8, "little")).digest(length)
