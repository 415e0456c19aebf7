"""Many flows of datagrams to a probe guest at once, at least one through each of its queue pairs.

The host's kernel chooses the queue by the flow, and keeps it while the guest answers by the same; so a flow for each pair
is looked for, with the guest's own counters.
"""

import collections
import select
import socket
import threading
import time

from guest import ProbeControl, per_pair

_CANDIDATES = 400
_SIGNS = 12


class Flow:
    """One socket, and what became of the datagrams that it sent."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.socket.connect((address, 7))
        self.sent = 0
        self.received = collections.Counter()
        self.newest = -1
        self.reordered = 0

    def send(self):
        self.socket.send(b"%d" % self.sent)
        self.sent += 1

    def receive(self):
        number = int(self.socket.recv(100))
        self.received[number] += 1
        self.reordered += number < self.newest
        self.newest = max(number, self.newest)

    def outstanding(self):
        return self.sent - len(self.received)

    def problems(self):
        """Lost, duplicated and reordered datagrams."""
        return self.outstanding(), sum(self.received.values()) - len(self.received), self.reordered


class Flows:
    """Sends by all its flows in turn, `rate` datagrams per second together, while it is entered.

    flow_of_pair[i] is the flow that goes through queue pair i.
    """

    def __init__(self, guest, pairs, rate=300):
        self._address = guest.tap.guest
        self._pairs = pairs
        self._interval_s = 1 / rate
        self._stopping = threading.Event()
        self._thread = None
        self.flow_of_pair = self._find()

    def _find(self):
        control = ProbeControl(self._address, timeout=5.0)
        found = {}
        for _ in range(_CANDIDATES):
            if len(found) == self._pairs:
                break
            flow = Flow(self._address)
            before = per_pair(control.query("pairs", retries=3), "rx_frames")
            for _ in range(_SIGNS):
                flow.send()
            self._drain([flow])
            after = per_pair(control.query("pairs", retries=3), "rx_frames")
            [pair] = [i for i, (old, new) in enumerate(zip(before, after)) if new - old >= _SIGNS]
            if pair in found or pair >= self._pairs:
                flow.socket.close()
            else:
                found[pair] = flow
        assert len(found) == self._pairs, f"of {self._pairs} pairs only {sorted(found)} receive anything"
        return found

    @staticmethod
    def _receive(flows, timeout):
        by_socket = {flow.socket: flow for flow in flows}
        for ready in select.select(list(by_socket), [], [], timeout)[0]:
            by_socket[ready].receive()

    def _drain(self, flows, timeout=10.0):
        deadline = time.monotonic() + timeout
        while any(flow.outstanding() for flow in flows) and time.monotonic() < deadline:
            self._receive(flows, 0.1)

    def _run(self):
        flows = list(self.flow_of_pair.values())
        due = time.monotonic()
        turn = 0
        while not self._stopping.is_set():
            if (now := time.monotonic()) >= due:
                flows[turn % len(flows)].send()
                turn += 1
                due = max(due + self._interval_s, now - 0.1)
            self._receive(flows, max(due - time.monotonic(), 0))
        self._drain(flows)
        # A duplicate would come right behind.
        self._receive(flows, 0.2)

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join(30)
        for flow in self.flow_of_pair.values():
            flow.socket.close()

    def problems(self):
        """What went wrong, by pair: (lost, duplicated, reordered).  Empty if nothing did."""
        return {pair: flow.problems() for pair, flow in self.flow_of_pair.items() if any(flow.problems())}

    def sent(self):
        return {pair: flow.sent for pair, flow in self.flow_of_pair.items()}
