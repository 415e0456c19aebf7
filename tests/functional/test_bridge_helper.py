"""A guest on a bridge: a helper opens its TAP, once in the guest's life, whatever process runs it."""

import pathlib

import pytest

import network
from guest import UdpProbe, hand_over
from qmp import QmpError
from test_upgrade import Upgradable
from vmm import eventually

pytestmark = pytest.mark.probe

HELPER = """#!/usr/bin/python3
import array, fcntl, os, socket, struct, subprocess, sys
words = dict(word.removeprefix("--").partition("=")[::2] for word in sys.argv[1:])
tap = os.open("/dev/net/tun", os.O_RDWR)
flags = 0x0002 | 0x1000 | (0x4000 if "use-vnet" in words else 0)
name = fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", b"helped%d", flags))[:16].rstrip(b"\\0").decode()
subprocess.run(["ip", "link", "set", name, "up", "master", words["br"]], check=True)
with open(f"{os.path.dirname(sys.argv[0])}/helper.log", "a") as log:
    print(name, file=log)
channel = socket.socket(fileno=int(words["fd"]))
channel.sendmsg([b"\\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [tap]))])
"""
DEBIAN_HELPER = pathlib.Path("/usr/lib/qemu/qemu-bridge-helper")


def program(path, text):
    path.write_text(text)
    path.chmod(0o755)
    return path


class Bridged:
    """The guest's network is a bridge that has the host's address, and a helper of the test's own."""

    def __init__(self, guest):
        self.guest = guest
        self.bridge = network.Bridge(guest.tap)
        self.helper = program(guest.directory / "helper", HELPER)
        self.netdev = f"bridge,id=n0,br={self.bridge.name},helper={self.helper}"

    def made(self):
        """The TAPs that the helper has made, one for each of its runs."""
        log = self.guest.directory / "helper.log"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def bridged(guest):
    result = Bridged(guest)
    guest.options["netdev"] = result.netdev
    yield result
    for process in guest.vmms:
        if process.alive():
            process.quit()
    result.bridge.remove()


def hand_over_thrice(guest, source, **changes):
    with UdpProbe(guest.tap.guest, rate=200) as stream:
        for _ in range(3):
            destination = guest.destination(**changes)
            hand_over(source, destination)
            source.quit()
            source = destination
    assert stream.report["sent"] > 20
    assert (stream.report["lost"], stream.report["duplicated"]) == (0, 0), stream.report
    assert guest.ask()["boot_count"] == 1
    return source


@pytest.mark.parametrize("kind", ["bridge", "tap"])
def test_the_helper_runs_once_and_its_tap_moves_without_loss(bridged, kind):
    guest = bridged.guest
    guest.options["netdev"] = bridged.netdev.replace("bridge", kind, 1)
    last = hand_over_thrice(guest, guest.boot())
    [tap] = bridged.made()
    assert tap in network.interfaces()
    last.quit()
    eventually(lambda: tap not in network.interfaces(), 10.0, "the end of the TAP")


def test_whoever_takes_the_tap_over_needs_neither_helper_nor_the_same_type(bridged):
    guest = bridged.guest
    support = guest.boot().qmp.command("query-backend-transfer-support")
    [kind] = [entry["backend-type"] for entry in support if entry["backend"] == "n0"]
    assert kind == "tap"
    hand_over_thrice(guest, guest.vmms[0], netdev="tap,id=n0,fd=77")
    assert len(bridged.made()) == 1


def test_a_tap_that_stays_behind_is_replaced_by_the_helpers_next_one(bridged):
    guest = bridged.guest
    guest.options["device"] += ",backend-transfer=off"
    source = guest.boot()
    destination = guest.destination()
    assert len(bridged.made()) == 1
    hand_over(source, destination)
    first, second = bridged.made()
    assert {first, second} <= bridged.bridge.ports()
    source.quit()
    eventually(lambda: first not in network.interfaces(), 10.0, "the end of the first TAP")
    assert guest.ask()["boot_count"] == 1


@pytest.mark.usefixtures("runtime_directory")
def test_upgrade_carries_a_plugged_bridge_over(bridged):
    guest = bridged.guest
    upgradable = Upgradable(guest)
    netdev = {"type": "bridge", "id": "n1", "br": bridged.bridge.name, "helper": str(bridged.helper)}
    upgradable.ask("netdev_add", **netdev)
    upgradable.ask("device_add", driver="virtio-net-pci", id="nic1", netdev="n1", mac="52:54:00:00:00:18")
    for _ in range(2):
        done = upgradable.upgrade()
        assert done.returncode == 0, done.stderr
    assert guest.ask()["boot_count"] == 1
    assert upgradable.ask("query-network-options")["netdevs"] == [
        {"type": "bridge", "id": "n0", "br": bridged.bridge.name, "helper": str(bridged.helper)}, netdev]
    assert len(bridged.made()) == 2
    upgradable.end()


def test_a_helper_that_fails_ends_the_start_and_is_quoted(bridged):
    guest = bridged.guest
    failing = program(guest.directory / "failing", "#!/bin/sh\necho no such bridge >&2\nexit 3\n")
    process = guest.launch(netdev=f"tap,id=n0,helper={failing}", qmp=False)
    assert process.wait() == 1
    assert f"netdev 'n0': bridge helper '{failing}' failed with status 3: no such bridge" in process.stderr()


def test_a_running_guest_is_not_disturbed_by_a_helper_that_fails(bridged):
    guest = bridged.guest
    process = guest.boot()
    with pytest.raises(QmpError) as refusal:
        process.qmp.command("netdev_add", type="bridge", id="n1", br="nosuchbridge", helper=str(bridged.helper))
    assert f"netdev 'n1': bridge helper '{bridged.helper}' failed with status 1: " in str(refusal.value)
    assert guest.ask()["boot_count"] == 1
    assert bridged.bridge.ports() == {guest.tap.name, *bridged.made()}


def test_debians_own_helper_serves_a_guest(bridged):
    if not DEBIAN_HELPER.exists():
        pytest.skip("there is no qemu-bridge-helper here (package qemu-system-common)")
    guest = bridged.guest
    # Its configuration for this process alone: nothing of it is in the host's /etc.
    configuration = guest.directory / "etc/qemu/bridge.conf"
    configuration.parent.mkdir(parents=True)
    configuration.write_text(f"allow {bridged.bridge.name}\n")
    configured = ("unshare", "--mount", "sh", "-c",
                  f'mount -t overlay overlay -o "lowerdir={guest.directory}/etc:/etc" /etc && exec "$@"', "sh")
    source = guest.boot(netdev=f"bridge,id=n0,br={bridged.bridge.name}", prefix=configured)
    # A process that is not allowed anything takes it over.
    hand_over_thrice(guest, source, netdev=f"bridge,id=n0,br={bridged.bridge.name}")
    other = guest.launch(netdev=f"bridge,id=n0,br={bridged.bridge.name}x", prefix=configured, qmp=False)
    assert other.wait() == 1
    assert "failed with status 1: access denied by acl file" in other.stderr()
