"""Guests of a few instructions, as ELF files that QEMU and Pagurus take for -kernel (PVH)."""

import struct

_ADDRESS = 0x100000
_PHYS32_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY: where the PVH boot protocol enters, in 32-bit mode without paging
_HEADER, _PROGRAM_HEADER = 64, 56

# mov al, '!'; mov dx, 0x3f8; out dx, al; cli; hlt; jmp to hlt
TELLS_THAT_IT_RUNS = bytes([0xB0, ord("!"), 0x66, 0xBA, 0xF8, 0x03, 0xEE, 0xFA, 0xF4, 0xEB, 0xFD])

# Where the guest that touches memory counts what it has touched, and what it touches.
TOUCHED = 0x200000
_TOUCHES_FROM = 0x400000


def touches_memory(mib):
    """A guest that writes to every page of so many MiB in turn, forever, and counts the pages at TOUCHED."""
    begin, end = (struct.pack("<I", address) for address in (_TOUCHES_FROM, _TOUCHES_FROM + (mib << 20)))
    loop = b"\xff\x07"  # inc dword [edi]
    loop += b"\xff\x05" + struct.pack("<I", TOUCHED)  # inc dword [TOUCHED]
    loop += b"\x81\xc7" + struct.pack("<I", 4096)  # add edi, 4096
    loop += b"\x81\xff" + end  # cmp edi, end
    loop += bytes([0x72, 256 - len(loop) - 2])  # jb loop
    first = b"\xbf" + begin  # mov edi, begin
    return first + loop + bytes([0xEB, 256 - len(first) - len(loop) - 2])  # jmp first


def write(path, code):
    note = struct.pack("<III", 4, 4, _PHYS32_ENTRY) + b"Xen\0" + struct.pack("<I", _ADDRESS)
    note_at = _HEADER + 2 * _PROGRAM_HEADER
    code_at = 0x1000
    elf = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, _ADDRESS, _HEADER, 0, 0, _HEADER, _PROGRAM_HEADER, 2, 0, 0, 0)
    for kind, flags, offset, address, size in ((1, 5, code_at, _ADDRESS, len(code)), (4, 4, note_at, 0, len(note))):
        elf += struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, 4)
    path.write_bytes((elf + note).ljust(code_at, b"\0") + code)
    return path
