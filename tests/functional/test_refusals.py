"""What is refused, is refused with a sentence that names the object, and disturbs no running guest."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

import pytest

import network
from guest import MAC, PROBE, give, hand_over, migration, prepare, settled
from qmp import QmpError
from vmm import PAGURUS, Vmm

pytestmark = pytest.mark.probe


@pytest.fixture(autouse=True)
def guest_unharmed(request):
    """Whatever a test of this file tries: the shared guest, if it uses it, answers afterwards."""
    yield
    if "shared" in request.fixturenames:
        guest = request.getfixturevalue("shared")
        assert guest.vmms[0].status() == "running"
        assert guest.ask()["boot_count"] == 1


def refused(arguments, *words, prefix=(), pass_fds=()):
    """Runs pagurus, which must end with 1 and one sentence with these words."""
    done = subprocess.run([*prefix, PAGURUS, *map(str, arguments)], capture_output=True, text=True, timeout=20,
                          check=False, pass_fds=pass_fds)
    assert done.returncode == 1, f"{done.returncode}: {done.stderr}"
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("pagurus: ")
    for word in words:
        assert word in lines[0], lines[0]
    assert done.stdout == ""


# --- The command line -----------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, words", [
    (["-frobnicate"], ["-frobnicate"]),
    (["--vnc", ":0"], ["vnc"]),
    (["kernel.img"], ["kernel.img", "option"]),
    (["-kernel"], ["-kernel", "value"]),
    (["-m", "64M", "-m", "64M"], ["-m", "twice"]),
    (["-machine", "pc"], ["machine type 'pc'"]),
    (["-machine", "pagurus-1.1,accel=tcg"], ["tcg"]),
    (["-machine", "pagurus-1.1,usb=on"], ["usb"]),
    (["-cpu", "Skylake"], ["Skylake"]),
    (["-cpu", "host,+avx"], ["-cpu", "+avx"]),
    (["-smp", "0"], ["0", "1 to 8"]),
    (["-smp", "9"], ["9", "1 to 8"]),
    (["-smp", "two"], ["-smp", "cpus", "integer"]),
    (["-smp", "2,sockets=2"], ["sockets"]),
    (["-m", "1M", "-kernel", PROBE], ["64 MiB"]),
    (["-m", "lots"], ["-m", "size"]),
    (["-m", "65M", "-kernel", PROBE], ["2 MiB"]),
    (["-m", "100000G", "-kernel", PROBE], ["-m"]),
    (["-m", "-64M"], ["-m", "size"]),
    (["-serial", "vc"], ["vc"]),
    (["-display", "gtk"], ["gtk"]),
    (["-qmp", "tcp::4444,server=on,wait=off"], ["tcp::4444"]),
    (["-qmp", "unix:/tmp/x"], ["server=on"]),
    (["-incoming", "exec:cat"], ["exec:cat", "unix:PATH"]),
    (["-uuid", "1234"], ["1234"]),
    (["-object", "rng-random,id=r"], ["rng-random"]),
])
def test_a_wrong_option_is_refused(shared, arguments, words):
    del shared
    refused(arguments, *words)


@pytest.mark.parametrize("changes, words", [
    ({"device": "e1000,netdev=n0"}, ["e1000"]),
    ({"device": "virtio-net-pci,netdev=n0,color=blue"}, ["color"]),
    ({"device": "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01,mac=52:54:00:00:00:02"}, ["mac", "twice"]),
    ({"device": "virtio-net-pci,netdev=n0,mac=52:54"}, ["52:54"]),
    ({"device": "virtio-net-pci,netdev=n0,mac=01:00:5e:00:00:01"}, ["01:00:5e:00:00:01"]),
    ({"device": "virtio-net-pci,netdev=n7"}, ["n7"]),
    ({"device": "virtio-net-pci"}, ["netdev"]),
    ({"device": "virtio-net-pci,netdev=n0,rx_queue_size=300"}, ["rx_queue_size"]),
    ({"device": "virtio-net-pci,netdev=n0,csum=perhaps"}, ["csum", "boolean"]),
    ({"netdev": "user,id=n0"}, ["user"]),
    ({"netdev": "tap,ifname=t0"}, ["id"]),
    ({"netdev": "tap,id=n0,ifname=t0,vhost=on,vnet_hdr=off"}, ["vhost"]),
    ({"netdev": "tap,id=n0,ifname=t0,ifname=t1"}, ["ifname", "twice"]),
    ({"netdev": "tap,id=n0,ifname=a-name-that-is-much-too-long"}, ["a-name-that-is-much-too-long"]),
    ({"netdev": "tap,id=n0,fd=3,ifname=t0"}, ["fd=", "ifname="]),
    ({"netdev": "tap,id=n0,ifname=nosuchtap0"}, ["nosuchtap0", "does not exist", "ip tuntap add"]),
    ({"netdev": "tap,id=n0,ifname=lo"}, ["lo"]),
    ({"netdev": "tap,id=n0,fd=999"}, ["999"]),
    ({"netdev": "tap,id=n0,fd=somename"}, ["somename"]),
    ({"kernel": "/nonexistent/kernel"}, ["/nonexistent/kernel", "No such file"]),
    ({"kernel": "/etc/passwd"}, ["/etc/passwd"]),
    ({"kernel": "/dev/null"}, ["/dev/null"]),
    ({"kernel": "/usr"}, ["/usr"]),
    ({"extra": ["-initrd", "/nonexistent/initrd"]}, ["/nonexistent/initrd", "No such file"]),
    ({"extra": ["-device", "isa-serial,chardev=c9"]}, ["c9"]),
    ({"serial": "file:/nonexistent/dir/console"}, ["/nonexistent/dir/console"]),
    ({"serial": "chardev:nobody"}, ["nobody"]),
    ({"append": "x" * 100_000}, ["command line", "too long"]),
])
def test_a_machine_that_cannot_be_is_refused(shared, shared_tap, changes, words):
    refused(shared.words(**{"netdev": netdev_on(shared_tap), **changes}), *words)


@pytest.fixture(scope="module")
def shared_tap(shared):
    """A second TAP, so that the shared guest's is not what a start fails for."""
    shared.taps.append(network.Tap())
    return shared.taps[-1]


