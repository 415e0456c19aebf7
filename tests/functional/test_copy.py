"""Migration that is not local: RAM is copied, over a UNIX socket, over TCP, into a file and out of it."""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import threading
import time

import pytest

import network
import peer
from false_destination import held_by
from guest import MAC, UdpProbe, give, hand_over, migration, prepare, settled
from peer import Listener, Peer, frame
from qmp import QmpError
from test_handover import move_addresses, other_tap, same_guest
from vmm import eventually

pytestmark = pytest.mark.probe

MIB = 1 << 20


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def uri_of(way, guest):
    return {"unix": f"unix:{guest.directory}/copy", "tcp": f"tcp:127.0.0.1:{free_port()}"}[way]


def waiting(guest, uri, *more, **arguments):
    """A destination on a TAP of its own, without backend-transfer."""
    tap = other_tap(guest)
    process = guest.destination(*more, netdev=f"tap,id=n0,ifname={tap.name},script=no,downscript=no")
    prepare(process, backend_transfer=False)
    process.qmp.command("migrate-incoming", uri=uri, **arguments)
    process.incoming = uri
    return process, tap


def copy(guest, source, uri, **parameters):
    """A whole migration; the guest is reachable behind its new TAP afterwards."""
    destination, tap = waiting(guest, uri)
    prepare(source, backend_transfer=False)
    if parameters:
        source.qmp.command("migrate-set-parameters", **parameters)
    info = give(source, uri, timeout=60)
    assert info["status"] == "completed", info
    assert settled(destination)["status"] == "completed"
    assert source.status() == "postmigrate"
    move_addresses(guest.tap, tap)
    tap.host, tap.guest = guest.tap.host, guest.tap.guest
    guest.taps.remove(tap)
    guest.taps.insert(0, tap)
    return destination, info



@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_a_running_guest_is_copied(guest, way):
    source = guest.boot()
    before = guest.ask()
    destination, info = copy(guest, source, uri_of(way, guest))
    ram = info["ram"]
    assert ram["total"] == 64 * MIB and ram["page-size"] == 4096 and ram["remaining"] == 0
    assert ram["normal"] > 256 and ram["normal-bytes"] == ram["normal"] * 4096
    # What the guest never touched is not sent.
    assert ram["normal-bytes"] + ram["duplicate"] * 4096 < 64 * MIB
    assert ram["dirty-sync-count"] >= 2
    assert ram["transferred"] == ram["precopy-bytes"] + ram["downtime-bytes"] >= ram["normal-bytes"]
    names = [phase["name"] for phase in info["phases"]]
    assert names[:3] == ["hello", "prepare", "copy"], names
    source.quit()
    assert destination.status() == "running"
    same_guest(before, guest.ask())
    guest.check()


def test_a_copied_guest_goes_on_by_every_way(guest):
    """Copied by TCP, handed over, copied by a UNIX socket, handed over."""
    process = guest.boot()
    before = guest.ask()
    for way in ("tcp", "unix"):
        successor, _ = copy(guest, process, uri_of(way, guest))
        process.quit()
        guest.options["netdev"] = f"tap,id=n0,ifname={guest.tap.name},script=no,downscript=no"
        process = guest.destination()
        assert hand_over(successor, process)["status"] == "completed"
        successor.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_a_guest_in_a_file_is_loaded_and_runs_on(guest, directory):
    source = guest.boot()
    before = guest.ask()
    path = directory / "saved"
    prepare(source, backend_transfer=False)
    info = give(source, f"file:{path}")
    assert info["status"] == "completed", info
    assert source.status() == "postmigrate"
    assert os.stat(path).st_mode & 0o777 == 0o600
    source.quit()
    assert not guest.answers(0.3)
    loaded = guest.launch("-incoming", f"file:{path}")
    eventually(lambda: loaded.status() == "running", 20.0, "the guest")
    same_guest(before, guest.ask())
    guest.check()
    # The file is as good as before.
    loaded.quit()
    again = guest.launch("-incoming", "defer", "-S")
    again.qmp.command("migrate-incoming", uri=f"file:{path}")
    eventually(lambda: again.status() == "paused", 20.0, "the guest")
    again.qmp.command("cont")
    same_guest(before, guest.ask())
    guest.check()


