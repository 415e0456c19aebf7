"""The stream back end from outside: this test is the peer, and the connection is what must survive."""

import contextlib
import socket
import threading

import pytest

from guest import MAC, move, prepare
from test_multiqueue import at_a_rate, check_at_nine_tenths_of_the_highest_rate
from wire import Host, Plug, StreamWire

pytestmark = pytest.mark.probe


def listen_unix(directory):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(directory / "net"))
    sock.listen()
    return sock, f"addr.type=unix,addr.path={directory}/net"


def listen_tcp(_):
    sock = socket.create_server(("127.0.0.1", 0))
    return sock, f"addr.type=inet,addr.host=127.0.0.1,addr.port={sock.getsockname()[1]}"


def host_of(guest, wire):
    return Host(wire, guest.tap.guest, MAC, guest.tap.host)


class Traffic:
    """Datagrams to the guest's echo service without a break, by a thread of its own.

    Not so many are under way that a socket's queue is full however long the machine takes.
    """

    WINDOW = 100

    def __init__(self, host):
        self.host = host
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.is_set():
            if self.host.outstanding() < self.WINDOW:
                self.host.probe()
            self.host.listen(0.001)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()
        self.host.listen_for_all()


@pytest.mark.parametrize("listen", [listen_unix, listen_tcp])
def test_a_client_s_connection_moves_twenty_times_under_traffic(make_guest, directory, listen):
    sock, address = listen(directory)
    with sock:
        guest = make_guest(netdev=f"stream,id=n0,{address}")
        process = guest.launch()
        connection, _ = sock.accept()
        with connection:
            host = host_of(guest, StreamWire(connection))
            host.wait_for_guest()
            with Traffic(host):
                for _ in range(20):
                    process = move(guest, process)
            assert host.sent > 20
            assert host.lost() == [] and host.duplicated() == []
            # Nobody connected anew.
            sock.settimeout(0.1)
            with pytest.raises(TimeoutError):
                sock.accept()
            process.quit()
    (directory / "net").unlink(missing_ok=True)


@at_a_rate
@pytest.mark.parametrize("listen", [listen_unix, listen_tcp])
def test_twenty_hand_overs_at_nine_tenths_of_the_highest_rate(make_guest, directory, listen):
    sock, address = listen(directory)
    with sock:
        guest = make_guest(netdev=f"stream,id=n0,{address}")
        process = guest.launch()
        connection, _ = sock.accept()
        with connection, Plug(StreamWire(connection), guest.tap):
            guest.wait_until_ready()
            check_at_nine_tenths_of_the_highest_rate(guest, process, Plug.MOST).quit()
    (directory / "net").unlink(missing_ok=True)


def test_a_server_s_path_and_connection_move(make_guest, directory):
    path = directory / "net"
    guest = make_guest(netdev=f"stream,id=n0,server=on,addr.type=unix,addr.path={path}")
    process = guest.launch("-S")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        process.qmp.wait_event("NETDEV_STREAM_CONNECTED")
        process.qmp.command("cont")
        host = host_of(guest, StreamWire(connection))
        host.wait_for_guest()
        with Traffic(host):
            for _ in range(3):
                process = move(guest, process)
                assert path.is_socket()
        assert host.lost() == [] and host.duplicated() == []
    process.qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
    process.quit()
    assert not path.exists()


def test_a_frame_that_is_cut_by_a_handover_arrives_whole(make_guest, directory):
    sock, address = listen_unix(directory)
    with sock:
        guest = make_guest(netdev=f"stream,id=n0,{address}")
        process = guest.launch()
        connection, _ = sock.accept()
        with connection:
            host = host_of(guest, StreamWire(connection))
            host.wait_for_guest()
            for cut in (1, 4, 5, 60):
                host.sent += 1
                whole = StreamWire.framed(host.frame(7, (host.sent - 1).to_bytes(8, "big") + bytes(56)))
                connection.sendall(whole[:cut])
                process = move(guest, process)
                connection.sendall(whole[cut:])
                host.listen_for_all()
                assert host.lost() == [] and host.duplicated() == []
            process.quit()
    (directory / "net").unlink()


def wait_for_end(connection):
    # A reset: what was sent behind the nonsense was not read.
    connection.settimeout(60)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(1 << 16):
            pass


def test_a_client_comes_back_after_nonsense_and_after_its_peer_went(make_guest, directory):
    sock, address = listen_unix(directory)
    with sock:
        guest = make_guest(netdev=f"stream,id=n0,{address},reconnect-ms=20")
        process = guest.launch()
        prepare(process)
        for nonsense in (bytes(4), b"\xff" * 4, b"GET / HTTP/1.0\r\n\r\n", b""):
            connection, _ = sock.accept()
            with connection:
                host = host_of(guest, StreamWire(connection))
                host.wait_for_guest()
                connection.sendall(nonsense)
                if nonsense:
                    wait_for_end(connection)
        connection, _ = sock.accept()
        with connection:
            host_of(guest, StreamWire(connection)).wait_for_guest()
            assert process.stderr().count("the peer is disconnected") >= 1
            process.quit()
    (directory / "net").unlink()


def test_a_client_that_is_alone_moves_and_connects_there(make_guest, directory):
    guest = make_guest(netdev=f"stream,id=n0,addr.type=unix,addr.path={directory}/net,reconnect-ms=20")
    process = move(guest, guest.launch())
    sock, _ = listen_unix(directory)
    with sock:
        connection, _ = sock.accept()
        with connection:
            host_of(guest, StreamWire(connection)).wait_for_guest()
            process.quit()
    (directory / "net").unlink()


def test_a_back_end_that_is_plugged_in_listens_and_tells_who_comes(make_guest, directory):
    guest = make_guest()
    process = guest.boot()
    path = directory / "net"
    process.qmp.command("netdev_add", type="stream", id="n1", server=True, addr={"type": "unix", "path": str(path)})
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        event = process.qmp.wait_event("NETDEV_STREAM_CONNECTED")
        assert event["data"] == {"netdev-id": "n1", "addr": {"type": "unix", "path": str(path)}}
        process.qmp.command("netdev_del", id="n1")
        assert connection.recv(1) == b""
    assert not path.exists()
    process.quit()
