"""Fixtures of the functional tests with the probe guest.  After each test nothing of it may be left."""

import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import network
from peer import Listener
from vmm import BUILD, eventually

# Processes of this run are recognized by this word in their environment, daemons included.
os.environ["PAGURUS_FUNCTIONAL_TEST"] = str(os.getpid())
os.environ.setdefault("PAGURUS_UDP_PROBE", str(BUILD / "udp-probe"))

from false_source import record  # noqa: E402
from guest import Guest, processes_of_this_run  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def loopback():
    network.ip("link", "set", "lo", "up")


def sockets_below(directory):
    return sorted(str(path) for path in pathlib.Path(directory).rglob("*") if path.is_socket())


def make_directory():
    # Short, because a UNIX socket's path has 107 bytes at most.
    return pathlib.Path(tempfile.mkdtemp(prefix="pgt-"))


def remove_directory(directory):
    """Removes it, after a look for sockets that somebody forgot there."""
    left = sockets_below(directory)
    shutil.rmtree(directory)
    assert not left, f"socket files are left: {left}"


@pytest.fixture
def directory():
    path = make_directory()
    yield path
    remove_directory(path)


@pytest.fixture(scope="module")
def module_directory():
    path = make_directory()
    yield path
    remove_directory(path)


@pytest.fixture
def runtime_directory(directory, monkeypatch):
    """Where pagurusctl puts its socket; it must be empty again at the end."""
    path = directory / "runtime"
    path.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield
    assert list(path.iterdir()) == []


@pytest.fixture
def listener(directory):
    """Where a false destination waits for a real source."""
    result = Listener(directory / "false")
    yield result
    result.close()


def watch_for_leftovers():
    processes, interfaces = processes_of_this_run(), network.interfaces()
    yield
    left = set()

    def all_gone():
        left.clear()
        left.update(processes_of_this_run() - processes)
        return not left

    try:
        eventually(all_gone, 5.0, "the end of all processes of the test")
    except AssertionError:
        names = {pid: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ")[:200] for pid in left}
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        pytest.fail(f"processes are left: {names}")
    assert network.interfaces() == interfaces


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_module():
    yield from watch_for_leftovers()


@pytest.fixture(autouse=True)
def nothing_left(request, nothing_left_by_module):
    """No process, no interface.  What a module shares is older than the test, and so not counted."""
    for name in request.fixturenames:
        if name.startswith("shared"):
            request.getfixturevalue(name)
    yield from watch_for_leftovers()


@pytest.fixture
def make_guest(directory, nothing_left):
    """Makes guests that end with the test."""
    guests = []

    def make(**options):
        guests.append(Guest(directory, **options))
        return guests[-1]

    yield make
    for guest in guests:
        guest.remove()


@pytest.fixture
def guest(make_guest):
    return make_guest()


@pytest.fixture(scope="module")
def shared(module_directory, nothing_left_by_module):
    """A booted guest for tests that leave it as they found it."""
    shared_guest = Guest(module_directory)
    shared_guest.boot()
    yield shared_guest
    shared_guest.remove()


@pytest.fixture(scope="module")
def shared_recording(shared, module_directory):
    """HELLO and PREPARE as the shared guest's process sends them, without the descriptors."""
    return record(shared, module_directory)


@pytest.fixture(scope="module")
def shared_waiting(shared, module_directory):
    """A destination that must go on waiting, whatever it is told before PREPARE."""
    process = shared.destination()
    process.qmp.command("migrate-incoming", uri=f"unix:{module_directory}/waiting")
    yield process
    shared.vmms.remove(process)
    process.quit()