def test_a_saved_guest_can_be_continued_where_it_was(guest, directory):
    source = guest.boot()
    before = guest.ask()
    prepare(source, backend_transfer=False)
    for _ in range(2):
        assert give(source, f"file:{directory}/saved")["status"] == "completed"
        source.qmp.command("cont")
        assert source.status() == "running"
        same_guest(before, guest.ask())
    guest.check()


def test_a_paused_guest_is_saved_and_loaded_paused(guest, directory):
    source = guest.boot()
    source.qmp.command("stop")
    prepare(source, backend_transfer=False)
    assert give(source, f"file:{directory}/saved")["status"] == "completed"
    source.quit()
    loaded = guest.launch("-incoming", f"file:{directory}/saved")
    eventually(lambda: loaded.status() == "paused", 20.0, "the guest")
    assert not guest.answers(0.3)
    loaded.qmp.command("cont")
    guest.check()


@pytest.fixture
def saved(guest, directory):
    source = guest.boot()
    prepare(source, backend_transfer=False)
    assert give(source, f"file:{directory}/saved")["status"] == "completed"
    source.quit()
    return directory / "saved"


def test_a_file_that_is_cut_is_refused_wherever_it_ends(guest, saved):
    size = saved.stat().st_size
    for cut in (0, 1, 23, 24, 500, size // 2, size - 5000, size - 1):
        short = saved.with_name("cut")
        short.write_bytes(saved.read_bytes()[:cut])
        process = guest.launch("-incoming", f"file:{short}", qmp=False)
        assert process.wait(20) == 1
        assert "the file ends in the middle" in process.stderr(), (cut, process.stderr())
        process.qmp_path.unlink(missing_ok=True)


def test_a_file_that_is_damaged_is_refused(guest, saved):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes(data)
    process = guest.launch("-incoming", f"file:{saved}", qmp=False)
    assert process.wait(20) == 1
    assert "damaged" in process.stderr()
    process.qmp_path.unlink(missing_ok=True)


def test_a_file_of_another_machine_is_refused_in_words(guest, saved):
    process = guest.launch("-incoming", f"file:{saved}", qmp=False, memory="128M")
    assert process.wait(20) == 1
    assert "RAM size" in process.stderr()
    process.qmp_path.unlink(missing_ok=True)


def test_reading_a_file_is_told_like_any_migration(guest, saved):
    process = guest.destination(memory="128M")
    prepare(process, backend_transfer=False)
    process.qmp.command("migrate-incoming", uri=f"file:{saved}", exit_on_error=False)
    info = settled(process)
    assert info["status"] == "failed" and "RAM size" in info["error-desc"], info
    process.quit()
    process = guest.destination()
    prepare(process, backend_transfer=False)
    process.qmp.command("migrate-incoming", uri=f"file:{saved}")
    assert settled(process)["status"] == "completed"
    events = [e["data"]["status"] for e in process.qmp.collect_events(0.1) if e["event"] == "MIGRATION"]
    assert events == ["setup", "active", "device", "completed"], events


def test_a_fifo_is_no_file(guest, directory):
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    source = guest.boot()
    prepare(source, backend_transfer=False)
    with pytest.raises(QmpError, match="fifo"):
        source.qmp.command("migrate", uri=f"file:{fifo}")
    waits = guest.launch("-incoming", "defer")
    with pytest.raises(QmpError, match="not a regular file"):
        waits.qmp.command("migrate-incoming", uri=f"file:{fifo}")


def test_a_disk_that_is_full_leaves_the_guest_where_it_was(guest, directory):
    source = guest.boot()
    prepare(source, backend_transfer=False)
    small = directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=True)
    try:
        info = give(source, f"file:{small}/saved")
        assert info["status"] == "failed" and "No space left" in info["error-desc"], info
        assert source.status() == "running"
        guest.check()
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert give(source, f"file:{directory}/saved")["status"] == "completed"


