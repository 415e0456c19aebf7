"""The interfaces that say which back ends move: the boolean parameter, its list of targets, the capability local-tap."""

import pytest

from guest import MAC, give, prepare
from qmp import QmpError
from test_handover import same_guest

pytestmark = pytest.mark.probe

TARGETS = ["virtio-net-tap"]


def local_tap(process, state=True):
    process.qmp.command("migrate-set-capabilities", capabilities=[{"capability": "local-tap", "state": state}])


def transfer(process):
    return process.qmp.command("query-migrate-parameters")["backend-transfer"]


def refused(process, command, *words, **arguments):
    with pytest.raises(QmpError) as error:
        process.qmp.command(command, **arguments)
    assert error.value.error_class == "GenericError"
    for word in words:
        assert word in error.value.desc, error.value.desc


def moved_from(source, destination):
    """Hands over as both are set up; what moved."""
    uri = f"unix:{source.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    info = give(source, uri)
    assert info["status"] == "completed", info
    return info["moved"]


def tap_options(guest, *more):
    return ",".join([f"tap,id=n0,ifname={guest.tap.name}", *more])


# --- What moves -----------------------------------------------------------------------------------

def test_a_list_of_targets_moves_these_alone(make_guest):
    guest = make_guest(serial="null")
    source = guest.boot()
    before = guest.ask()
    destination = guest.destination()
    for process in (source, destination):
        prepare(process, backend_transfer=TARGETS)
        assert transfer(process) == TARGETS
    moved = moved_from(source, destination)
    assert "netdev n0" in moved and "console serial0" not in moved
    source.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_an_empty_list_moves_no_back_end(shared):
    process = shared.vmms[0]
    prepare(process, backend_transfer=[])
    assert transfer(process) is False
    prepare(process, backend_transfer=False)


def test_local_tap_with_local_incoming_moves_the_tap(make_guest):
    guest = make_guest(serial="null")
    source = guest.boot()
    before = guest.ask()
    destination = guest.launch("-incoming", "defer", netdev=tap_options(guest, "local-incoming=on"))
    for process in (source, destination):
        local_tap(process)
        assert transfer(process) == TARGETS
    moved = moved_from(source, destination)
    assert "netdev n0" in moved and "console serial0" not in moved
    source.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_the_capability_and_the_list_mean_the_same(make_guest):
    guest = make_guest(serial="null")
    source = guest.boot()
    destination = guest.launch("-incoming", "defer", netdev=tap_options(guest, "local-incoming=on"))
    prepare(source, backend_transfer=TARGETS)
    local_tap(destination)
    assert "netdev n0" in moved_from(source, destination)
    source.quit()


# --- What contradicts itself ----------------------------------------------------------------------

def test_the_capability_excludes_another_value_of_the_parameter(shared):
    process = shared.vmms[0]
    prepare(process, backend_transfer=True)
    refused(process, "migrate-set-capabilities", "local-tap", "backend-transfer", "contradict",
            capabilities=[{"capability": "local-tap", "state": True}])
    assert transfer(process) is True
    prepare(process, backend_transfer=False)
    local_tap(process)
    for value in (True, False, []):
        refused(process, "migrate-set-parameters", "local-tap", "backend-transfer", "contradict", backend_transfer=value)
    process.qmp.command("migrate-set-parameters", backend_transfer=TARGETS)
    assert transfer(process) == TARGETS
    local_tap(process, False)
    prepare(process, backend_transfer=False)


def test_other_targets_are_refused(shared):
    refused(shared.vmms[0], "migrate-set-parameters", "backend-transfer[0]", "virtio-blk", "virtio-net-tap",
            backend_transfer=["virtio-blk"])
    refused(shared.vmms[0], "migrate-set-parameters", "backend-transfer", backend_transfer="on")


def differs(guest, source_setup, destination_setup, *words, **changes):
    source = guest.boot()
    destination = guest.launch("-incoming", "defer", **changes)
    source_setup(source)
    destination_setup(destination)
    uri = f"unix:{guest.directory}/mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    info = give(source, uri)
    assert info["status"] == "failed", info
    for word in words:
        assert word in info["error-desc"], info
    assert source.status() == "running" and guest.answers()


def test_different_targets_are_said_before_the_guest_stops(guest):
    differs(guest, lambda p: prepare(p, True), lambda p: prepare(p, TARGETS),
            "'on' on the source", "'virtio-net-tap' on the destination")


def test_local_tap_needs_local_incoming(guest):
    differs(guest, local_tap, local_tap, "netdev n0", "local-incoming=on", "local-tap")


def test_an_announced_tap_must_arrive(guest):
    differs(guest, lambda p: prepare(p, False), lambda p: prepare(p, False), "netdev n0", "local-incoming=on",
            "backend-transfer", netdev=tap_options(guest, "local-incoming=on"))


@pytest.mark.parametrize("more, words", [
    (["fd=3"], ["local-incoming=on", "fd="]),
    (["script=/bin/true"], ["local-incoming=on", "script="]),
    (["downscript=no"], ["local-incoming=on", "downscript="]),
])
def test_local_incoming_excludes_what_opens_a_tap(guest, more, words):
    process = guest.launch("-incoming", "defer", qmp=False,
                           netdev=",".join(["tap,id=n0,local-incoming=on", *more]))
    assert process.wait() == 1
    for word in words:
        assert word in process.stderr()


def test_local_incoming_needs_an_incoming_guest(guest):
    process = guest.launch(qmp=False, netdev=tap_options(guest, "local-incoming=on"))
    assert process.wait() == 1
    assert "local-incoming=on" in process.stderr() and "-incoming" in process.stderr()


def test_local_incoming_contradicts_a_device_that_keeps_its_back_end(guest):
    process = guest.launch("-incoming", "defer", qmp=False, netdev=tap_options(guest, "local-incoming=on"),
                           device=f"virtio-net-pci,netdev=n0,mac={MAC},backend-transfer=off")
    assert process.wait() == 1
    assert "local-incoming=on" in process.stderr() and "backend-transfer" in process.stderr()


@pytest.mark.parametrize("uri", ["tcp:127.0.0.1:4444", "exec:cat"])
def test_local_tap_goes_over_a_unix_socket_only(shared, uri):
    process = shared.vmms[0]
    local_tap(process)
    refused(process, "migrate", "'local-tap' requires a UNIX domain socket: file descriptors travel over it", uri=uri)
    local_tap(process, False)
