"""A small host at the other end of a guest's network: Ethernet, ARP, IPv4 and UDP over a socket, as Python does it.

The guest's netdev is a socket of this process, so nothing of the kernel's network takes part.
"""

import collections
import contextlib
import fcntl
import multiprocessing
import os
import select
import socket
import struct
import threading
import time

MAC = bytes.fromhex("525400000001")
ECHO_PORT, CONTROL_PORT, OUR_PORT = 7, 4242, 9000


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp_frame(source, destination, destination_mac, port, payload):
    udp = struct.pack("!HHHH", OUR_PORT, port, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, destination)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return destination_mac + MAC + b"\x08\x00" + header + udp


class StreamWire:
    """Frames behind their length, 32 bits in network byte order."""

    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""

    @staticmethod
    def framed(frame):
        return struct.pack("!I", len(frame)) + frame

    def send(self, frame):
        self.sock.sendall(self.framed(frame))

    def receive(self, deadline):
        """The next frame, or None when the time is over."""
        while True:
            if len(self.buffer) >= 4:
                size = struct.unpack("!I", self.buffer[:4])[0]
                if len(self.buffer) >= 4 + size:
                    frame, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                    return frame
            if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
                return None
            data = self.sock.recv(1 << 16)
            if not data:
                raise ConnectionError("the guest's end is closed")
            self.buffer += data


class DgramWire:
    """A frame in a datagram."""

    def __init__(self, sock, to=None):
        self.sock = sock
        self.to = to

    def send(self, frame):
        if self.to:
            self.sock.sendto(frame, self.to)
        else:
            self.sock.send(frame)

    def receive(self, deadline):
        if not select.select([self.sock], [], [], max(0, deadline - time.monotonic()))[0]:
            return None
        return self.sock.recv(1 << 16)


class Plug:
    """Joins a wire to a TAP, so that the host's kernel is at its other end; by a process of its own."""

    # Frames per second; it is the tests' program, and loses some by itself above.
    MOST = 2500

    def __init__(self, wire, tap):
        self.wire = wire
        self.tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(self.tun, 0x400454CA, struct.pack("16sH22x", tap.name.encode(), 0x1002))  # TUNSETIFF: IFF_TAP, IFF_NO_PI
        # What the guest cannot take is to wait in the TAP's queue, not here.
        wire.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.process = multiprocessing.get_context("fork").Process(target=self.run)

    def run(self):
        threading.Thread(target=self.transmit, daemon=True).start()
        with contextlib.suppress(ConnectionError):
            while True:
                if frame := self.wire.receive(time.monotonic() + 3600):
                    os.write(self.tun, frame)

    def transmit(self):
        while True:
            self.wire.send(os.read(self.tun, 2048))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.join()
        os.close(self.tun)


class Host:
    """Talks to the probe guest at the other end of a wire."""

    def __init__(self, wire, guest_ip, guest_mac, host_ip):
        self.wire = wire
        self.guest_ip = socket.inet_aton(guest_ip)
        self.guest_mac = bytes.fromhex(guest_mac.replace(":", ""))
        self.ip = socket.inet_aton(host_ip)
        self.sent = 0
        self.echoed = collections.Counter()

    def frame(self, port, payload):
        return udp_frame(self.ip, self.guest_ip, self.guest_mac, port, payload)

    def datagram(self, deadline):
        """The payload and source port of the next UDP datagram; ARP is answered meanwhile."""
        while (frame := self.wire.receive(deadline)) is not None:
            kind = frame[12:14]
            if kind == b"\x08\x06" and frame[20:22] == b"\0\x01" and frame[38:42] == self.ip:
                reply = frame[14:20] + b"\0\x02" + MAC + self.ip + frame[22:32]
                self.wire.send(frame[6:12] + MAC + b"\x08\x06" + reply)
            elif kind == b"\x08\x00" and frame[23] == 17:
                start = 14 + (frame[14] & 15) * 4
                port, _, length = struct.unpack("!HHH", frame[start:start + 6])
                return port, frame[start + 8:start + length]
        return None

    def probe(self):
        """Sends one numbered datagram to the guest's echo service."""
        self.wire.send(self.frame(ECHO_PORT, struct.pack("!Q", self.sent) + bytes(56)))
        self.sent += 1

    def listen(self, seconds):
        """Counts what comes back."""
        deadline = time.monotonic() + seconds
        while (received := self.datagram(deadline)) is not None:
            if received[0] == ECHO_PORT:
                self.echoed[struct.unpack("!Q", received[1][:8])[0]] += 1

    def listen_for_all(self, timeout=10.0):
        deadline = time.monotonic() + timeout
        while self.outstanding() and time.monotonic() < deadline:
            self.listen(0.05)

    def outstanding(self):
        return self.sent - len(self.echoed)

    def lost(self):
        return [number for number in range(self.sent) if number not in self.echoed]

    def duplicated(self):
        return [number for number, count in self.echoed.items() if count > 1]

    def ask(self, command="stats", timeout=5.0):
        """An answer of the guest's control service, as text; None if there is none."""
        self.wire.send(self.frame(CONTROL_PORT, f"{command} t0\n".encode()))
        deadline = time.monotonic() + timeout
        while (received := self.datagram(deadline)) is not None:
            if received[0] == CONTROL_PORT:
                return received[1].decode()
        return None

    def wait_for_guest(self, timeout=60.0):
        deadline = time.monotonic() + timeout
        while self.ask(timeout=0.5) is None:
            assert time.monotonic() < deadline, "the guest does not answer"
