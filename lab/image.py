"""The files the nested test host boots from: Debian's kernel, unpacked, and a small initramfs of our own.

Both are made once and kept in the cache directory under a name that contains a digest of what they were made from.
"""

import hashlib
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import initramfs
import vmlinux
from errors import LabError

_BUSYBOX = Path("/bin/busybox")
_MODULES = ["virtio_pci", "9p", "9pnet_virtio", "virtio_console", "kvm_amd", "tun", "vhost_net"]
# A halted guest's vCPU thread would otherwise spin for a while, which costs everything else its software CPU.
_PARAMETERS = {"kvm": ["halt_poll_ns=0"]}


@dataclass(frozen=True)
class BootFiles:
    kernel: Path
    initramfs: Path
    modules: Path  # for modprobe -d
    cache: Path
    digest: str


def prepare(repository):
    """Makes or finds the boot files; downloads the kernel the first time."""
    cache = Path(os.environ.get("PAGURUS_CACHE") or repository / "build/cache").resolve()
    kernel_directory = cache / "kernel-amd64"
    if not (kernel_directory / "release").exists():
        _fetch_kernel(repository)
    if not _BUSYBOX.exists():
        raise LabError("/bin/busybox is missing; run scripts/install-packages as root.")

    digest = _digest(kernel_directory)
    directory = cache / "lab"
    kernel = directory / f"vmlinux-{digest}"
    packed = directory / f"initramfs-{digest}"
    if not (kernel.exists() and packed.exists()):
        directory.mkdir(exist_ok=True)
        for stale in directory.glob("[!.]*"):
            stale.unlink(missing_ok=True)
        bzimage = (kernel_directory / "vmlinuz").read_bytes()
        _write(kernel, vmlinux.unpack(bzimage) or bzimage)
        _write(packed, _initramfs(kernel_directory))
    return BootFiles(kernel, packed, kernel_directory / "modules", cache, digest)


def _fetch_kernel(repository):
    result = subprocess.run([repository / "scripts/fetch-kernels", "amd64"], stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        raise LabError("the lab's kernel could not be fetched (scripts/fetch-kernels says why above).")


def _digest(kernel_directory):
    hasher = hashlib.sha256()
    for path in (kernel_directory / "vmlinuz", _BUSYBOX):
        status = path.stat()
        hasher.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    for name in ("image.py", "initramfs.py", "vmlinux.py", "init"):
        hasher.update((Path(__file__).parent / name).read_bytes())
    return hasher.hexdigest()[:16]


def _initramfs(kernel_directory):
    archive = initramfs.Archive()
    for directory in ("bin", "dev", "proc", "sys", "root"):
        archive.add_directory(directory)
    archive.add_console()
    archive.add_file("bin/busybox", _BUSYBOX.read_bytes(), 0o755)
    archive.add_file("init", (Path(__file__).parent / "init").read_bytes(), 0o755)
    try:
        initramfs.add_modules(archive, initramfs.Modules(kernel_directory), _MODULES, _PARAMETERS)
    except (LookupError, OSError) as error:
        raise LabError(f"the lab's initramfs cannot be made: {error}; try scripts/fetch-kernels --force.") from error
    return archive.to_bytes()


def _write(path, content):
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as temporary:
        temporary.write(content)
    os.chmod(temporary.name, 0o644)
    os.rename(temporary.name, path)
