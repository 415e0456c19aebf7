"""Back ends and devices that come and go, as far as no guest has to play along."""

import pytest

import network
from guest import MAC, hand_over
from qmp import Qmp, QmpError
from test_upgrade import Upgradable
from vmm import descriptors, eventually, file_descriptors, thread_count

pytestmark = pytest.mark.probe

SECOND_MAC = "52:54:00:00:00:18"


@pytest.fixture
def second(guest):
    """Another TAP of the guest's."""
    tap = network.Tap()
    guest.taps.append(tap)
    return tap


def add_netdev(process, tap, id="n1", **more):
    process.qmp.command("netdev_add", type="tap", id=id, ifname=tap.name, **more)


def add_nic(process, id="nic1", netdev="n1", **more):
    process.qmp.command("device_add", driver="virtio-net-pci", id=id, netdev=netdev, mac=SECOND_MAC, **more)


def refused(process, command, **arguments):
    with pytest.raises(QmpError) as refusal:
        process.qmp.command(command, **arguments)
    return str(refusal.value)


def taps_of(process):
    return sum(name == "/dev/net/tun" for name in file_descriptors(process.pid))


def devices(process):
    return {entry["device"]: entry.get("backend", "")
            for entry in process.qmp.command("query-backend-transfer-support")}


def test_a_machine_that_has_not_started_takes_a_nic_and_runs_with_it(guest, second):
    process = guest.launch("-S")
    add_netdev(process, second)
    add_nic(process)
    assert devices(process)["nic1"] == "n1"
    process.qmp.command("cont")
    guest.wait_until_ready()
    assert taps_of(process) == 2


def test_what_is_unplugged_before_the_start_is_gone_at_once(guest, second):
    process = guest.launch("-S")
    before, threads = descriptors(process), thread_count(process.pid)
    for _ in range(3):
        add_netdev(process, second)
        add_nic(process)
        process.qmp.command("device_del", id="nic1")
        event = process.qmp.wait_event("DEVICE_DELETED")
        assert event["data"] == {"device": "nic1", "path": "/machine/peripheral/nic1"}
        assert taps_of(process) == 2
        process.qmp.command("netdev_del", id="n1")
        assert taps_of(process) == 1
    assert (descriptors(process), thread_count(process.pid)) == (before, threads)
    process.qmp.command("cont")
    guest.wait_until_ready()


def test_errors_leave_everything_as_it_was(guest, second):
    process = guest.launch("-S")
    before, threads = descriptors(process), thread_count(process.pid)
    assert "Duplicate ID 'n0'" in refused(process, "netdev_add", type="tap", id="n0", ifname=second.name)
    assert "no-such-tap" in refused(process, "netdev_add", type="tap", id="n1", ifname="no-such-tap")
    assert "in use by device 'nic0'" in refused(process, "netdev_del", id="n0")
    assert "Device 'n9' not found" in refused(process, "netdev_del", id="n9")
    assert "Device 'n9' not found" in refused(process, "device_del", id="n9")
    assert "does not support hotplugging" in refused(process, "device_del", id="serial0")
    assert "does not support hotplugging" in refused(process, "device_add", driver="isa-serial", chardev="c")
    assert "no netdev 'n1'" in refused(process, "device_add", driver="virtio-net-pci", netdev="n1")
    assert (descriptors(process), thread_count(process.pid)) == (before, threads)
    add_netdev(process, second)
    assert "another device uses it" in refused(process, "device_add", driver="virtio-net-pci", netdev="n0")
    assert "Duplicate device ID 'nic0'" in refused(process, "device_add", driver="virtio-net-pci", id="nic0", netdev="n1")
    assert "is taken by" in refused(process, "device_add", driver="virtio-net-pci", netdev="n1", addr="1")
    assert "multicast" in refused(process, "device_add", driver="virtio-net-pci", netdev="n1", mac="53:54:00:00:00:18")
    # The back end is still free.
    add_nic(process)
    process.qmp.command("device_del", id="nic1")
    process.qmp.command("netdev_del", id="n1")
    assert (descriptors(process), thread_count(process.pid)) == (before, threads)


def test_the_down_script_of_a_back_end_runs_when_it_is_removed(guest, second, directory):
    trace = directory / "trace"
    script = directory / "script"
    script.write_text(f"#!/bin/sh\necho down $1 >>{trace}\n")
    script.chmod(0o755)
    process = guest.launch("-S")
    add_netdev(process, second, downscript=str(script))
    process.qmp.command("netdev_del", id="n1")
    assert trace.read_text() == f"down {second.name}\n"


@pytest.mark.parametrize("machine", ["pagurus-1.0", "pagurus-1.1"])
def test_an_older_machine_type_cannot_tell_a_running_guest(make_guest, machine):
    guest = make_guest(machine=machine)
    tap = network.Tap()
    guest.taps.append(tap)
    process = guest.boot()
    add_netdev(process, tap)
    for command, arguments in (("device_add", {"driver": "virtio-net-pci", "netdev": "n1"}),
                               ("device_del", {"id": "nic0"})):
        words = refused(process, command, **arguments)
        assert f"machine type '{machine}' has no hot-plug" in words and "-S" in words
    process.qmp.command("netdev_del", id="n1")


def test_a_running_guest_is_asked_and_a_reset_completes_what_it_did_not_do(guest, second):
    """The probe guest knows no ACPI."""
    process = guest.boot()
    add_netdev(process, second)
    add_nic(process)
    assert guest.ask()["boot_count"] == 1
    process.qmp.command("device_del", id="nic1")
    assert "already in the process of unplug" in refused(process, "device_del", id="nic1")
    assert devices(process)["nic1"] == "n1"
    assert "in use by device 'nic1'" in refused(process, "netdev_del", id="n1")
    process.qmp.command("system_reset")
    assert process.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nic1"
    guest.wait_until_ready()
    process.qmp.command("netdev_del", id="n1")
    assert taps_of(process) == 1
    guest.check()


