"""Saves the lab right before it takes a job, so that the next run starts from there instead of booting.

A snapshot is QEMU's migration stream in a file of the cache directory. At that point the kernel is up, its modules are
loaded, and nothing of the host is mounted or known yet: the job sets the clock, the seed, the mounts and the command.
Its name holds a digest of everything the stream depends on.
"""

import contextlib
import hashlib
import json
import os
import shlex
import tempfile
import time
from pathlib import Path

from errors import LabError

_QMP_TIMEOUT_S = 60
_POLL_S = 0.02
_UNLIMITED_BYTES_PER_S = 1 << 40


def path(boot_files, qemu, arguments):
    """Where the snapshot of a machine lies, given QEMU's arguments without file descriptors and host paths."""
    status = Path(qemu).stat()
    words = [boot_files.digest, str(status.st_size), str(status.st_mtime_ns), *arguments]
    digest = hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
    return boot_files.initramfs.with_name(f"snapshot-{digest}")


def save(qmp_socket, target):
    """Writes the snapshot, then lets the machine go on. Raises LabError; the machine goes on then, too, unless it died."""
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=".new-")
    os.close(descriptor)
    try:
        qmp = _Qmp(qmp_socket)
        qmp.execute("qmp_capabilities")
        # Not stopped first: a stream of a stopped machine would come up stopped.
        qmp.execute("migrate-set-parameters", {"max-bandwidth": _UNLIMITED_BYTES_PER_S})
        qmp.execute("migrate", {"uri": f"exec:cat >{shlex.quote(name)}"})
        qmp.wait_for_migration()
        qmp.execute("cont")
        os.rename(name, target)
    except OSError as error:
        raise LabError(f"the snapshot {target} could not be written: {error}.") from error
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


class _Qmp:
    """Just enough of QEMU's control protocol to save. Blocks."""

    def __init__(self, connection):
        connection.settimeout(_QMP_TIMEOUT_S)
        self._connection = connection
        self._lines = connection.makefile("r", encoding="utf-8")
        self._next()

    def execute(self, command, arguments=None):
        request = {"execute": command, "arguments": arguments or {}}
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        while "return" not in (answer := self._next()):
            if "error" in answer:
                raise LabError(f"QEMU refused {command}: {answer['error']['desc']}.")
        return answer["return"]

    def wait_for_migration(self):
        while (status := self.execute("query-migrate").get("status")) != "completed":
            if status in ("failed", "cancelled"):
                raise LabError("QEMU could not write the snapshot of the lab; is the disk full?")
            time.sleep(_POLL_S)

    def _next(self):
        line = self._lines.readline()
        if not line:
            raise LabError("QEMU closed its control connection.")
        return json.loads(line)