def test_bandwidth_is_limited_and_the_limit_can_be_lifted(guest):
    source = guest.boot()
    uri = uri_of("tcp", guest)
    destination, _ = waiting(guest, uri)
    prepare(source, backend_transfer=False)
    source.qmp.command("migrate-set-parameters", max_bandwidth=64 * 1024)
    source.qmp.command("migrate", uri=uri)
    time.sleep(0.5)
    info = migration(source)
    assert info["status"] == "active"
    # The first message is whole, however large; then the limit holds.
    assert 0 < info["ram"]["transferred"] < 3 * MIB and info["ram"]["remaining"] > 0, info
    assert source.status() == "running"
    with pytest.raises(QmpError, match="in progress"):
        source.qmp.command("migrate-set-parameters", stall_timeout=1000)
    source.qmp.command("migrate-set-parameters", max_bandwidth=0)
    assert settled(source)["status"] == "completed"
    assert settled(destination)["status"] == "completed"


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_a_copy_is_cancelled_and_made_again(guest, way):
    source = guest.boot()
    before = guest.ask()
    files = held_by(source)
    uri = uri_of(way, guest)
    destination, tap = waiting(guest, uri)
    prepare(source, backend_transfer=False)
    source.qmp.command("migrate-set-parameters", max_bandwidth=64 * 1024)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: migration(source).get("ram", {}).get("normal", 0) > 0, 10.0, "the copying")
    source.qmp.command("migrate_cancel")
    assert settled(source)["status"] == "cancelled"
    assert destination.wait() == 1
    assert "cancelled" in destination.stderr()
    eventually(lambda: held_by(source) == files, 5.0, "the same descriptors as before")
    same_guest(before, guest.ask())
    guest.taps.remove(tap)
    tap.remove()
    copy(guest, source, uri_of(way, guest), max_bandwidth=0)
    source.quit()
    same_guest(before, guest.ask())
    guest.check()


def test_a_destination_that_dies_while_copying_changes_nothing(guest):
    source = guest.boot()
    uri = uri_of("tcp", guest)
    destination, _ = waiting(guest, uri)
    prepare(source, backend_transfer=False)
    source.qmp.command("migrate-set-parameters", max_bandwidth=64 * 1024)
    source.qmp.command("migrate", uri=uri)
    eventually(lambda: migration(source).get("ram", {}).get("normal", 0) > 0, 10.0, "the copying")
    destination.process.kill()
    destination.wait()
    source.qmp.command("migrate-set-parameters", max_bandwidth=0)
    info = settled(source)
    assert info["status"] == "failed", info
    assert source.status() == "running"
    guest.check()