def test_a_nic_stays_through_a_reset(guest, second):
    process = guest.boot()
    add_netdev(process, second)
    add_nic(process)
    process.qmp.command("system_reset")
    guest.wait_until_ready()
    assert devices(process) == {"nic0": "n0", "nic1": "n1", "serial0": devices(process)["serial0"]}


@pytest.mark.parametrize("how", ["by command", "by option"])
def test_a_plugged_nic_is_handed_over_to_a_process_that_has_it_too(guest, second, how):
    source = guest.boot()
    add_netdev(source, second)
    add_nic(source)
    if how == "by command":
        destination = guest.destination()
        add_netdev(destination, second)
        assert taps_of(destination) == 0
        add_nic(destination)
    else:
        destination = guest.destination("-netdev", f"tap,id=n1,ifname={second.name}", "-device",
                                        f"virtio-net-pci,id=nic1,netdev=n1,mac={SECOND_MAC}")
    info = hand_over(source, destination)
    assert any("netdev n1" in name for name in info["moved"])
    source.quit()
    assert guest.ask()["boot_count"] == 1
    assert taps_of(destination) == 2
    # The reset of what has come in is that of what was plugged there.
    destination.qmp.command("device_del", id="nic1")
    destination.qmp.command("system_reset")
    assert destination.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nic1"


def test_an_unplug_that_is_under_way_goes_on_in_the_next_process(guest, second):
    source = guest.boot()
    add_netdev(source, second)
    add_nic(source)
    source.qmp.command("device_del", id="nic1")
    destination = guest.destination()
    add_netdev(destination, second)
    add_nic(destination)
    hand_over(source, destination)
    source.quit()
    destination.qmp.command("system_reset")
    assert destination.qmp.wait_event("DEVICE_DELETED")["data"]["device"] == "nic1"
    destination.qmp.command("netdev_del", id="n1")


def test_a_back_end_that_no_device_uses_is_handed_over_too(guest, second):
    source = guest.boot()
    add_netdev(source, second)
    destination = guest.destination("-netdev", f"tap,id=n1,ifname={second.name}")
    assert "netdev 'n1' has no peer" in destination.stderr()
    hand_over(source, destination)
    source.quit()
    assert taps_of(destination) == 2
    add_nic(destination)
    assert guest.ask()["boot_count"] == 1


def test_a_process_without_the_plugged_nic_is_refused(guest, second):
    source = guest.boot()
    add_netdev(source, second)
    add_nic(source)
    destination = guest.destination()
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    source.qmp.command("migrate-set-parameters", backend_transfer=True)
    source.qmp.command("migrate", uri=uri)
    info = eventually(lambda: (i := source.qmp.command("query-migrate"))["status"] == "failed" and i, 10.0, "its end")
    assert "device at 00:02.0" in info["error-desc"]
    # It waits on, and takes what it lacked.
    add_netdev(destination, second)
    add_nic(destination)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: source.qmp.command("query-migrate")["status"] == "completed", 10.0, "its end")
    assert guest.ask()["boot_count"] == 1


def test_nothing_changes_while_a_migration_is_in_progress_or_the_guest_is_elsewhere(guest, second):
    source = guest.boot()
    capabilities = [{"capability": "pause-before-switchover", "state": True}]
    source.qmp.command("migrate-set-capabilities", capabilities=capabilities)
    source.qmp.command("migrate-set-parameters", backend_transfer=True)
    destination = guest.destination()
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: source.qmp.command("query-migrate")["status"] == "pre-switchover", 10.0, "pre-switchover")
    netdev = {"type": "tap", "id": "n1", "ifname": second.name}
    assert "on its way to another process" in refused(source, "netdev_add", **netdev)
    assert "while a migration is in progress" in refused(destination, "netdev_add", **netdev)
    source.qmp.command("migrate-continue", state="pre-switchover")
    eventually(lambda: source.qmp.command("query-migrate")["status"] == "completed", 10.0, "its end")
    assert "the guest has left this process" in refused(source, "netdev_add", **netdev)
    assert "the guest has left this process" in refused(source, "device_del", id="nic0")
    add_netdev(destination, second)


@pytest.mark.usefixtures("runtime_directory")
def test_upgrade_hands_over_what_was_plugged_and_unplugged(guest, second):
    upgradable = Upgradable(guest)
    first = upgradable.first
    assert upgradable.ask("query-network-options")["changed"] is False
    add_netdev(first, second)
    add_nic(first, addr="7")
    done = upgradable.upgrade()
    assert done.returncode == 0, done.stderr
    assert guest.ask()["boot_count"] == 1
    network_now = upgradable.ask("query-network-options")
    assert network_now["changed"] is False
    assert [netdev["id"] for netdev in network_now["netdevs"]] == ["n0", "n1"]
    assert network_now["devices"] == [
        {"driver": "virtio-net-pci", "id": "nic0", "netdev": "n0", "addr": "1", "mac": MAC},
        {"driver": "virtio-net-pci", "id": "nic1", "netdev": "n1", "addr": "7", "mac": SECOND_MAC}]
    # What has gone since is not asked for again.
    qmp = Qmp(upgradable.path)
    qmp.command("device_del", id="nic1")
    qmp.command("system_reset")
    qmp.wait_event("DEVICE_DELETED")
    qmp.command("netdev_del", id="n1")
    qmp.close()
    guest.wait_until_ready()
    done = upgradable.upgrade()
    assert done.returncode == 0, done.stderr
    assert [netdev["id"] for netdev in upgradable.ask("query-network-options")["netdevs"]] == ["n0"]
    upgradable.end()
