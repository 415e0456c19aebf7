"""Traffic to the stock guest that runs beside a test, and tells afterwards whether anything was lost."""

import hashlib
import json
import re
import socket
import subprocess
import threading

from stock import UDP_PROBE


class Program:
    """A program in the background; result() waits for its end and returns its standard output."""

    def __init__(self, *arguments):
        self._process = subprocess.Popen(
            [str(argument) for argument in arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def running(self):
        return self._process.poll() is None

    def result(self, timeout=60):
        output = self._process.communicate(timeout=timeout)[0]
        assert self._process.returncode == 0, f"{self._process.args} ended with {self._process.returncode}: {output}"
        return output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.running():
            self._process.kill()
            self._process.communicate()


class Ping(Program):
    """ICMP echo with some options of ping; lost() when it is over."""

    def __init__(self, address, *options):
        super().__init__("ping", "-q", *options, address)

    def lost(self, timeout=60):
        sent, received = map(int, re.search(r"(\d+) packets transmitted, (\d+) received", self.result(timeout)).groups())
        return sent - received


class Iperf3(Program):
    """One TCP stream for some seconds, to the guest or, with reverse=True, from it."""

    def __init__(self, address, seconds, reverse=False):
        super().__init__("iperf3", "-J", "-c", address, "-t", seconds, *(["-R"] if reverse else []))

    def megabits_per_second(self, timeout=60):
        report = json.loads(self.result(timeout))
        assert "error" not in report, report["error"]
        return report["end"]["sum_received"]["bits_per_second"] / 1e6


class UdpProbe(Program):
    """Datagrams with sequence numbers at a steady rate until report(), which says what became of each."""

    def __init__(self, address, rate):
        super().__init__(UDP_PROBE, "--json", "--rate", rate, "--drain", 5, address)

    def report(self, timeout=60):
        self._process.terminate()
        return json.loads(self._process.communicate(timeout=timeout)[0])


class EchoedStream:
    """One TCP connection that sends pseudo-random bytes without end and checks each that comes back.

    interval_s: a rest after each block, so that the guest has time for other things.
    """

    _BLOCK = 16384

    def __init__(self, address, interval_s=0):
        self._socket = socket.create_connection((address, 7), 20)
        self._interval_s = interval_s
        self._socket.settimeout(20)
        self._stopping = threading.Event()
        self.verified = 0
        self.problem = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            number = 0
            while not self._stopping.is_set():
                block = hashlib.shake_128(number.to_bytes(8, "big")).digest(self._BLOCK)
                self._socket.sendall(block)
                received = b""
                while len(received) < self._BLOCK:
                    data = self._socket.recv(self._BLOCK - len(received))
                    if not data:
                        raise ConnectionError("the guest closed the connection")
                    received += data
                if received != block:
                    raise ConnectionError(f"block {number} came back changed")
                self.verified += self._BLOCK
                number += 1
                self._stopping.wait(self._interval_s)
        except OSError as error:
            self.problem = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(25)
        self._socket.close()

    def finish(self):
        """Ends it; returns how many bytes came back as they were sent."""
        self.__exit__()
        assert not self._thread.is_alive(), "the stream hangs"
        assert self.problem is None, self.problem
        return self.verified