def test_nobody_listens(guest):
    source = guest.boot()
    prepare(source, backend_transfer=False)
    with pytest.raises(QmpError, match="Connection refused"):
        source.qmp.command("migrate", uri=f"tcp:127.0.0.1:{free_port()}")
    assert source.status() == "running"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def refuse_a_connection(tun, delay):
    """Answers the first SYN that leaves through a TUN with RST, as a host behind a longer wire does."""
    while (syn := os.read(tun, 2000))[0] != 0x45 or syn[9] != socket.IPPROTO_TCP:
        pass
    time.sleep(delay)
    addresses = syn[16:20] + syn[12:16]
    port, to_port, sequence = struct.unpack_from("!HHI", syn, 20)
    rst = struct.pack("!HHIIBBHHH", to_port, port, 0, sequence + 1, 0x50, 0x14, 0, 0, 0)
    rst = rst[:16] + checksum(addresses + struct.pack("!HH", socket.IPPROTO_TCP, len(rst)) + rst) + rst[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + addresses
    os.write(tun, header[:10] + checksum(header) + header[12:] + rst)


def test_nobody_listens_on_a_host_far_away(guest):
    """The refusal comes when HELLO waits to be sent."""
    source = guest.boot()
    prepare(source, backend_transfer=False)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH22x", b"faraway", 0x1001))  # TUNSETIFF: IFF_TUN, IFF_NO_PI
    network.ip("address", "add", "10.99.0.1/24", "dev", "faraway")
    network.ip("link", "set", "faraway", "up")
    host = threading.Thread(target=refuse_a_connection, args=(tun, 0.1))
    host.start()
    source.qmp.command("migrate", uri="tcp:10.99.0.2:9")
    info = settled(source)
    host.join()
    os.close(tun)
    assert info["status"] == "failed" and "Connection refused" in info["error-desc"], info
    assert source.status() == "running"


def test_a_file_answers_nothing_so_return_path_excludes_it(shared, directory):
    source = shared.vmms[0]
    prepare(source, backend_transfer=False)
    on = [{"capability": "return-path", "state": True}]
    source.qmp.command("migrate-set-capabilities", capabilities=on)
    with pytest.raises(QmpError, match="return-path"):
        source.qmp.command("migrate", uri=f"file:{directory}/x")
    on[0]["state"] = False
    source.qmp.command("migrate-set-capabilities", capabilities=on)
    assert not (directory / "x").exists()


class FalseTcpDestination:
    """Takes part in a copy over TCP as far as a test wants."""

    def __init__(self, source):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        prepare(source, backend_transfer=False)
        source.qmp.command("migrate", uri=f"tcp:127.0.0.1:{self.listener.getsockname()[1]}")
        self.peer = Peer(self.listener.accept()[0])
        assert self.peer.receive().kind == peer.HELLO
        self.peer.send(frame(peer.WELCOME, peer.text("0") + peer.text_list([]) + peer.text_list([])))
        assert self.peer.receive().kind == peer.PREPARE_COPY
        self.peer.send(frame(peer.READY, struct.pack("<Q", 1)))

    def take_state(self):
        while (message := self.peer.receive()).kind == peer.RAM:
            pass
        assert message.kind == peer.STATE

    def close(self):
        self.peer.close()
        self.listener.close()


def test_before_go_the_source_takes_the_guest_back(guest):
    source = guest.boot()
    false = FalseTcpDestination(source)
    false.take_state()
    false.close()
    info = settled(source)
    assert info["status"] == "failed" and "closed the channel" in info["error-desc"], info
    assert source.status() == "running"
    guest.check()


def test_a_running_before_go_is_out_of_turn(guest):
    source = guest.boot()
    false = FalseTcpDestination(source)
    false.take_state()
    false.peer.send(frame(peer.RUNNING, bytes(32)))
    info = settled(source)
    assert info["status"] == "failed" and "RUNNING out of turn" in info["error-desc"], info
    assert source.status() == "running"
    false.close()
    guest.check()


def test_after_go_the_source_runs_the_guest_only_if_its_operator_says_so(guest):
    source = guest.boot()
    before = guest.ask()
    false = FalseTcpDestination(source)
    false.take_state()
    false.peer.send(frame(peer.LOADED, struct.pack("<Q", 1)))
    assert false.peer.receive().kind == peer.GO
    # Too late.
    source.qmp.command("migrate_cancel")
    assert migration(source)["status"] == "device"
    false.close()
    info = settled(source)
    assert info["status"] == "failed", info
    assert "did not confirm" in info["error-desc"] and "cont" in info["error-desc"], info
    assert source.status() == "postmigrate"
    assert not guest.answers(0.3)
    source.qmp.command("cont")
    assert source.status() == "running"
    same_guest(before, guest.ask())
    guest.check()


def test_a_destination_that_reads_nothing_is_given_up(guest):
    source = guest.boot()
    source.qmp.command("migrate-set-parameters", stall_timeout=300, max_bandwidth=0)
    false = FalseTcpDestination(source)
    info = settled(source)
    # What is small enough for the socket's buffer may have been sent, and then the pause's limit ends it.
    assert info["status"] == "failed" and "in time" in info["error-desc"], info
    assert source.status() == "running"
    false.close()
    guest.check()


@pytest.fixture
def false_source(guest, directory):
    """Makes destinations, and a source for each that has got as far as READY."""
    source = guest.boot()
    listener = Listener(directory / "false")
    prepare(source, backend_transfer=False)
    source.qmp.command("migrate", uri=f"unix:{listener.path}")
    recorder = listener.accept()
    hello = recorder.receive()
    recorder.send(frame(peer.WELCOME, peer.text("0") + peer.text_list([]) + peer.text_list([])))
    prepare_copy = recorder.receive()
    assert prepare_copy.kind == peer.PREPARE_COPY and len(prepare_copy.fds) == 1
    source.qmp.command("migrate_cancel")
    recorder.close()
    prepare_copy.close()
    listener.close()

    def make():
        destination, tap = waiting(guest, f"unix:{directory}/hostile")
        false = Peer.connect(directory / "hostile")
        false.send(frame(peer.HELLO, hello.body))
        assert false.receive().kind == peer.WELCOME
        word = peer.sealed_memfd(4096)
        peer.OwnershipWord(word).value = peer.OWNED_BY_SOURCE
        false.send(frame(peer.PREPARE_COPY, prepare_copy.body, fds=1), [word])
        os.close(word)
        assert false.receive().kind == peer.READY
        return destination, tap, false

    return make


def ram_run(offset, pages, zero=False):
    return struct.pack("<IQIB", 1, offset, pages, zero)


def test_ram_of_a_false_source_is_refused(guest, false_source):
    hostile = {
        "outside": ram_run(64 * MIB, 1) + struct.pack("<I", 4096) + bytes(4096),
        "half a page": ram_run(100, 1) + struct.pack("<I", 4096) + bytes(4096),
        "less than announced": ram_run(0, 2) + struct.pack("<I", 4096) + bytes(4096),
        "more than announced": ram_run(0, 1) + struct.pack("<I", 8192) + bytes(8192),
        "an overflow": ram_run(0xFFFFFFFFFFFFF000, 0xFFFFFFFF, True) + struct.pack("<I", 0),
        "a zero run outside": ram_run(63 * MIB, 512, True) + struct.pack("<I", 0),
    }
    for what, body in hostile.items():
        destination, tap, false = false_source()
        false.send(frame(peer.RAM, body))
        answer = false.receive()
        assert answer.kind == peer.REFUSED, what
        assert destination.wait(10) == 1, what
        false.close()
        guest.taps.remove(tap)
        tap.remove()
    guest.check()


def test_a_source_that_sends_without_end_keeps_nobody_else_waiting(false_source):
    destination, _, false = false_source()
    tiny = frame(peer.RAM, ram_run(0, 1, zero=True) + struct.pack("<I", 0))

    def flood():
        with contextlib.suppress(OSError):
            while True:
                false.socket.sendall(tiny * 10000)

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        time.sleep(0.5)
        assert destination.status() == "inmigrate"
        destination.process.terminate()
        assert destination.wait() == 0
    finally:
        destination.kill()
        flooding.join()
        false.close()


@pytest.fixture
def bridge(guest):
    result = network.Bridge(guest.tap)
    yield result
    result.remove()


def rarp_frames(bridge, seconds):
    """Those that cross the bridge in that time."""
    frames = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x8035)) as sniffer:
        sniffer.bind((bridge.name, 0x8035))
        sniffer.settimeout(0.1)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                frames.append(sniffer.recv(2000))
            except TimeoutError:
                pass
    return frames


def test_a_guest_that_comes_to_another_port_is_announced_and_goes_on(guest, bridge):
    """Two TAPs on one bridge, as on a host: nobody moves an address, the bridge learns."""
    source = guest.boot()
    before = guest.ask()
    destination, tap = waiting(guest, uri_of("tcp", guest))
    network.ip("address", "flush", "dev", tap.name)
    bridge.join(tap)
    with UdpProbe(guest.tap.guest, rate=100) as stream:
        time.sleep(0.3)
        uri = destination.incoming
        prepare(source, backend_transfer=False)
        source.qmp.command("migrate", uri=uri)
        frames = rarp_frames(bridge, 3)
        assert settled(source)["status"] == "completed"
    mac = bytes.fromhex(MAC.replace(":", ""))
    assert len(frames) >= 5, frames
    for frame_bytes in frames:
        assert frame_bytes[0:12] == b"\xff" * 6 + mac
        assert frame_bytes[14:22] == bytes.fromhex("0001080006040003") and frame_bytes[22:28] == mac
    # Frames that came to the old port in the pause went with it; none came twice.
    assert stream.report["duplicated"] == 0, stream.report
    assert stream.report["replies"] > 100, stream.report
    source.quit()
    same_guest(before, guest.ask())
    guest.check()
