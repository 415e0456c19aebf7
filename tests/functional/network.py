"""TAPs in the network namespace of the test run.  Each test has addresses of its own."""

import itertools
import subprocess

_numbers = itertools.count(1)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


class Tap:
    """A persistent TAP with the host's address on it; the guest's is one higher."""

    def __init__(self, vnet_hdr=True, owner=None, multi_queue=False, name=None):
        number = next(_numbers)
        self.name = name or f"tap{number}"
        self.host = f"10.{number // 250}.{number % 250}.1"
        self.guest = f"10.{number // 250}.{number % 250}.2"
        mode = [*(["vnet_hdr"] if vnet_hdr else []), *(["multi_queue"] if multi_queue else [])]
        user = ["user", owner] if owner else []
        ip("tuntap", "add", "dev", self.name, "mode", "tap", *mode, *user)
        ip("address", "add", f"{self.host}/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def set_queue(self, packets):
        """How many packets the host keeps for the guest; 1000 unless somebody says otherwise."""
        ip("link", "set", self.name, "txqueuelen", str(packets))

    def remove(self):
        subprocess.run(["ip", "link", "delete", self.name], check=False, capture_output=True)


class Bridge:
    """A bridge that stands where a TAP stood: it has the TAP's host address, and the TAP is its first port."""

    def __init__(self, tap):
        self.name = f"br{next(_numbers)}"
        ip("link", "add", self.name, "type", "bridge")
        ip("address", "delete", f"{tap.host}/24", "dev", tap.name)
        ip("address", "add", f"{tap.host}/24", "dev", self.name)
        ip("link", "set", self.name, "up")
        self.join(tap)

    def join(self, tap):
        ip("link", "set", tap.name, "master", self.name)

    def ports(self):
        return interfaces("master", self.name)

    def remove(self):
        subprocess.run(["ip", "link", "delete", self.name], check=False, capture_output=True)


def interfaces(*which):
    """The names of all interfaces here, or of those that `ip link show` is asked for."""
    output = subprocess.run(["ip", "-o", "link", "show", *which], check=True, capture_output=True, text=True).stdout
    return {line.split(":")[1].strip().split("@")[0] for line in output.splitlines()}
