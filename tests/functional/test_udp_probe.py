"""udp-probe against echo servers of bad manners: what is late is not lost, and a queue that grows is not a rate."""

import json
import socket
import subprocess
import threading
import time

import pytest

from stock_traffic import UDP_PROBE

pytestmark = pytest.mark.probe


class SlowEcho:
    """Answers on the loopback interface, each datagram at the earliest `interval_s` after the one before.

    After `most` answers it is silent.
    """

    def __init__(self, interval_s, most):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = self._socket.getsockname()[1]
        self._interval_s = interval_s
        self._left = most
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stopping.is_set():
            try:
                data, sender = self._socket.recvfrom(2000)
            except TimeoutError:
                continue
            time.sleep(self._interval_s)
            if self._left > 0:
                self._left -= 1
                self._socket.sendto(data, sender)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()
        self._socket.close()


def probe(server, *options):
    done = subprocess.run([UDP_PROBE, "--json", *options, "127.0.0.1", str(server.port)], capture_output=True, text=True,
                          check=False)
    return json.loads(done.stdout)


def test_what_comes_late_is_not_lost():
    with SlowEcho(0.1, most=20) as server:
        report = probe(server, "--rate", "100", "--count", "20", "--drain", "0.6")
    assert (report["replies"], report["lost"]) == (20, 0), report
    assert report["latency_us"]["max"] > 1.5e6, report


def test_what_never_comes_is_lost():
    with SlowEcho(0.01, most=15) as server:
        report = probe(server, "--rate", "100", "--count", "20", "--drain", "0.6")
    assert (report["replies"], report["lost"]) == (15, 5), report


def test_a_queue_that_grows_is_not_a_rate():
    """The server answers about 90 datagrams per second, and the lowest rate of the search is 100."""
    with SlowEcho(0.011, most=10**9) as server:
        report = probe(server, "--find-max", "100", "--step", "1", "--drain", "0.05")
    assert report["highest_loss_free_rate"] == 0, report
