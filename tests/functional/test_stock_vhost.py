"""Debian's stock kernel on a TAP whose rings the kernel serves (vhost=on): traffic, and hand-over under it."""

import os
import re
import socket
import statistics
import subprocess
import time

import pytest

import stock
import stock_repeat
from guest import give, hand_over, prepare, settled
from network import Tap
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import EchoedStream, Iperf3, Ping, UdpProbe
from test_stock_copy import SecondPort, free_port
from vmm import Vmm, eventually

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

DEVICE = "/dev/vhost-net"
VHOST = "vhost=on"
# What the lab carries without a queue that grows, also while processes start.
PROBE_RATE = 60
TIMES = 6
PAUSES = 10
NOBODY = 65534


class VhostGuest(stock.StockGuest):
    """A stock guest with one more word on its TAP, which a test may change for the next process."""

    def __init__(self, directory, *options, words=VHOST, device_words="", **more):
        self.netdev_words = words
        self.device_words = device_words
        super().__init__(directory, *options, **more)

    @property
    def _arguments(self):
        return self._spell(self.netdev_words)

    @_arguments.setter
    def _arguments(self, arguments):
        self._plain = arguments

    def _spell(self, netdev_words):
        more = {"tap": netdev_words, "virtio-net-pci": self.device_words}
        added = [more.get(str(word).partition(",")[0]) for word in self._plain]
        return [f"{word},{words}" if words else word for word, words in zip(self._plain, added)]

    def start_with(self, words, *more, **how):
        vmm = Vmm(self.directory, f"vmm{self.generation}", [*self._spell(words), *more], **how)
        self.generation += 1
        self.vmms.append(vmm)
        return vmm

    def move_to(self, destination):
        """Hands over to that process, which has been told nothing yet."""
        prepare(destination)
        info = hand_over(self.vmm, destination, 60)
        source, self.vmm = self.vmm, destination
        source.quit()
        return info

    def refused_by(self, destination):
        """Tries to hand over to that process; returns what the source says about its failure."""
        prepare(destination)
        prepare(self.vmm)
        uri = f"unix:{destination.directory}/{destination.name}.mig"
        destination.qmp.command("migrate-incoming", uri=uri)
        info = give(self.vmm, uri, 60)
        assert info["status"] == "failed", info
        return info["error-desc"]


@pytest.fixture(scope="module", autouse=True)
def kernel_serves(module_directory):
    """The module's guests are VhostGuests."""
    former, stock.StockGuest = stock.StockGuest, VhostGuest
    yield
    stock.StockGuest = former


def attached_queues(guest):
    """How many of the TAP's queues carry packets now; /sys tells of the network namespace in which it was mounted."""
    look = f"mount -t sysfs sysfs /sys && ls /sys/class/net/{guest.tap.name}/queues"
    listing = subprocess.run(["unshare", "--mount", "sh", "-c", look], check=True, capture_output=True, text=True).stdout
    return listing.count("rx-")


def devices_of(vmm):
    """How many vhost devices the process has open."""
    directory = f"/proc/{vmm.pid}/fd"
    return sum(os.readlink(f"{directory}/{name}") == DEVICE for name in os.listdir(directory))


def test_the_kernel_serves_the_rings(stock_guest):
    assert devices_of(stock_guest.vmm) == 1
    assert Ping(stock_guest.tap.guest, "-c", "50", "-i", "0.02").lost() == 0


@pytest.mark.parametrize("reverse", [False, True], ids=["to_the_guest", "from_the_guest"])
def test_carries_a_tcp_stream(stock_guest, reverse):
    assert Iperf3(stock_guest.tap.guest, 3, reverse).megabits_per_second() > 1


