"""The demo's traffic: a UDP probe with sequence numbers, and a TCP stream of which every byte is checked."""

import hashlib
import json
import signal
import socket
import subprocess
import threading
import time

from guest import BUILD, GUEST

ECHO_PORT = 7


class UdpProbe:
    """udp-probe in the background; stop() ends it and returns its report."""

    def __init__(self, rate, duration_s=None):
        limit = ["--duration", str(duration_s)] if duration_s else []
        self._process = subprocess.Popen(
            [BUILD / "udp-probe", "--json", "--rate", str(rate), "--drain", "5", *limit, GUEST, str(ECHO_PORT)],
            stdout=subprocess.PIPE, text=True)

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        return self.result()

    def result(self):
        return json.loads(self._process.communicate(timeout=60)[0])

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class TcpStream(threading.Thread):
    """Sends chunks whose bytes follow from their position, and checks each byte that comes back."""

    CHUNK = 4096
    PAUSE_S = 0.02

    def __init__(self):
        super().__init__(daemon=True)
        self.verified = 0
        self.error = None
        self._ending = threading.Event()
        self._connection = socket.create_connection((GUEST, ECHO_PORT), timeout=30)

    def run(self):
        try:
            for number in range(1 << 60):
                if self._ending.is_set():
                    break
                chunk = hashlib.shake_128(number.to_bytes(8, "little")).digest(self.CHUNK)
                self._connection.sendall(chunk)
                self._check(chunk)
                time.sleep(self.PAUSE_S)
        except OSError as error:
            self.error = f"the connection broke after {self.verified} bytes: {error}"
        finally:
            self._connection.close()

    def _check(self, chunk):
        received = b""
        while len(received) < len(chunk):
            data = self._connection.recv(len(chunk) - len(received))
            if not data:
                raise OSError("the guest closed it")
            received += data
        if received != chunk:
            raise OSError("bytes came back changed")
        self.verified += len(chunk)

    def stop(self):
        self._ending.set()
        self.join(60)
        if self.is_alive():
            self.error = f"no answer after {self.verified} bytes"
