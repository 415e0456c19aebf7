"""Debian's stock kernel is told of NICs that come and go, by ACPI, and carries traffic over them."""

import pytest

from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import Ping
from vmm import eventually, file_descriptors

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

MAC = "52:54:00:12:34:99"


@pytest.fixture
def second(stock_guest):
    tap = Tap()
    yield tap
    tap.remove()


def name_of_nic(guest):
    """What the guest's kernel calls the NIC, or nothing."""
    return guest.output(f"grep -l {MAC} /sys/class/net/*/address | cut -d / -f 5; true").strip()


def wait_for_nic(guest):
    return eventually(lambda: name_of_nic(guest), 60, "the NIC in the guest")


def plug(guest, tap):
    qmp = guest.vmm.qmp
    qmp.command("netdev_add", type="tap", id="n1", ifname=tap.name)
    qmp.command("device_add", driver="virtio-net-pci", id="nic1", netdev="n1", mac=MAC)
    name = wait_for_nic(guest)
    guest.output(f"ip address add {tap.guest}/24 dev {name} && ip link set {name} up")
    return name


def unplug(guest):
    qmp = guest.vmm.qmp
    qmp.command("device_del", id="nic1")
    qmp.wait_event("DEVICE_DELETED", 60, device="nic1")
    assert name_of_nic(guest) == ""
    qmp.command("netdev_del", id="n1")


def test_a_nic_is_plugged_carries_traffic_and_is_unplugged_again_and_again(stock_guest, second):
    before = file_descriptors(stock_guest.vmm.pid)
    for _ in range(2):
        plug(stock_guest, second)
        assert Ping(second.guest, "-c", "20", "-i", "0.05").lost() == 0
        unplug(stock_guest)
        assert file_descriptors(stock_guest.vmm.pid) == before
    log = stock_guest.kernel_log()
    assert "ACPI Error" not in log and "no space for" not in log, log[-3000:]


def test_a_plugged_nic_is_handed_over_and_unplugged_there(stock_guest, second):
    plug(stock_guest, second)
    stock_guest.start_destinations(1, "-netdev", f"tap,id=n1,ifname={second.name}", "-device",
                                   f"virtio-net-pci,id=nic1,netdev=n1,mac={MAC}")
    with Ping(second.guest, "-c", "60", "-i", "0.05") as ping:
        stock_guest.hand_over()
        assert ping.lost() == 0
    unplug(stock_guest)
    # What the guest lets go by itself goes, too.
    plug(stock_guest, second)
    stock_guest.output("echo 0 >/sys/bus/pci/slots/2/power")
    stock_guest.vmm.qmp.wait_event("DEVICE_DELETED", 60, device="nic1")
    stock_guest.vmm.qmp.command("netdev_del", id="n1")