def test_datagrams_and_checked_bytes_cross_hand_overs_without_loss(stock_guest):
    stock_guest.start_destinations(TIMES)
    with UdpProbe(stock_guest.tap.guest, PROBE_RATE) as probe, EchoedStream(stock_guest.tap.guest, interval_s=0.2) as stream:
        pauses = []
        for _ in range(TIMES):
            time.sleep(0.4)
            pauses.append(stock_guest.hand_over()["downtime-ms"])
        report = probe.report()
        verified = stream.finish()
    print(f"pauses in ms: {pauses}; longest gap {report['longest_gap_us'] / 1000:.1f} ms, {verified} bytes verified")
    assert verified > 0
    assert (report["lost"], report["duplicated"]) == (0, 0), report
    assert devices_of(stock_guest.vmm) == 1


def test_the_pause_against_one_without_vhost(stock_guest, directory):
    """Both in the same run, for comparison; a busy machine says too little for a limit."""
    other = VhostGuest(directory, words="")
    try:
        other.wait_ready()
        with_vhost, without = [], []
        for _ in range(PAUSES):
            for guest, pauses in ((stock_guest, with_vhost), (other, without)):
                guest.start_destinations(1)
                pauses.append(guest.hand_over()["downtime-ms"])
    finally:
        other.close()
    ratio = statistics.median(with_vhost) / statistics.median(without)
    print(f"pauses in ms, with vhost: {sorted(with_vhost)}, without: {sorted(without)}; medians' ratio {ratio:.2f}")


def test_every_queue_pair_has_a_device_of_its_own(directory):
    """Two processors of the guest use two of four pairs; hand-overs keep it so."""
    guest = VhostGuest(directory, words=f"queues=4,{VHOST}", vcpus=2, tap=Tap(multi_queue=True), device_words="mq=on")
    stock_repeat.watch(guest)
    try:
        guest.wait_ready()
        stock_repeat.learn_symbols(guest)
        for _ in range(3):
            assert devices_of(guest.vmm) == 4
            assert attached_queues(guest) == 2
            assert Ping(guest.tap.guest, "-c", "20", "-i", "0.02").lost() == 0
            guest.hand_over()
        with Iperf3(guest.tap.guest, 3) as iperf3:
            assert iperf3.megabits_per_second() > 1
    finally:
        stock_repeat.forget(guest)
        guest.close()


@pytest.mark.parametrize("reverse", [False, True], ids=["to_the_guest", "from_the_guest"])
def test_a_tcp_stream_survives_hand_overs(stock_guest, reverse):
    stock_guest.start_destinations(3)
    with Iperf3(stock_guest.tap.guest, 8, reverse) as iperf3:
        for _ in range(3):
            time.sleep(0.4)
            stock_guest.hand_over()
        assert iperf3.megabits_per_second() > 1


def test_the_guest_can_be_stopped_and_continued(stock_guest):
    stock_guest.vmm.qmp.command("stop")
    assert Ping(stock_guest.tap.guest, "-c", "1", "-W", "1")._process.wait(10) == 1
    stock_guest.vmm.qmp.command("cont")
    assert Ping(stock_guest.tap.guest, "-c", "20", "-i", "0.02").lost() == 0


def test_no_packet_passes_while_the_link_is_down(stock_guest):
    stock_guest.vmm.qmp.command("set_link", name="n0", up=False)
    assert Ping(stock_guest.tap.guest, "-c", "2", "-W", "1")._process.wait(10) == 1
    stock_guest.vmm.qmp.command("set_link", name="n0", up=True)
    assert stock_guest.answers()


@pytest.fixture
def locked_device():
    """The device belongs to somebody else, and a process with the prefix that this is may not open it."""
    before = os.stat(DEVICE)
    os.chown(DEVICE, NOBODY, NOBODY)
    os.chmod(DEVICE, 0o600)
    yield ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    os.chown(DEVICE, before.st_uid, before.st_gid)
    os.chmod(DEVICE, before.st_mode & 0o777)


