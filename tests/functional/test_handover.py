"""The hand-over, as an operator does it by hand with QEMU's words, seen from outside and by the guest."""

import pathlib
import re
import resource
import time

import pytest

import network
from guest import MAC, UdpProbe, give, hand_over, migration, prepare, settled
from vmm import descriptors, eventually, file_descriptors, private_kib, thread_count

pytestmark = pytest.mark.probe


def time_of(event):
    return event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6


def statuses(events):
    return [event["data"]["status"] for event in events if event["event"] == "MIGRATION"]


def only(events, name):
    found = [event for event in events if event["event"] == name]
    assert len(found) == 1, f"{name} came {len(found)} times: {events}"
    return found[0]


def same_guest(before, after):
    """`after` was asked of the guest that gave `before`: it was not reset, and its time went on."""
    assert after["boot_count"] == before["boot_count"]
    assert after["tsc_khz"] == before["tsc_khz"]
    assert after["tsc"] > before["tsc"]
    assert after["tsc_backwards"] == 0
    assert after["uptime_ns"] > before["uptime_ns"]
    assert after["kvmclock_ns"] > before["kvmclock_ns"]
    assert after["rx_frames"] > before["rx_frames"]
    assert after["tx_frames"] > before["tx_frames"]


def test_by_hand_with_qemus_words(guest):
    """The example of the manual, word by word, but for the probe guest."""
    console = {"serial": "stdio"}
    source = guest.boot(**console)
    before = guest.ask()
    destination = guest.launch("-incoming", "defer", **console)
    assert destination.status() == "inmigrate"
    for process in (source, destination):
        prepare(process)
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    info = give(source, uri)

    assert info["status"] == "completed", info
    assert source.status() == "postmigrate"
    assert destination.status() == "running"
    source_events = source.qmp.collect_events(0.2)
    destination_events = destination.qmp.collect_events(0.2)
    assert statuses(source_events) == ["setup", "active", "device", "completed"]
    assert statuses(destination_events) == ["setup", "active", "device", "completed"]
    stop, resume = only(source_events, "STOP"), only(destination_events, "RESUME")
    assert not [e for e in source_events if e["event"] == "RESUME"]
    assert not [e for e in destination_events if e["event"] == "STOP"]
    assert time_of(stop) < time_of(resume)

    assert info["downtime"] == round(info["downtime-ms"])
    assert info["total-time"] >= info["downtime"]
    names = [phase["name"] for phase in info["phases"]]
    assert names[:2] == ["hello", "prepare"], names
    for name in ("stop", "save", "send", "load", "own", "enter"):
        assert name in names
    assert all(phase["duration-us"] >= 0 for phase in info["phases"]), info
    assert "ram" in info["moved"] and "netdev n0" in info["moved"]

    source.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_resume_has_the_time_at_which_the_vcpus_are_told_to_run(guest):
    """Not a later one, of which the guest would have had a part already."""
    source = guest.boot()
    destination = guest.destination()
    info = hand_over(source, destination)
    stop = only(source.qmp.collect_events(0.2), "STOP")
    resume = only(destination.qmp.collect_events(0.2), "RESUME")
    # Events are told in whole microseconds, and STOP a little after the pause has begun.
    assert (time_of(resume) - time_of(stop)) * 1e3 <= info["downtime-ms"] + 0.002


def descriptor_room(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"FDSize:\s+(\d+)", status)[1])


def test_no_hand_over_waits_for_the_kernels_table_of_descriptors_to_grow(guest):
    """It has its size from the start, as long as the process had one thread."""
    source = guest.boot()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert descriptor_room(source) >= min(limit, 4096)
    destination = guest.destination()
    before = descriptor_room(destination)
    assert before == descriptor_room(source)
    hand_over(source, destination)
    assert descriptor_room(destination) == before


def test_incoming_on_the_command_line(guest):
    source = guest.boot()
    before = guest.ask()
    uri = f"unix:{guest.directory}/mig"
    destination = guest.destination(incoming=uri)
    prepare(source)
    assert give(source, uri)["status"] == "completed"
    source.quit()
    assert destination.status() == "running"
    same_guest(before, guest.ask())


def test_a_paused_guest_stays_paused_until_cont(guest):
    source = guest.boot()
    before = guest.ask()
    source.qmp.command("stop")
    destination = guest.destination()
    hand_over(source, destination)
    assert destination.status() == "paused"
    assert not [e for e in destination.qmp.collect_events(0.1) if e["event"] == "RESUME"]
    source.quit()
    assert not guest.answers()
    destination.qmp.command("cont")
    assert destination.status() == "running"
    same_guest(before, guest.ask())
    guest.check()


