"""Speaks the hand-over's protocol from either end, as well or as badly as a test wants.

Frames are described in src/wire/frame.h, messages in src/wire/messages.h, their encoding in
src/vmstate/stream.h.  Written again here, so that an error in one is no error in both.
"""

import array
import fcntl
import mmap
import os
import socket
import struct
import zlib

MAGIC = b"PGRS"
VERSION = 1
HELLO, WELCOME, PREPARE, READY, STATE, RUNNING, REFUSED, PREPARE_COPY, RAM, LOADED, GO = range(1, 12)
OWNED_BY_SOURCE, OWNED_BY_DESTINATION, TAKEN_BACK = 1, 2, 3
HEADER = struct.Struct("<4sHHIIII")


def text(value):
    data = value.encode()
    return struct.pack("<I", len(data)) + data


def text_list(values):
    return struct.pack("<I", len(values)) + b"".join(text(value) for value in values)


def frame(kind, body=b"", fds=0, magic=MAGIC, version=VERSION, length=None, crc=None):
    """A whole frame; what is given besides kind, body and fds makes it a wrong one."""
    return HEADER.pack(magic, version, kind, len(body) if length is None else length, fds,
                       zlib.crc32(body) if crc is None else crc, 0) + body


class Section:
    """Where a section lies in a message: .begin and .end of the whole, .indices of its descriptors, which are at .fds."""

    def __init__(self, body, begin):
        self.begin = begin
        size, = struct.unpack_from("<I", body, begin)
        self.name = body[begin + 4:begin + 4 + size].decode()
        at = begin + 4 + size + 3
        size, = struct.unpack_from("<I", body, at)
        self.bytes = at + 4
        self.fds = self.bytes + size + 4
        count, = struct.unpack_from("<I", body, self.fds - 4)
        self.indices = struct.unpack_from(f"<{count}I", body, self.fds)
        self.end = self.fds + 4 * count


def sections_of(kind, body):
    """The sections of a PREPARE or STATE, in their order."""
    at = {PREPARE: 8, STATE: 9}[kind]
    count, = struct.unpack_from("<I", body, at)
    sections = []
    for _ in range(count):
        sections.append(Section(body, sections[-1].end if sections else at + 4))
    assert sections[-1].end == len(body)
    return sections


class Received:
    def __init__(self, kind, body, fds):
        self.kind, self.body, self.fds = kind, body, fds

    def reason(self):
        """Of REFUSED."""
        return self.body[4:].decode()

    def close(self):
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Peer:
    """One end of a channel."""

    def __init__(self, sock):
        self.socket = sock
        self.socket.settimeout(10)
        self.bytes = b""
        self.fds = []

    @classmethod
    def connect(cls, path):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        return cls(sock)

    def send(self, data, fds=()):
        if fds:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
            sent = self.socket.sendmsg([data], rights)
            data = data[sent:]
        if data:
            self.socket.sendall(data)

    def receive(self):
        """The next message; None at the end of the channel."""
        while True:
            if len(self.bytes) >= HEADER.size:
                magic, version, kind, length, fds, crc, _ = HEADER.unpack_from(self.bytes)
                assert (magic, version) == (MAGIC, VERSION)
                if len(self.bytes) >= HEADER.size + length:
                    body = self.bytes[HEADER.size:HEADER.size + length]
                    assert zlib.crc32(body) == crc
                    self.bytes = self.bytes[HEADER.size + length:]
                    taken, self.fds = self.fds[:fds], self.fds[fds:]
                    return Received(kind, body, taken)
            try:
                data, fds, _, _ = socket.recv_fds(self.socket, 1 << 18, 250)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self.bytes += data
            self.fds += fds

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Listener:
    """A false destination's socket."""

    def __init__(self, path):
        self.path = str(path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        self.socket.listen()
        self.socket.settimeout(10)

    def accept(self):
        return Peer(self.socket.accept()[0])

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def sealed_memfd(size, seals=fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL):
    fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class OwnershipWord:
    """The word that says who may run the guest, as its memfd's holder sees it."""

    def __init__(self, fd):
        self.map = mmap.mmap(fd, 4096)

    @property
    def value(self):
        return struct.unpack_from("<I", self.map)[0]

    @value.setter
    def value(self, value):
        struct.pack_into("<I", self.map, 0, value)
