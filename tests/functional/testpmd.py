"""DPDK's testpmd as the peer of a vhost-user guest: it forwards frames between the guest's rings and a TAP of its own."""

import os
import pathlib
import re
import signal
import subprocess

import network
from vmm import eventually

_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Testpmd:
    """Serves at `path`, or with `client` connects to it again and again; the TAP takes the place of `tap`."""

    __test__ = False  # whatever pytest thinks of the name

    def __init__(self, directory, tap, path, pairs=1, client=False):
        self.tap = tap
        self.path = path
        self.client = client
        self.log_path = directory / "testpmd.log"
        program = subprocess.run([_ROOT / "scripts/fetch-testpmd", "--print-path"], check=True, capture_output=True,
                                 text=True).stdout.strip()
        # Its threads may run on every processor: a busy machine has few.
        cpus = sorted(os.sched_getaffinity(0))
        words = ["stdbuf", "-oL", program, "--lcores", f"(0,1)@({','.join(map(str, cpus))})", "--no-huge", "-m", "256", "--no-pci",
                 "--no-telemetry", "--file-prefix", directory.name, "--log-level", "lib.vhost.*:debug",
                 "--vdev", f"net_vhost0,iface={path},queues={pairs},client={int(client)}",
                 "--vdev", f"net_tap0,iface={tap.name}",
                 "--", "--no-mlockall", "--forward-mode=io", "--auto-start", "--nb-cores=1", "--total-num-mbufs=8192",
                 f"--rxq={pairs}", f"--txq={pairs}"]
        with open(self.log_path, "w") as log:
            # It ends when its standard input does.
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log)
        eventually(lambda: self.process.poll() is None and "Press enter to exit" in self.log(), 60.0, "testpmd")
        network.ip("address", "add", f"{tap.host}/24", "dev", tap.name)
        network.ip("link", "set", tap.name, "up")

    def log(self):
        return self.log_path.read_text(errors="replace")

    def seen(self):
        """Everything it has seen of its peer: messages, connections that came and went."""
        return re.findall(r"read message \w+|new vhost user connection.*|vhost peer closed|.*new device.*", self.log())

    def sockets(self):
        """Its sockets, by the numbers that the kernel gave them."""
        links = [os.readlink(entry) for entry in pathlib.Path(f"/proc/{self.process.pid}/fd").iterdir()]
        return sorted(link for link in links if link.startswith("socket:"))

    def remove(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        # A signal that finds it busy may not end it.
        self.process.stdin.close()
        self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait(30)
        self.process.stdin.close()
        if not self.client:
            pathlib.Path(self.path).unlink(missing_ok=True)
