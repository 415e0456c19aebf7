"""A guest that comes to its end while it is being handed over: it stays where it was, and its end is told there."""

import socket
import struct

import pytest

import network
from false_destination import FalseDestination
from guest import end, settled
from peer import Listener
from vmm import Vmm, eventually

pytestmark = pytest.mark.probe

ENTRY = 0x100000

# 32-bit code: waits for a byte on the serial port, then jumps to where there is nothing to execute.
CODE = bytes.fromhex("66 ba fd 03"           # mov $0x3fd, %dx
                     "f3 90"                 # again: pause
                     "ec a8 01 74 f9"        # in (%dx), %al; test $1, %al; jz again
                     "b8 00 00 00 d0 ff e0"  # mov $0xd0000000, %eax; jmp *%eax
                     )


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


def test_an_internal_error_before_the_pause_keeps_the_guest_here(directory):
    image = directory / "doomed.elf"
    image.write_bytes(pvh_elf(CODE))
    tap = network.Tap()
    listener = Listener(directory / "false")
    console = directory / "console"
    source = Vmm(directory, "doomed", ["-machine", "pagurus-1.1", "-m", "64M", "-kernel", image,
                                       "-netdev", f"tap,id=n0,ifname={tap.name}", "-device", "virtio-net-pci,netdev=n0",
                                       "-serial", f"unix:{console},server=on,wait=off"])
    try:
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
    finally:
        end(source)
        listener.close()
        tap.remove()


def type_on(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
        client.sendall(b"x")
