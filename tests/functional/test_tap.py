"""The TAP back end from outside: how it is opened, who runs its scripts, what a hand-over leaves alone."""

import array
import fcntl
import json
import os
import pathlib
import socket
import struct
import subprocess
import time

import pytest

import network
from guest import UdpProbe, hand_over, move
from qmp import QmpError
from vmm import eventually

pytestmark = pytest.mark.probe

TUNSETIFF = 0x400454CA
TUNGETIFF = 0x800454D2
TUNGETSNDBUF = 0x800454D3
TUNGETVNETHDRSZ = 0x800454D7
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def attach(name, vnet_hdr=True):
    """Opens an existing TAP, as a management program does before it starts a guest."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    flags = IFF_TAP | IFF_NO_PI | (IFF_VNET_HDR if vnet_hdr else 0)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return fd


def integer(fd, request):
    value = array.array("i", [0])
    fcntl.ioctl(fd, request, value)
    return value[0]


def description_of(fd):
    """What belongs to the open file description, and so to every process that shares it."""
    interface = bytearray(40)
    fcntl.ioctl(fd, TUNGETIFF, interface)
    return {"interface": bytes(interface), "header": integer(fd, TUNGETVNETHDRSZ), "sndbuf": integer(fd, TUNGETSNDBUF),
            "flags": fcntl.fcntl(fd, fcntl.F_GETFL)}


def packets_read(name):
    """How many packets somebody has read from the TAP: its device counts them as sent when that happens."""
    output = subprocess.run(["ip", "-s", "-j", "link", "show", name], check=True, capture_output=True, text=True).stdout
    return json.loads(output)[0]["stats64"]["tx"]["packets"]


@pytest.fixture
def opened(guest):
    """An attached descriptor of the guest's TAP, which the test keeps."""
    fd = attach(guest.tap.name)
    yield fd
    os.close(fd)


def test_an_inherited_descriptor_serves_the_guest(guest, opened):
    process = guest.boot(netdev=f"tap,id=n0,fd={opened}", pass_fds=[opened])
    assert guest.ask()["boot_count"] == 1
    process.quit()


def test_a_handover_leaves_the_shared_description_as_it_is(guest, opened):
    source = guest.boot(netdev=f"tap,id=n0,fd={opened}", pass_fds=[opened])
    guest.ask()
    before = description_of(opened)
    assert before["header"] == 12
    assert before["flags"] & os.O_NONBLOCK
    # The destination is told another number: what arrives is what counts.
    for _ in range(3):
        destination = guest.destination(netdev="tap,id=n0,fd=77")
        hand_over(source, destination)
        assert description_of(opened) == before
        source.quit()
        assert description_of(opened) == before
        source = destination
        assert guest.ask()["boot_count"] == 1
    assert description_of(opened) == before


def test_a_failed_handover_leaves_the_shared_description_as_it_is(guest, opened):
    source = guest.boot(netdev=f"tap,id=n0,fd={opened}", pass_fds=[opened])
    guest.ask()
    before = description_of(opened)
    source.qmp.command("migrate-set-parameters", downtime_limit=1)
    destination = guest.destination(netdev="tap,id=n0,fd=77")
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    source.qmp.command("migrate-set-parameters", backend_transfer=True)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: source.qmp.command("query-migrate")["status"] in ("completed", "failed"), 10.0, "its end")
    assert description_of(opened) == before
    assert guest.ask()["boot_count"] == 1
    if source.status() == "postmigrate":
        assert destination.status() == "running"
    else:
        assert destination.wait() == 1


def test_a_descriptor_by_name_is_not_known_before_getfd(guest):
    """A first process opens its back ends before anybody can reach it by QMP, so the name cannot be known."""
    process = guest.launch(netdev="tap,id=n0,fd=mytap", qmp=False)
    assert process.wait() == 1
    assert "'mytap'" in process.stderr()


def test_a_destination_takes_an_untransferred_tap_by_name_from_getfd(guest):
    """The one who opens its back ends late enough for getfd is a destination."""
    guest.options["device"] += ",backend-transfer=off"
    source = guest.boot()
    second = network.Tap()
    guest.taps.append(second)
    fd = attach(second.name)
    destination = guest.destination(netdev="tap,id=n0,fd=mytap")
    destination.qmp.command("getfd", fds=[fd], fdname="mytap")
    os.close(fd)
    hand_over(source, destination)
    source.quit()
    network.ip("address", "delete", f"{guest.tap.host}/24", "dev", guest.tap.name)
    network.ip("address", "add", f"{guest.tap.host}/24", "dev", second.name)
    assert guest.ask()["boot_count"] == 1


