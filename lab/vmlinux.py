"""Takes the uncompressed kernel out of a bzImage, for QEMU to boot by its PVH entry.

Under a software CPU the kernel's own decompressor takes longer than the rest of the boot, so the nested test host boots
an image unpacked once by the real CPU.
"""

import lzma
import struct

# Offsets of the setup header: Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
_SETUP_SECTORS = 0x1F1
_MAGIC = 0x202
_PAYLOAD_OFFSET = 0x248
_XZ_MAGIC = b"\xfd7zXZ\0"


def unpack(image):
    """The ELF image inside a bzImage (bytes to bytes), or None if its compression is not xz."""
    if image[_MAGIC : _MAGIC + 4] != b"HdrS":
        return None
    protected_mode_start = ((image[_SETUP_SECTORS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, _PAYLOAD_OFFSET)
    payload = image[protected_mode_start + offset :][:length]
    if not payload.startswith(_XZ_MAGIC):
        return None
    elf = lzma.LZMADecompressor().decompress(payload)
    return elf if elf.startswith(b"\x7fELF") else None
