"""A guest that comes to its end while it is being handed over: it stays where it was, and its end is told there."""

import socket
import struct
import time

import pytest

import network
import peer
from false_destination import FalseDestination
from guest import end, migration, settled
from peer import Listener
from qmp import QmpError
from vmm import Vmm, eventually

ENTRY = 0x100000

# 32-bit code: waits for a byte on the serial port, then jumps to where there is nothing to execute.
CODE = bytes.fromhex("66 ba fd 03"           # mov $0x3fd, %dx
                     "f3 90"                 # again: pause
                     "ec a8 01 74 f9"        # in (%dx), %al; test $1, %al; jz again
                     "b8 00 00 00 d0 ff e0"  # mov $0xd0000000, %eax; jmp *%eax
                     )
# The same, half a second or so after the byte.
SLOW_CODE = CODE[:-7] + bytes.fromhex("0f 31 89 c1"                    # rdtsc; mov %eax, %ecx
                                      "0f 31 29 c8"                    # again: rdtsc; sub %ecx, %eax
                                      "3d 00 00 00 60 72 f5"           # cmp $0x60000000, %eax; jb again
                                      ) + CODE[-7:]


def pvh_elf(code):
    """An ELF image with the note that names a PVH entry, and one loadable segment."""
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", ENTRY)
    headers = 64 + 2 * 56
    code_at = headers + len(note)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, ENTRY, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 4, 4, headers, 0, 0, len(note), len(note), 4)
    elf += struct.pack("<IIQQQQQQ", 1, 5, code_at, ENTRY, ENTRY, len(code), len(code), 1)
    return elf + note + code


@pytest.fixture
def doomed(directory):
    """Starts a source with such a guest; migrates it to what the test itself is."""
    tap = network.Tap()
    listener = Listener(directory / "false")
    sources = []

    def start(code):
        image = directory / "doomed.elf"
        image.write_bytes(pvh_elf(code))
        console = directory / "console"
        source = Vmm(directory, "doomed", ["-machine", "pagurus-1.2", "-m", "64M", "-kernel", image,
                                           "-netdev", f"tap,id=n0,ifname={tap.name}", "-device", "virtio-net-pci,netdev=n0",
                                           "-serial", f"unix:{console},server=on,wait=off"])
        sources.append(source)
        return source, console, listener

    yield start
    for source in sources:
        end(source)
    listener.close()
    tap.remove()


@pytest.mark.probe
def test_an_internal_error_before_the_pause_keeps_the_guest_here(doomed):
    source, console, listener = doomed(CODE)
    destination = FalseDestination(source, listener)
    destination.take_prepare()
    type_on(console)
    eventually(lambda: source.status() == "internal-error", 10.0, "the guest's end")
    destination.ready()
    info = settled(source)
    assert info["status"] == "failed" and "internal-error" in info["error-desc"], info
    assert source.status() == "internal-error"
    assert source.stderr().count("vCPU 0:") == 1
    destination.peer.close()
    with pytest.raises(Exception, match="internal-error"):
        source.qmp.command("migrate", uri=f"unix:{listener.path}")


@pytest.mark.faults
@pytest.mark.parametrize("way_out", ["migrate-continue", "migrate_cancel"])
def test_an_internal_error_in_the_last_moment_keeps_the_guest_here(doomed, way_out):
    """Between the last look at the guest and its stop it fails; the operator is waited for meanwhile."""
    source, console, listener = doomed(SLOW_CODE)
    source.qmp.command("migrate-set-capabilities",
                       capabilities=[{"capability": "pause-before-switchover", "state": True}])
    destination = FalseDestination(source, listener)
    destination.take_prepare()
    source.qmp.command("x-inject-fault", point="source.stop.before", kind="delay", delay_ms=3000)
    type_on(console)
    time.sleep(0.1)
    destination.ready()
    eventually(lambda: migration(source)["status"] == "pre-switchover", 20.0, "the wait")
    for command in ("system_reset", "cont", "stop"):
        with pytest.raises(QmpError, match="on its way to another process"):
            source.qmp.command(command)
    assert source.status() == "finish-migrate"
    source.qmp.command(way_out, **({"state": "pre-switchover"} if way_out == "migrate-continue" else {}))
    info = settled(source)
    if way_out == "migrate-continue":
        assert info["status"] == "failed" and "internal error" in info["error-desc"], info
    eventually(lambda: source.status() == "internal-error", 5.0, "the guest's end")
    assert destination.peer.receive().kind == peer.REFUSED
    destination.peer.close()
    events = [e["event"] for e in source.qmp.collect_events(0.1) if e["event"] in ("STOP", "RESUME")]
    assert events == ["STOP", "RESUME", "STOP"], events


def type_on(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        client.sendall(b"x")