def test_a_destination_whose_named_tap_was_not_given_fails_and_the_guest_goes_on(guest):
    guest.options["device"] += ",backend-transfer=off"
    source = guest.boot()
    destination = guest.destination(netdev="tap,id=n0,fd=mytap")
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    source.qmp.command("migrate-set-parameters", backend_transfer=True)
    source.qmp.command("migrate", uri=uri)
    info = eventually(lambda: (i := source.qmp.command("query-migrate"))["status"] == "failed" and i, 10.0, "its end")
    assert "'mytap'" in info["error-desc"]
    assert destination.wait() == 1
    assert guest.ask()["boot_count"] == 1


def logging_script(directory, name, more=""):
    log = directory / "scripts.log"
    path = directory / name
    path.write_text(f"#!/bin/sh\necho {name} \"$@\" $PPID >> {log}\n{more}")
    path.chmod(0o755)
    return path, log


def test_scripts_run_exactly_once_in_the_life_of_the_tap(guest):
    """Up in the first process, down in the last, for a TAP that exists only as long as the guest."""
    name = "pgscript0"
    up, log = logging_script(guest.directory, "up",
                             f"ip address add {guest.tap.host}/24 dev \"$1\" && ip link set \"$1\" up\n")
    down, _ = logging_script(guest.directory, "down")
    network.ip("address", "flush", "dev", guest.tap.name)
    guest.options["netdev"] = f"tap,id=n0,ifname={name},script={up},downscript={down}"
    process = guest.boot()
    assert log.read_text().splitlines() == [f"up {name} {process.pid}"]
    first = process
    for _ in range(3):
        destination = guest.destination()
        hand_over(process, destination)
        process.quit()
        process = destination
        assert guest.ask()["boot_count"] == 1
    assert log.read_text().splitlines() == [f"up {name} {first.pid}"]
    process.quit()
    assert log.read_text().splitlines() == [f"up {name} {first.pid}", f"down {name} {process.pid}"]
    assert name not in network.interfaces()


def test_a_tap_that_stays_behind_is_brought_down_by_the_process_that_opened_it(guest):
    up, log = logging_script(guest.directory, "up")
    down, _ = logging_script(guest.directory, "down")
    guest.options["device"] += ",backend-transfer=off"
    first, second = guest.tap.name, network.Tap()
    guest.taps.append(second)
    guest.options["netdev"] = f"tap,id=n0,ifname={first},script={up},downscript={down}"
    source = guest.boot()
    destination = guest.destination(netdev=f"tap,id=n0,ifname={second.name},script={up},downscript={down}")
    hand_over(source, destination)
    source.quit()
    destination.quit()
    assert log.read_text().splitlines() == [
        f"up {first} {source.pid}", f"up {second.name} {destination.pid}",
        f"down {first} {source.pid}", f"down {second.name} {destination.pid}"]


def test_a_failed_handover_runs_no_script(guest):
    up, log = logging_script(guest.directory, "up")
    down, _ = logging_script(guest.directory, "down")
    guest.options["netdev"] = f"tap,id=n0,ifname={guest.tap.name},script={up},downscript={down}"
    source = guest.boot()
    destination = guest.destination(memory="128M")
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    source.qmp.command("migrate-set-parameters", backend_transfer=True)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: source.qmp.command("query-migrate")["status"] == "failed", 10.0, "the failure")
    destination.quit()
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["up"]
    source.quit()
    assert [line.split()[0] for line in log.read_text().splitlines()] == ["up", "down"]


def test_a_failing_script_ends_the_start_with_its_name(guest):
    up, _ = logging_script(guest.directory, "up", "exit 7\n")
    process = guest.launch(netdev=f"tap,id=n0,ifname={guest.tap.name},script={up}", qmp=False)
    assert process.wait() == 1
    assert str(up) in process.stderr() and "status 7" in process.stderr()


