"""Builds initramfs images: a newc cpio writer and the load order of kernel modules.

Both the nested test host (lab/run) and the stock guest of the tests (tests/guest/make-initramfs) boot from a few files
that this module packs. It runs as an ordinary user, needs no cpio program, and the same inputs give the same bytes:
times, owners and inode numbers are constants.
"""

import stat
from pathlib import Path


class Archive:
    """A cpio archive in memory, in the "newc" format of the kernel's Documentation/driver-api/early-userspace."""

    def __init__(self):
        self._chunks = []
        self._names = set()

    def add_directory(self, name):
        self._add(name, stat.S_IFDIR | 0o755, b"")

    def add_file(self, name, content, mode=0o644):
        self._add(name, stat.S_IFREG | mode, content)

    def add_symlink(self, name, target):
        self._add(name, stat.S_IFLNK | 0o777, target.encode())

    def add_console(self):
        """The device node that gives /init its standard streams: the kernel opens it before devtmpfs is mounted."""
        self._add("dev/console", stat.S_IFCHR | 0o600, b"", device=(5, 1))

    def to_bytes(self):
        return b"".join(self._chunks) + self._entry("TRAILER!!!", 0, 0, b"", (0, 0))

    def _add(self, name, mode, content, device=(0, 0)):
        name = name.strip("/")
        parent = str(Path(name).parent)
        if parent != "." and parent not in self._names:
            self.add_directory(parent)
        if name in self._names:
            return
        self._names.add(name)
        self._chunks.append(self._entry(name, len(self._names), mode, content, device))

    @staticmethod
    def _entry(name, inode, mode, content, device):
        encoded = name.encode() + b"\0"
        fields = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(encoded), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields)
        return _padded(header + encoded) + _padded(content)


class Modules:
    """The modules below an unpacked kernel directory, as scripts/fetch-kernels leaves it."""

    def __init__(self, kernel_directory):
        kernel_directory = Path(kernel_directory)
        self.release = (kernel_directory / "release").read_text().strip()
        self._root = kernel_directory / "modules/lib/modules" / self.release
        self._path_of = {}
        self._needs = {}
        for line in (self._root / "modules.dep").read_text().splitlines():
            path, _, needs = line.partition(":")
            self._path_of[_module_name(path)] = path
            self._needs[_module_name(path)] = [_module_name(need) for need in needs.split()]
        self._builtin = {_module_name(path) for path in (self._root / "modules.builtin").read_text().split()}

    def in_load_order(self, wanted):
        """(name, path) of the wanted modules and all they need, each after what it depends on."""
        ordered = []
        for name in wanted:
            self._visit(_module_name(name), ordered)
        return [(name, self._root / self._path_of[name]) for name in ordered]

    def _visit(self, name, ordered):
        if name in ordered or name in self._builtin:
            return
        if name not in self._path_of:
            raise LookupError(f"kernel {self.release} has no module {name}")
        for need in self._needs[name]:
            self._visit(need, ordered)
        ordered.append(name)


def add_modules(archive, modules, wanted, parameters=None):
    """Puts modules into /modules and their load order into /modules/order: one "FILE PARAMETERS..." a line."""
    parameters = parameters or {}
    lines = []
    for name, path in modules.in_load_order(wanted):
        archive.add_file(f"modules/{path.name}", path.read_bytes())
        lines.append(" ".join([path.name, *parameters.get(name, [])]))
    archive.add_file("modules/order", "".join(line + "\n" for line in lines).encode())


def _module_name(path):
    return Path(path).name.split(".")[0].replace("-", "_")


def _padded(data):
    return data + b"\0" * (-len(data) % 4)
