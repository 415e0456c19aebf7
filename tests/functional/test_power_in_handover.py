"""A guest that resets or powers off in the middle of a hand-over, or is told to: it ends in one process, as asked."""

import contextlib
import random
import socket

import pytest

from guest import settled
from probe_client import CONTROL_PORT
from qmp import QmpError
from test_failures import no_longer_taking_part, one_owner, ready_to_migrate, remove_socket, some_moment, state_of
from vmm import eventually

pytestmark = pytest.mark.probe


def tell(guest, command):
    """Sends the guest a command whose answer may be lost, and with it the guest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(f"{command} now\n".encode(), (guest.tap.guest, CONTROL_PORT))


def at_the_same_time(moments, migrate, command):
    """Either may be first, and most moments in between are as likely."""
    first, second = (migrate, command) if moments.random() < 0.8 else (command, migrate)
    first()
    some_moment(moments)
    # The process may have ended by then.
    with contextlib.suppress(BrokenPipeError):
        second()


def answer_of(process):
    """What was answered: "" for a success, the words of an error, None if the process ended instead."""
    try:
        process.qmp.answer()
        return ""
    except QmpError as error:
        return error.desc
    except OSError:
        return None


def shut_down_by_guest(process):
    """It ended as a process does whose guest has powered off."""
    assert process.wait(10) == 0, process.stderr()
    shutdowns = [event for event in process.qmp.events_to_the_end() if event["event"] == "SHUTDOWN"]
    assert [event["data"]["guest"] for event in shutdowns] == [True], shutdowns


def goes_without_guest(guest, destination):
    """It waits on, or has said that its guest did not come in."""
    eventually(lambda: no_longer_taking_part(destination), 10.0, "an end there")
    if state_of(destination) == "ended":
        assert destination.wait() == 1 and "the guest did not come in" in destination.stderr()
    else:
        assert destination.status() == "inmigrate"
        destination.quit()
    remove_socket(guest, destination)


@pytest.mark.parametrize("seed", range(4))
def test_a_power_off_ends_the_process_that_has_the_guest(guest, seed):
    moments = random.Random(300 + seed)
    for _ in range(5):
        source = guest.boot()
        destination, migrate = ready_to_migrate(guest, source)
        at_the_same_time(moments, migrate, lambda: tell(guest, "poweroff"))
        eventually(lambda: not source.alive() or destination.process.poll() == 0, 10.0, "the power-off")
        if source.alive():
            assert answer_of(source) == ""
            assert settled(source)["status"] == "completed"
            assert source.status() == "postmigrate"
            shut_down_by_guest(destination)
            source.quit()
        else:
            shut_down_by_guest(source)
            goes_without_guest(guest, destination)


def owner_at_the_end(guest, source, destination):
    """The process that runs the guest, after the hand-over has come to an end; the other one is ended."""
    settled(source)
    eventually(lambda: no_longer_taking_part(destination), 10.0, "an end there")
    owner = one_owner(source, destination)
    assert owner is not None
    if owner is destination:
        assert source.status() == "postmigrate"
        source.quit()
    else:
        goes_without_guest(guest, destination)
    return owner


@pytest.mark.parametrize("seed", range(4))
def test_a_reset_by_the_guest_happens_once_in_one_process(guest, seed):
    moments = random.Random(400 + seed)
    process = guest.boot()
    for boots in range(2, 6):
        destination, migrate = ready_to_migrate(guest, process)
        at_the_same_time(moments, migrate, lambda: tell(guest, "reset"))
        assert answer_of(process) == ""
        settled(process)
        eventually(lambda: guest.wait_until_ready()["boot_count"] == boots, 30.0, "the next boot")
        process = owner_at_the_end(guest, process, destination)
    assert guest.ask()["boot_count"] == 5
    guest.check()


@pytest.mark.parametrize("seed", range(3))
def test_a_reset_by_qmp_happens_once_or_is_refused(guest, seed):
    moments = random.Random(500 + seed)
    process = guest.boot()
    boots = 1
    for _ in range(5):
        destination, migrate = ready_to_migrate(guest, process)
        migrate()
        some_moment(moments)
        process.qmp.send({"execute": "system_reset"})
        assert answer_of(process) == ""
        answer = answer_of(process)
        assert answer == "" or "on its way to another process" in answer or "runs in another process" in answer, answer
        boots += answer == ""
        settled(process)
        assert guest.wait_until_ready()["boot_count"] == boots
        process = owner_at_the_end(guest, process, destination)
    guest.check()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("command", ["stop", "cont"])
def test_a_guest_is_stopped_or_continued_before_it_leaves_or_not_at_all(guest, command, seed):
    moments = random.Random(600 + seed)
    process = guest.boot()
    before, asked = ("running", "paused") if command == "stop" else ("paused", "running")
    for _ in range(5):
        process.qmp.command("cont" if before == "running" else "stop")
        destination, migrate = ready_to_migrate(guest, process)
        migrate()
        some_moment(moments)
        process.qmp.send({"execute": command})
        process.qmp.send({"execute": "query-status"})
        assert answer_of(process) == ""
        answer = answer_of(process)
        where = process.qmp.answer()["status"]
        assert answer == "" or "on its way to another process" in answer or "runs in another process" in answer, answer
        assert settled(process)["status"] == "completed"
        assert settled(destination)["status"] == "completed"
        possible = {asked} if answer == "" else {before}
        if command == "stop" and where == "postmigrate":
            # A process whose guest has gone stops nothing, and says nothing.
            possible.add(before)
        assert destination.status() in possible, (answer, where)
        assert process.status() == "postmigrate"
        process.quit()
        process = destination
    process.qmp.command("cont")
    assert guest.ask()["boot_count"] == 1
    guest.check()


@pytest.mark.parametrize("seed", range(3))
def test_a_quit_ends_the_source_and_leaves_no_second_guest(guest, seed):
    moments = random.Random(700 + seed)
    for _ in range(5):
        source = guest.boot()
        destination, migrate = ready_to_migrate(guest, source)
        migrate()
        some_moment(moments)
        source.qmp.send({"execute": "quit"})
        assert source.wait(10) == 0, source.stderr()
        eventually(lambda: no_longer_taking_part(destination), 10.0, "an end there")
        if state_of(destination) == "running":
            assert guest.ask()["boot_count"] == 1
            guest.check()
            destination.quit()
        else:
            goes_without_guest(guest, destination)