def test_a_destination_with_S_stays_paused_until_cont(guest):
    source = guest.boot()
    before = guest.ask()
    destination = guest.destination("-S")
    hand_over(source, destination)
    assert destination.status() == "paused"
    source.quit()
    destination.qmp.command("cont")
    same_guest(before, guest.ask())


def test_a_guest_that_never_ran_is_handed_over_and_boots_there(guest):
    source = guest.launch("-S")
    assert source.status() == "prelaunch"
    destination = guest.destination()
    hand_over(source, destination)
    assert source.status() == "postmigrate"
    assert destination.status() in ("prelaunch", "paused")
    source.quit()
    destination.qmp.command("cont")
    assert guest.wait_until_ready()["boot_count"] == 1


def test_three_handovers_under_a_stream_of_packets_lose_nothing(guest):
    processes = [guest.boot()]
    before = guest.ask()
    with UdpProbe(guest.tap.guest, rate=500) as stream:
        for _ in range(3):
            processes.append(guest.destination())
            time.sleep(0.3)
            hand_over(processes[-2], processes[-1])
            processes[-2].quit()
        time.sleep(0.3)
    report = stream.report
    assert report["sent"] > 100, report
    assert (report["lost"], report["duplicated"], report["reordered"]) == (0, 0, 0), report
    after = guest.ask()
    same_guest(before, after)
    assert after["udp_echoes"] - before["udp_echoes"] >= report["sent"]


def test_a_process_that_came_by_handover_holds_what_a_first_one_holds(guest):
    first = guest.boot()
    files, threads, memory = descriptors(first), thread_count(first.pid), private_kib(first.pid)
    second = guest.destination()
    hand_over(first, second)
    first.quit()
    assert descriptors(second) == files
    assert thread_count(second.pid) == threads
    assert private_kib(second.pid) - memory < 4096


def test_a_source_closes_what_the_guest_used(guest):
    source = guest.boot()
    destination = guest.destination()
    hand_over(source, destination)
    assert "/dev/net/tun" in file_descriptors(destination.pid)
    assert "/dev/net/tun" not in file_descriptors(source.pid)


@pytest.mark.parametrize("vcpus", [2, 4])
def test_all_processors_go_on(guest, vcpus):
    guest.options["smp"] = str(vcpus)
    source = guest.boot()
    before = eventually(lambda: (s := guest.ask())["cpus_online"] == vcpus and s, 30.0, "the start of all processors")
    for _ in range(2):
        destination = guest.destination()
        hand_over(source, destination)
        source.quit()
        source = destination
    after = guest.ask()
    same_guest(before, after)
    assert after["cpus_online"] == vcpus
    turns = guest.ask("cpus")
    for number in range(1, vcpus):
        key = f"cpu{number}_observations"
        eventually(lambda: guest.ask("cpus")[key] > turns[key], 10.0, f"work on processor {number}")
    guest.check()


def test_a_guest_with_more_than_four_gigabytes_is_handed_over(guest):
    guest.options["memory"] = "5G"
    source = guest.boot()
    before = guest.ask()
    destination = guest.destination()
    hand_over(source, destination)
    source.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_memory_above_four_gigabytes_keeps_its_content(make_guest):
    guest = make_guest(memory="5G", append="probe.pattern_at=0x100000000")
    source = guest.boot()
    stats = guest.ask()
    destination = guest.destination()
    hand_over(source, destination)
    source.quit()
    same_guest(stats, guest.ask())
    guest.check()


def test_huge_pages_are_handed_over(guest):
    pages = 40
    with reserved_huge_pages(pages):
        guest.options.update(machine="pagurus-1.2,memory-backend=ram", extra=(
            "-object", "memory-backend-memfd,id=ram,size=64M,hugetlb=on,hugetlbsize=2M"))
        source = guest.boot()
        before = guest.ask()
        destination = guest.destination()
        hand_over(source, destination)
        source.quit()
        same_guest(before, guest.ask())
        guest.check()
        destination.quit()


