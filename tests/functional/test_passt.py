"""A guest with a network and no privileges: passt carries its frames as ordinary sockets of an ordinary user.

passt has a network namespace of its own, with one link to the namespace of the test, which is the outside.
"""

import contextlib
import pathlib
import select
import subprocess
import time

import pytest

from flows import Flow
from guest import ProbeControl, move
from network import ip
from test_stream import Traffic
from vmm import eventually

pytestmark = pytest.mark.probe

OUTSIDE, INSIDE = "10.255.0.1", "10.255.0.2"


class Sender:
    """Datagrams to the guest's echo service."""

    def __init__(self, address):
        self.flow = Flow(address)

    def outstanding(self):
        return self.flow.outstanding()

    def probe(self):
        self.flow.send()

    def listen(self, seconds):
        deadline = time.monotonic() + seconds
        while select.select([self.flow.socket], [], [], max(0, deadline - time.monotonic()))[0]:
            self.flow.receive()

    def listen_for_all(self, timeout=10.0):
        deadline = time.monotonic() + timeout
        while self.outstanding() and time.monotonic() < deadline:
            self.listen(0.05)


@contextlib.contextmanager
def namespace():
    """A network namespace that is linked to the outside; yields the words that run a program in it."""
    with subprocess.Popen(["unshare", "--net", "sleep", "infinity"]) as holder:
        try:
            within = ["nsenter", "--net", "--target", str(holder.pid)]
            ours = subprocess.check_output(["readlink", "/proc/self/ns/net"])
            eventually(lambda: subprocess.check_output(["readlink", f"/proc/{holder.pid}/ns/net"]) != ours)
            ip("link", "add", "outside", "type", "veth", "peer", "name", "inside", "netns", str(holder.pid))
            ip("address", "add", f"{OUTSIDE}/30", "dev", "outside")
            ip("link", "set", "outside", "up")
            subprocess.run([*within, "sh", "-ec", f"""
                ip link set lo up
                ip address add {INSIDE}/30 dev inside
                ip link set inside up
                ip route add default via {OUTSIDE}
                echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start"""], check=True)
            yield within
        finally:
            holder.kill()
            holder.wait()
            eventually(lambda: subprocess.run(["ip", "link", "show", "outside"], capture_output=True).returncode != 0)


@contextlib.contextmanager
def passt(within, directory, tap):
    """passt for a guest with this TAP's addresses."""
    log = directory / "passt.log"
    # It gives up root, and makes the socket as nobody.
    directory.chmod(0o777)
    with open(log, "wb") as stderr, subprocess.Popen(
            [*within, "passt", "--foreground", "--stderr", "--socket", str(directory / "net"), "--ipv4-only", "--no-map-gw",
             "--address", tap.guest, "--netmask", "24", "--gateway", tap.host, "--udp-ports", "7,4242",
             "--tcp-ports", "none"], stderr=stderr, stdout=stderr) as process:
        try:
            eventually(lambda: (directory / "net").is_socket() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait()
            (directory / "net").unlink(missing_ok=True)


def connections(directory):
    """The inodes of the sockets that passt has accepted; the kernel counts them to the namespace of who connected."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()
    sockets = [line.split() for line in lines if line.endswith(f" {directory}/net")]
    return {words[6] for words in sockets if words[5] == "03"}


def test_a_guest_behind_passt_moves_and_passt_sees_one_connection(make_guest, directory):
    guest = make_guest(netdev=f"stream,id=n0,addr.type=unix,addr.path={directory}/net")
    with namespace() as within, passt(within, directory, guest.tap):
        process = guest.launch()
        ProbeControl(INSIDE, timeout=5.0).wait_until_ready(60)
        before = connections(directory)
        assert len(before) == 1
        sender = Sender(INSIDE)
        with Traffic(sender):
            for _ in range(5):
                process = move(guest, process)
        assert sender.flow.sent > 5
        assert sender.flow.problems() == (0, 0, 0)
        assert process.qmp.command("query-status")["status"] == "running"
        assert connections(directory) == before
        process.quit()
