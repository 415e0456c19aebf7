"""The stock guest is copied over TCP while it works its memory, and saved to a file and loaded again."""

import socket
import time

import pytest

import network
from guest import migration, prepare, settled
from stock import Console
from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401
from stock_traffic import EchoedStream, Ping
from vmm import Vmm, eventually

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

GUEST_OPTIONS = {"memory": "192M"}
# A few MiB that change all the time, and some that do not; both are checked afterwards.
_LOAD = ("(while :; do seq 1 60000 >/tmp/churn.new && mv /tmp/churn.new /tmp/churn; done) >/dev/null 2>&1 </dev/null & "
         "echo $! >/tmp/load.pid; seq 1 400000 >/tmp/still; sha256sum /tmp/still")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


class SecondPort:
    """A second TAP on a bridge with the guest's own: where a copy of the guest comes to."""

    def __init__(self, guest):
        self.guest = guest
        self.bridge = network.Bridge(guest.tap)
        self.tap = network.Tap()
        network.ip("address", "flush", "dev", self.tap.name)
        self.bridge.join(self.tap)

    def start(self, name, *options):
        """A process for the copy, with a console of its own."""
        console = self.guest.directory / f"{name}.serial"
        arguments = [str(word).replace(f"ifname={self.guest.tap.name},", f"ifname={self.tap.name},")
                     .replace(f"unix:{self.guest.console_path},", f"unix:{console},") for word in self.guest._arguments]
        process = Vmm(self.guest.directory, name, [*arguments, *options])
        self.guest.vmms.append(process)
        return process, console

    def arrive(self, process, console):
        """The guest is in that process, and its tests find it there."""
        self.guest.vmm = process
        self.guest.console.close()
        self.guest.console = Console(console)

    def remove(self):
        # What follows in this module boots a guest of its own.
        self.guest.vmm.quit()
        self.bridge.remove()
        self.tap.remove()


@pytest.fixture
def second(stock_guest):
    port = SecondPort(stock_guest)
    yield port
    port.remove()


def test_a_guest_that_works_its_memory_is_copied_over_tcp(stock_guest, second):
    still = stock_guest.output(_LOAD, timeout=60)
    boot_id = stock_guest.output("cat /proc/sys/kernel/random/boot_id")
    source = stock_guest.vmm
    destination, console = second.start("copy", "-incoming", "defer")
    uri = f"tcp:127.0.0.1:{free_port()}"
    for process in (source, destination):
        prepare(process, backend_transfer=False)
        # All of this runs on an emulated processor.
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
        # The connection goes on behind the other port: TCP sends again what the pause has cost.
        eventually(lambda: stream.verified > at_arrival + 200_000, 60, "traffic on the same connection")
        assert stream.finish() > at_arrival
    ram = info["ram"]
    assert ram["dirty-sync-count"] >= 2 and ram["downtime-bytes"] > 0, ram
    assert ram["dirty-pages-rate"] > 0, ram
    assert stock_guest.output("cat /proc/sys/kernel/random/boot_id") == boot_id
    stock_guest.output("kill $(cat /tmp/load.pid); echo 3 >/proc/sys/vm/drop_caches")
    assert stock_guest.output("sha256sum /tmp/still") == still
    # The churning file is one of those that were written whole, whatever moment the copy was taken at.
    assert stock_guest.output("tail -n 1 /tmp/churn; wc -l </tmp/churn").split() == ["60000", "60000"]
    assert Ping(stock_guest.tap.guest, "-c", "20", "-i", "0.05").lost() == 0


def test_a_guest_is_saved_to_a_file_and_goes_on_from_it(stock_guest, second):
    still = stock_guest.output("seq 1 200000 >/tmp/still; sha256sum /tmp/still")
    boot_id = stock_guest.output("cat /proc/sys/kernel/random/boot_id")
    uptime = float(stock_guest.output("cat /proc/uptime").split()[0])
    log = stock_guest.kernel_log()
    source = stock_guest.vmm
    path = stock_guest.directory / "saved"
    prepare(source, backend_transfer=False)
    source.qmp.command("migrate-set-parameters", max_bandwidth=0)
    source.qmp.command("migrate", uri=f"file:{path}")
    info = settled(source, 120)
    assert info["status"] == "completed", info
    source.quit()
    # "Tomorrow".
    time.sleep(5)
    loaded, console = second.start("loaded", "-incoming", f"file:{path}")
    eventually(lambda: loaded.status() == "running", 60, "the guest")
    second.arrive(loaded, console)
    assert migration(loaded)["status"] == "completed"
    eventually(stock_guest.answers, 60, "an answer")
    assert stock_guest.output("cat /proc/sys/kernel/random/boot_id") == boot_id
    assert stock_guest.output("sha256sum /tmp/still") == still
    assert float(stock_guest.output("cat /proc/uptime").split()[0]) >= uptime
    new_lines = stock_guest.kernel_log()[len(log):].splitlines()
    assert [line for line in new_lines
            if any(word in line for word in ("soft lockup", "rcu_sched", "BUG", "unstable", "Call Trace"))] == []
    path.unlink()