def netdev_on(tap):
    return f"tap,id=n0,ifname={tap.name},script=no,downscript=no"


def test_an_initrd_that_does_not_fit_is_refused(shared, shared_tap, directory):
    initrd = directory / "initrd"
    with open(initrd, "wb") as file:
        file.truncate(70 << 20)
    refused(shared.words(netdev=netdev_on(shared_tap), extra=["-initrd", initrd]), "initrd", "70 MiB", "does not fit")


def test_a_busy_tap_is_refused(shared):
    refused(shared.words(), shared.tap.name, "another process uses it")


def test_a_descriptor_that_is_no_tap_is_refused(shared):
    with open("/dev/null", "rb") as file:
        refused(shared.words(netdev=f"tap,id=n0,fd={file.fileno()}"), "is not a TAP", pass_fds=[file.fileno()])
    left, right = socket.socketpair()
    with left, right:
        refused(shared.words(netdev=f"tap,id=n0,fd={left.fileno()}"), "is not a TAP", pass_fds=[left.fileno()])
    unattached = os.open("/dev/net/tun", os.O_RDWR)
    try:
        refused(shared.words(netdev=f"tap,id=n0,fd={unattached}"), "not attached", pass_fds=[unattached])
    finally:
        os.close(unattached)


def as_nobody(arguments):
    return ["setpriv", "--reuid", "65534", "--clear-groups", *map(str, arguments)]