class reserved_huge_pages:
    """Reserves huge pages of the host, or skips the test."""

    PATH = "/proc/sys/vm/nr_hugepages"

    def __init__(self, count):
        self.count = count

    def __enter__(self):
        with open(self.PATH) as file:
            self.former = int(file.read())
        try:
            self._write(self.former + self.count)
            with open(self.PATH) as file:
                enough = int(file.read()) >= self.former + self.count
        except OSError:
            enough = False
        if not enough:
            self._restore()
            pytest.skip(f"the host cannot reserve {self.count} huge pages")

    def __exit__(self, *_):
        self._restore()

    def _write(self, count):
        with open(self.PATH, "w") as file:
            file.write(str(count))

    def _restore(self):
        try:
            self._write(self.former)
        except OSError:
            pass


def other_tap(guest):
    """A second TAP in the same subnet's place: the host side of the guest's addresses moves there."""
    tap = network.Tap()
    guest.taps.append(tap)
    return tap


def move_addresses(old, new):
    network.ip("address", "delete", f"{old.host}/24", "dev", old.name)
    network.ip("address", "add", f"{old.host}/24", "dev", new.name)


@pytest.mark.parametrize("way", ["parameter off on both sides", "property off", "machine type pagurus-1.0"])
def test_without_backend_transfer_the_destination_opens_a_tap_of_its_own(guest, way):
    if way == "property off":
        guest.options["device"] += ",backend-transfer=off"
    if way == "machine type pagurus-1.0":
        guest.options["machine"] = "pagurus-1.0"
    parameter = way != "parameter off on both sides"
    source = guest.boot()
    before = guest.ask()
    tap = other_tap(guest)
    destination = guest.destination(netdev=f"tap,id=n0,ifname={tap.name},script=no,downscript=no")
    for process in (source, destination):
        prepare(process, backend_transfer=parameter)
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    info = give(source, uri)
    assert info["status"] == "completed", info
    # RAM is copied where no back end may move, and moves where only this one does not.
    assert ("ram" in info["moved"]) == parameter and ("ram" in info) != parameter
    assert "netdev n0" not in info["moved"]
    source.quit()
    move_addresses(guest.tap, tap)
    same_guest(before, guest.ask())
    guest.check()


def test_pagurus_1_0_moves_the_tap_if_the_device_says_so(make_guest):
    guest = make_guest(machine="pagurus-1.0", device=f"virtio-net-pci,netdev=n0,mac={MAC},backend-transfer=on")
    source = guest.boot()
    before = guest.ask()
    destination = guest.destination()
    assert "netdev n0" in hand_over(source, destination)["moved"]
    source.quit()
    same_guest(before, guest.ask())


def test_power_off_after_a_handover_ends_the_destination_with_0(guest):
    source = guest.boot()
    destination = guest.destination()
    hand_over(source, destination)
    guest.ask("poweroff")
    assert destination.wait() == 0, destination.stderr()
    assert source.status() == "postmigrate"
    source.quit()


def test_reset_by_the_guest_after_a_handover_boots_again(guest):
    source = guest.boot()
    boots = guest.ask()["boot_count"]
    destination = guest.destination()
    hand_over(source, destination)
    source.quit()
    guest.ask("reset")
    reset = destination.qmp.wait_event("RESET")
    assert reset["data"]["guest"] is True
    assert eventually(lambda: guest.wait_until_ready()["boot_count"] == boots + 1, 30.0, "the next boot")


def test_a_reset_by_qmp_after_a_handover_boots_again(guest):
    source = guest.boot()
    boots = guest.ask()["boot_count"]
    destination = guest.destination()
    hand_over(source, destination)
    source.quit()
    destination.qmp.command("system_reset")
    assert destination.qmp.wait_event("RESET")["data"]["guest"] is False
    assert eventually(lambda: guest.wait_until_ready()["boot_count"] == boots + 1, 30.0, "the next boot")


def test_cancel_without_a_handover_is_no_error(shared):
    process = shared.vmms[0]
    assert process.qmp.command("migrate_cancel") == {}
    assert process.status() == "running"
    assert shared.answers()


def test_query_migrate_is_empty_before_the_first_handover(guest):
    assert migration(guest.launch("-S")) == {}


def test_the_console_moves_and_works_on(make_guest):
    guest = make_guest(serial="stdio")
    source = guest.boot()
    assert "PROBE READY" in source.console()
    destination = guest.destination()
    info = hand_over(source, destination)
    source.quit()
    assert info["status"] == "completed"
    guest.ask("reset")
    # What the guest writes goes on where the first process wrote it.
    eventually(lambda: source.console().count("PROBE READY") == 2, 30.0, "the second boot's message on the console")
    assert "PROBE READY" not in destination.console()
