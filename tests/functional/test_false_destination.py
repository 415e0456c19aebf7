"""A source whose destination lies, dies or says nothing: the guest goes on where it was."""

import os
import struct
import time

import pytest

import peer
from false_destination import FalseDestination, held_by
from guest import UdpProbe, hand_over, migration, settled
from peer import frame
from vmm import eventually

pytestmark = pytest.mark.probe


@pytest.fixture
def false(shared, listener):
    """On the shared guest, which must run on afterwards in the process where it is."""
    source = shared.vmms[0]
    files = held_by(source)
    source.qmp.command("migrate-set-parameters", downtime_limit=200)
    result = FalseDestination(source, listener)
    yield result
    result.peer.close()
    assert source.status() == "running"
    assert shared.ask()["boot_count"] == 1
    shared.check()
    eventually(lambda: held_by(source) == files, 5.0, "the same descriptors as before")


def expect_failure(false, *words):
    info = settled(false.source)
    assert info["status"] == "failed", info
    for word in words:
        assert word in info["error-desc"], info


def paused_in_between(false):
    """The guest was stopped and went on: told by events, in this order."""
    names = [e["event"] for e in false.source.qmp.collect_events(0.1) if e["event"] in ("STOP", "RESUME")]
    assert names in ([], ["STOP", "RESUME"])
    return bool(names)


def test_a_destination_that_answers_garbage(false):
    false.peer.send(os.urandom(4096))
    expect_failure(false, "no Pagurus hand-over message")
    assert not paused_in_between(false)


def test_a_destination_that_closes_after_hello(false):
    false.peer.close()
    expect_failure(false, "closed the channel")
    assert not paused_in_between(false)


def test_a_destination_that_refuses_is_quoted(false):
    false.peer.send(frame(peer.REFUSED, peer.text("my shell is too small")))
    expect_failure(false, "my shell is too small")
    assert not paused_in_between(false)


def test_a_destination_that_wants_what_nobody_has(false):
    false.welcome(["netdev n0", "console serial0", "netdev n1"])
    expect_failure(false, "wants what this process has not")


def test_a_destination_that_does_not_want_what_was_agreed(false):
    false.welcome(["console serial0"])
    expect_failure(false, "disagree about whether netdev n0")


def test_a_destination_that_answers_out_of_turn(false):
    false.peer.send(frame(peer.RUNNING, bytes(32)))
    expect_failure(false, "out of turn")


def test_a_welcome_with_bytes_left_over(false):
    false.peer.send(frame(peer.WELCOME, peer.text("0") + peer.text_list([]) + peer.text_list([]) + b"more"))
    expect_failure(false, "more than its declaration")


def test_a_welcome_with_descriptors_nobody_claims(false):
    with open("/dev/null", "rb") as file:
        body = peer.text("0") + peer.text_list(["console serial0", "netdev n0"]) + peer.text_list([])
        false.peer.send(frame(peer.WELCOME, body, fds=1), [file.fileno()])
    expect_failure(false, "nobody claims")


def test_a_list_longer_than_its_bytes(false):
    false.peer.send(frame(peer.WELCOME, peer.text("0") + struct.pack("<I", 4000)))
    expect_failure(false, "4000 elements in 0 bytes")


def test_a_silent_destination_is_given_up_by_cancel(false):
    assert migration(false.source)["status"] == "setup"
    false.welcome()
    eventually(lambda: migration(false.source)["status"] == "active", 5.0, "the next step")
    false.source.qmp.command("migrate_cancel")
    assert settled(false.source)["status"] == "cancelled"
    assert not paused_in_between(false)
    # It is told why.
    received = false.peer.receive()
    assert received.kind == peer.PREPARE
    received.close()
    assert "cancelled" in false.peer.receive().reason()
    assert false.peer.receive() is None


def test_a_silent_destination_is_given_up_in_time(false):
    info = settled(false.source, timeout=15)
    assert info["status"] == "failed"
    assert "did not answer HELLO in time" in info["error-desc"]


def test_a_destination_that_closes_instead_of_being_ready(false):
    false.take_prepare()
    false.peer.close()
    expect_failure(false, "closed the channel")
    assert false.word.value == peer.TAKEN_BACK
    assert not paused_in_between(false)


def test_a_destination_that_closes_in_the_pause(false):
    false.take_state()
    false.peer.close()
    expect_failure(false, "closed the channel")
    assert false.word.value == peer.TAKEN_BACK
    assert paused_in_between(false)


def test_a_destination_that_is_silent_in_the_pause(false):
    before = time.monotonic()
    false.take_state()
    expect_failure(false, "did not answer in time")
    assert time.monotonic() - before < 5
    assert false.word.value == peer.TAKEN_BACK
    assert paused_in_between(false)


def test_a_destination_that_refuses_in_the_pause(false):
    false.take_state()
    false.peer.send(frame(peer.REFUSED, peer.text("a bad moment")))
    expect_failure(false, "a bad moment")
    assert paused_in_between(false)


def test_a_destination_that_answers_garbage_in_the_pause(false):
    false.take_state()
    false.peer.send(b"\0" * 100)
    expect_failure(false, "no Pagurus hand-over message")
    assert paused_in_between(false)


def test_a_destination_that_claims_to_run_what_it_has_not_taken(false):
    false.take_state()
    false.peer.send(frame(peer.RUNNING, bytes(32)))
    expect_failure(false, "has not taken it")
    assert false.word.value == peer.TAKEN_BACK
    assert paused_in_between(false)


def test_a_destination_that_takes_the_guest_before_it_is_given(false):
    false.take_prepare()
    false.word.value = peer.OWNED_BY_DESTINATION
    false.ready()
    expect_failure(false, "before it was given")
    assert not paused_in_between(false)


def test_after_a_roll_back_the_second_try_succeeds_and_no_packet_is_lost(guest, listener):
    source = guest.boot()
    source.qmp.command("migrate-set-parameters", downtime_limit=1)
    with UdpProbe(guest.tap.guest, rate=200) as stream:
        false = FalseDestination(source, listener)
        false.take_state()
        expect_failure(false, "did not answer in time")
        assert paused_in_between(false)
        assert source.status() == "running"
        false.peer.close()
        source.qmp.command("migrate-set-parameters", downtime_limit=300)
        destination = guest.destination()
        assert hand_over(source, destination)["status"] == "completed"
        source.quit()
        time.sleep(0.3)
    assert guest.ask()["boot_count"] == 1
    guest.check()
    assert (stream.report["lost"], stream.report["duplicated"], stream.report["reordered"]) == (0, 0, 0), stream.report


def test_a_destination_that_died_as_owner_has_taken_the_guest(guest, listener):
    """The word decides, not the answer: the source must not run a guest that another process may run."""
    source = guest.boot()
    false = FalseDestination(source, listener)
    false.take_state()
    false.word.value = peer.OWNED_BY_DESTINATION
    false.peer.close()
    info = settled(source)
    assert info["status"] == "completed", info
    assert source.status() == "postmigrate"
    assert not guest.answers()