def test_a_destination_that_may_not_open_the_device_is_lent_one(stock_guest, locked_device):
    destination = stock_guest.start_with(VHOST, "-incoming", "defer", prefix=locked_device)
    with UdpProbe(stock_guest.tap.guest, PROBE_RATE) as probe:
        time.sleep(0.4)
        stock_guest.move_to(destination)
        report = probe.report()
    assert (report["lost"], report["duplicated"]) == (0, 0), report
    assert devices_of(stock_guest.vmm) == 1
    # It has none to lend in its turn, and one that may not open the device needs one.
    helpless = stock_guest.start_with(VHOST, "-incoming", "defer", prefix=locked_device)
    reason = stock_guest.refused_by(helpless)
    assert "netdev 'n0': vhost=on: cannot open /dev/vhost-net: Permission denied" in reason, reason
    assert "pass an open one: vhostfd=" in reason
    assert stock_guest.answers()


def test_the_device_is_passed_open(stock_guest):
    descriptor = os.open(DEVICE, os.O_RDWR)
    words = f"{VHOST},vhostfd={descriptor}"
    destination = stock_guest.start_with(words, "-incoming", "defer", pass_fds=(descriptor,))
    os.close(descriptor)
    with UdpProbe(stock_guest.tap.guest, PROBE_RATE) as probe:
        stock_guest.move_to(destination)
        report = probe.report()
    assert (report["lost"], report["duplicated"]) == (0, 0), report


def test_in_place_of_a_wrong_descriptor_the_sources_device_is_used(stock_guest):
    with open("/dev/null", "r+b") as other:
        words = f"{VHOST},vhostfd={other.fileno()}"
        destination = stock_guest.start_with(words, "-incoming", "defer", pass_fds=(other.fileno(),))
    stock_guest.move_to(destination)
    assert stock_guest.answers()


def test_vhost_on_one_side_only_is_refused(stock_guest):
    destination = stock_guest.start_with("", "-incoming", "defer")
    reason = stock_guest.refused_by(destination)
    assert re.search(r"the source has property 'nic0.vhost'", reason), reason
    assert stock_guest.answers()
    destination.quit()


def test_a_guest_is_copied_with_what_the_kernel_wrote(stock_guest):
    """Nothing that the kernel writes to RAM while that is copied is forgotten: what TCP carries arrives unchanged."""
    second = SecondPort(stock_guest)
    try:
        source = stock_guest.vmm
        destination, console = second.start("copy", "-incoming", "defer")
        uri = f"tcp:127.0.0.1:{free_port()}"
        for process in (source, destination):
            prepare(process, backend_transfer=False)
            process.qmp.command("migrate-set-parameters", downtime_limit=20000, max_bandwidth=0)
        destination.qmp.command("migrate-incoming", uri=uri)
        with EchoedStream(stock_guest.tap.guest) as stream:
            time.sleep(0.5)
            source.qmp.command("migrate", uri=uri)
            info = settled(source, 180)
            assert info["status"] == "completed", info
            assert settled(destination)["status"] == "completed"
            at_arrival = stream.verified
            second.arrive(destination, console)
            source.quit()
            eventually(lambda: stream.verified > at_arrival + 200_000, 60, "traffic on the same connection")
            print(f"{at_arrival} bytes verified before the copy ran, {stream.finish()} in all")
        assert devices_of(destination) == 1
    finally:
        second.remove()


def test_a_copy_that_fails_leaves_the_kernel_serving(stock_guest):
    prepare(stock_guest.vmm, backend_transfer=False)
    stock_guest.vmm.qmp.command("migrate-set-parameters", max_bandwidth=1 << 20)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        stock_guest.vmm.qmp.command("migrate", uri=f"tcp:127.0.0.1:{nobody.getsockname()[1]}")
        assert stock_guest.answers()
        stock_guest.vmm.qmp.command("migrate_cancel")
        assert settled(stock_guest.vmm)["status"] == "cancelled"
    assert Ping(stock_guest.tap.guest, "-c", "20", "-i", "0.02").lost() == 0