def test_without_a_vnet_header_all_works_too(make_guest):
    guest = make_guest(vnet_hdr=False)
    guest.options["netdev"] += ",vnet_hdr=off"
    source = guest.boot()
    before = guest.ask("net")
    with UdpProbe(guest.tap.guest, rate=200) as stream:
        for _ in range(2):
            destination = guest.destination()
            hand_over(source, destination)
            source.quit()
            source = destination
        time.sleep(0.2)
    assert stream.report["sent"] > 20
    assert (stream.report["lost"], stream.report["duplicated"]) == (0, 0), stream.report
    assert guest.ask("net")["features"] == before["features"]


def test_a_tap_with_a_header_does_not_serve_a_netdev_without_one(guest, opened):
    process = guest.launch(netdev=f"tap,id=n0,fd={opened},vnet_hdr=off", pass_fds=[opened], qmp=False)
    assert process.wait() == 1
    assert "vnet_hdr=off" in process.stderr() and guest.tap.name in process.stderr()


def test_sndbuf_is_set_by_the_opener_and_kept(guest, opened):
    source = guest.boot(netdev=f"tap,id=n0,fd={opened},sndbuf=200k", pass_fds=[opened])
    assert description_of(opened)["sndbuf"] == 200 * 1024
    destination = guest.destination(netdev="tap,id=n0,fd=77,sndbuf=100k")
    hand_over(source, destination)
    assert description_of(opened)["sndbuf"] == 200 * 1024
    source.quit()
    assert guest.ask()["boot_count"] == 1


def test_a_stopped_machine_does_not_read_its_tap(guest):
    """Packets wait in the TAP's queue; after cont the guest answers every one of them."""
    process = guest.boot()
    guest.ask()
    process.qmp.command("stop")
    before = packets_read(guest.tap.name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((guest.tap.guest, 7))
        for number in range(50):
            sock.send(b"waiting %d" % number)
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.recv(100)
        assert packets_read(guest.tap.name) == before
        process.qmp.command("cont")
        sock.settimeout(10)
        assert [sock.recv(100) for _ in range(50)] == [b"waiting %d" % n for n in range(50)]
    assert packets_read(guest.tap.name) >= before + 50


def test_packets_for_a_paused_guest_arrive_in_the_next_process(guest):
    source = guest.boot()
    guest.ask()
    source.qmp.command("stop")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((guest.tap.guest, 7))
        for number in range(50):
            sock.send(b"travelling %d" % number)
        destination = guest.destination()
        hand_over(source, destination)
        source.quit()
        destination.qmp.command("cont")
        sock.settimeout(10)
        assert [sock.recv(100) for _ in range(50)] == [b"travelling %d" % n for n in range(50)]


def test_a_tap_that_was_renamed_moves(guest):
    process = guest.boot()
    guest.ask()
    network.ip("link", "set", guest.tap.name, "down")
    network.ip("link", "set", guest.tap.name, "name", "renamed")
    network.ip("link", "set", "renamed", "up")
    guest.tap.name = "renamed"
    for _ in range(2):
        process = move(guest, process)
        guest.ask()
    process.quit()


def test_a_tap_that_vanishes_under_the_guest_ends_nothing(guest):
    process = guest.boot()
    guest.ask()
    network.ip("link", "delete", guest.tap.name)
    time.sleep(0.3)
    assert process.status() == "running"
    used = process_time(process.pid)
    time.sleep(1.0)
    # The guest's own processor takes up to one second of it; a loop that spins would take another.
    assert process_time(process.pid) - used < 1.5
    # It cannot move, and that is said before the guest is stopped.
    reason = f"its TAP '{guest.tap.name}' does not exist any more"
    [support] = [one for one in process.qmp.command("query-backend-transfer-support") if one["backend"] == "n0"]
    assert (support["supported"], support["reason"]) == (False, reason)
    process.qmp.collect_events(0.1)
    with pytest.raises(QmpError, match=reason):
        hand_over(process, guest.destination())
    assert "STOP" not in [event["event"] for event in process.qmp.collect_events(0.3)]
    process.quit()


def process_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_large_ping_goes_through(guest):
    guest.boot()
    done = subprocess.run(["ping", "-c", "3", "-i", "0.2", "-s", "1400", guest.tap.guest], capture_output=True, text=True,
                          check=False)
    assert ", 0% packet loss" in done.stdout, done.stdout
