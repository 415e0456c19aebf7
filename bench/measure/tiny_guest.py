"""A guest of six instructions: by its first ones it tells the serial port that it runs, and then it sleeps."""

import struct

_ADDRESS = 0x100000
_PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY: where the PVH boot protocol enters
# mov al, '!'; mov dx, 0x3f8; out dx, al; cli; hlt; jmp to hlt
_CODE = bytes([0xB0, ord("!"), 0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xFA, 0xF4, 0xEB, 0xFD])
_HEADER, _PROGRAM_HEADER = 64, 56


def write(path):
    """An ELF file that QEMU and Pagurus take for -kernel."""
    note = struct.pack("<III", 4, 4, _PHYS32_ENTRY) + b"Xen\0" + struct.pack("<I", _ADDRESS)
    note_at = _HEADER + 2 * _PROGRAM_HEADER
    code_at = 0x1000
    elf = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _ADDRESS, _HEADER, 0, 0, _HEADER, _PROGRAM_HEADER, 2, 0, 0, 0)
    for kind, flags, offset, address, size in ((1, 5, code_at, _ADDRESS, len(_CODE)), (4, 4, note_at, 0, len(note))):
        elf += struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, 4)
    path.write_bytes((elf + note).ljust(code_at, b"\0") + _CODE)
    return path