@pytest.fixture
def visible():
    """The program and the kernel where an unprivileged user can read them."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="pgt-"))
    place.chmod(0o755)
    for file in (PAGURUS, PROBE):
        shutil.copy(file, place)
    yield place
    shutil.rmtree(place)


def test_without_permission_for_kvm_the_device_is_named(shared, shared_tap, visible):
    if os.stat("/dev/kvm").st_mode & 0o006:
        pytest.skip("/dev/kvm is open to everybody here")
    words = shared.words(netdev=netdev_on(shared_tap), kernel=visible / PROBE.name)
    done = subprocess.run(as_nobody([visible / PAGURUS.name, *words]), capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == 1
    assert "/dev/kvm" in done.stderr and "Permission denied" in done.stderr


@pytest.fixture
def owned_tap(shared):
    """A TAP that belongs to a user; one without an owner is open to everybody."""
    tap = network.Tap(owner="daemon")
    yield tap
    tap.remove()


def test_without_permission_for_the_tap_it_is_named(shared, owned_tap, visible):
    # The device nodes are made accessible in a mount namespace of the test's own.
    words = shared.words(netdev=netdev_on(owned_tap), kernel=visible / PROBE.name)
    command = as_nobody([visible / PAGURUS.name, *words])
    script = ('mount -t tmpfs -o mode=755 none /mnt && mknod -m 666 /mnt/kvm c 10 232 && mount --bind /mnt/kvm /dev/kvm && '
              'mknod -m 666 /mnt/tun c 10 200 && mount --bind /mnt/tun /dev/net/tun && exec "$@"')
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", *command], capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 1
    assert owned_tap.name in done.stderr and "CAP_NET_ADMIN" in done.stderr, done.stderr


# --- Migration: refused by the command ------------------------------------------------------------

def refused_by_qmp(process, command, *words, **arguments):
    with pytest.raises(QmpError) as error:
        process.qmp.command(command, **arguments)
    assert error.value.error_class == "GenericError"
    for word in words:
        assert word in error.value.desc
    return error.value.desc


@pytest.mark.parametrize("uri", ["tcp:127.0.0.1:4444", "exec:cat", "fd:7", "/tmp/x.sock", "unix:", ""])
def test_migrate_with_backend_transfer_goes_over_a_unix_socket_only(shared, uri):
    process = shared.vmms[0]
    process.qmp.command("migrate-set-parameters", backend_transfer=True)
    words = [] if uri == "unix:" else ["requires a UNIX domain socket: file descriptors travel over it"]
    refused_by_qmp(process, "migrate", "unix:", *words, uri=uri)
    process.qmp.command("migrate-set-parameters", backend_transfer=False)
    if uri.startswith("tcp:"):
        refused_by_qmp(process, "migrate", "reach", "Connection refused", uri=uri)
    else:
        refused_by_qmp(process, "migrate", "unix:", uri=uri)


@pytest.fixture(scope="module")
def shared_waiting(shared):
    """A destination for the shared guest that nobody hands anything over to."""
    process = shared.destination()
    yield process
    shared.vmms.remove(process)
    process.quit()


def test_migrate_incoming_goes_over_a_unix_socket_only(shared_waiting):
    desc = refused_by_qmp(shared_waiting, "migrate-incoming", uri="tcp:0:4444")
    assert "requires a UNIX domain socket: file descriptors travel over it" in desc
    assert shared_waiting.status() == "inmigrate"


def test_a_waiting_destination_has_no_guest_to_control(shared_waiting):
    refused_by_qmp(shared_waiting, "cont", "incoming")
    refused_by_qmp(shared_waiting, "system_reset", "incoming")
    refused_by_qmp(shared_waiting, "migrate", "inmigrate", uri="unix:/tmp/x")


def test_a_running_machine_takes_no_guest_in(shared):
    refused_by_qmp(shared.vmms[0], "migrate-incoming", "-incoming", uri="unix:/tmp/x")


def test_without_a_waiting_destination_migrate_fails_and_says_so(shared, directory):
    process = shared.vmms[0]
    refused_by_qmp(process, "migrate", "no destination waits there", uri=f"unix:{directory}/nobody")
    info = migration(process)
    assert info["status"] == "failed"
    assert "no destination waits there" in info["error-desc"]


def test_migrate_to_a_path_that_is_too_long_is_refused(shared):
    refused_by_qmp(shared.vmms[0], "migrate", "107", uri="unix:/" + "x" * 200)


def test_a_second_migrate_while_one_runs_is_refused(shared, directory):
    # A listener that never answers keeps the first one busy.
    process = shared.vmms[0]
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/silent")
        listener.listen()
        process.qmp.command("migrate", uri=f"unix:{directory}/silent")
        refused_by_qmp(process, "migrate", "in progress", uri=f"unix:{directory}/silent")
        refused_by_qmp(process, "migrate-set-parameters", "in progress", backend_transfer=True)
        process.qmp.command("migrate_cancel")
        assert settled(process)["status"] == "cancelled"
    os.unlink(f"{directory}/silent")


# --- Migration: the two sides differ --------------------------------------------------------------

def differ(shared, words, *more, source_transfer=True, destination_transfer=True, **changes):
    """Tries a hand-over to a destination with other words; both sides must say what differs, and it waits on."""
    source = shared.vmms[0]
    destination = shared.destination(*more, **changes)
    try:
        prepare(source, backend_transfer=source_transfer)
        prepare(destination, backend_transfer=destination_transfer)
        uri = f"unix:{shared.directory}/mig"
        destination.qmp.command("migrate-incoming", uri=uri)
        info = give(source, uri)
        assert info["status"] == "failed", info
        there = settled(destination)
        assert there["status"] == "failed", there
        for word in words:
            assert word in info["error-desc"], info
            assert word in there["error-desc"], there
        assert destination.status() == "inmigrate"
        events = [event["event"] for event in source.qmp.collect_events()]
        assert "STOP" not in events
    finally:
        prepare(source, backend_transfer=True)
        shared.vmms.remove(destination)
        destination.quit()


def test_parameter_on_the_source_only_is_said_by_both_sides(shared):
    differ(shared, ["backend-transfer", "set on the source but not on the destination"], destination_transfer=False)


def test_parameter_on_the_destination_only_is_said_by_both_sides(shared):
    differ(shared, ["backend-transfer", "set on the destination but not on the source"], source_transfer=False)


@pytest.mark.parametrize("changes, words", [
    ({"machine": "pagurus-1.0"}, ["machine type", "pagurus-1.2", "pagurus-1.0"]),
    ({"memory": "128M"}, ["RAM size", "64 MiB", "128 MiB"]),
    ({"smp": "2"}, ["number of vCPUs", "'1'", "'2'"]),
    ({"device": "virtio-net-pci,netdev=n0,mac=52:54:00:00:00:99"}, ["mac", MAC, "52:54:00:00:00:99"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},rx_queue_size=512"}, ["rx_queue_size", "256", "512"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},host_mtu=1400"}, ["host_mtu", "1400"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},mrg_rxbuf=off"}, ["mrg_rxbuf", "'on'", "'off'"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},id=other"}, ["other"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},addr=5"}, ["00:05.0"]),
    ({"device": f"virtio-net-pci,netdev=n0,mac={MAC},backend-transfer=off"}, ["netdev n0", "backend-transfer"]),
    ({"netdev": "tap,id=n0,ifname=unused,queues=2"}, ["queue pairs", "this destination has"]),
    ({"serial": "file:/dev/null"}, ["console", "serial0"]),
])
def test_the_first_difference_is_named(shared, changes, words):
    differ(shared, words, **changes)


def test_a_missing_device_is_named(shared):
    source = shared.vmms[0]
    words = shared.words()
    at = words.index("-netdev")
    del words[at:at + 4]
    destination = Vmm(shared.directory, "bare", [*words, "-incoming", "defer"])
    try:
        for process in (source, destination):
            prepare(process)
        uri = f"unix:{shared.directory}/mig"
        destination.qmp.command("migrate-incoming", uri=uri)
        info = give(source, uri)
        assert info["status"] == "failed"
        assert "00:01.0" in info["error-desc"] and "lacks" in info["error-desc"]
    finally:
        destination.quit()


def test_a_refused_destination_takes_the_guest_at_the_second_try(guest):
    source = guest.boot()
    destination = guest.destination()
    prepare(source)
    prepare(destination, backend_transfer=False)
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    assert give(source, uri)["status"] == "failed"
    assert guest.answers()
    prepare(destination)
    assert give(source, uri)["status"] == "completed"
    source.quit()
    assert guest.ask()["boot_count"] == 1


def test_after_the_handover_the_source_has_no_guest_any_more(guest):
    source = guest.boot()
    destination = guest.destination()
    hand_over(source, destination)
    refused_by_qmp(source, "cont", "another process")
    refused_by_qmp(source, "system_reset", "another process")
    refused_by_qmp(source, "migrate", "postmigrate", uri="unix:/tmp/x")
    assert source.status() == "postmigrate"
    refused_by_qmp(destination, "migrate-incoming", "arrived already", uri="unix:/tmp/x")
    assert guest.ask()["boot_count"] == 1


def test_a_named_descriptor_that_is_no_tap_is_refused_by_the_source_of_names(shared):
    """getfd takes any descriptor; closefd lets it go, once."""
    process = shared.vmms[0]
    with open("/dev/null", "rb") as file:
        process.qmp.command("getfd", fds=[file.fileno()], fdname="x")
    process.qmp.command("closefd", fdname="x")
    refused_by_qmp(process, "closefd", "'x'", fdname="x")


def test_faults_are_injected_in_builds_for_tests_only(shared):
    process = shared.vmms[0]
    points = process.qmp.command("x-query-fault-points")
    assert {"point": "source.save.before", "can-fail": True} in points
    refused_by_qmp(process, "x-inject-fault", "no faults", point="source.save.before", kind="kill")
    refused_by_qmp(process, "x-inject-fault", "'source.lunch.before'", point="source.lunch.before", kind="kill")
