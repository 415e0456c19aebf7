"""Processes that die or give up at any moment of a hand-over: the guest has exactly one owner."""

import random
import signal
import time

import pytest

from guest import UdpProbe, migration, prepare, settled
from qmp import QmpError
from vmm import eventually

pytestmark = pytest.mark.probe


# A hand-over of the probe guest takes a few milliseconds; most moments shall fall into it.
MOMENTS = (0.002, 0.004, 0.008, 0.060)


def some_moment(moments):
    time.sleep(moments.uniform(0, moments.choice(MOMENTS)))


def ready_to_migrate(guest, source):
    """A destination that waits, and what gives `migrate` without waiting for its answer."""
    destination = guest.destination()
    prepare(source)
    uri = f"unix:{guest.directory}/{destination.name}.mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    return destination, lambda: source.qmp.send({"execute": "migrate", "arguments": {"uri": uri}})


def start_migrating(guest, source):
    """What follows happens at any moment of the hand-over."""
    destination, migrate = ready_to_migrate(guest, source)
    migrate()
    return destination


def read_answer(source):
    """The answer to `migrate`; an error if the destination was gone too early."""
    try:
        source.qmp.answer()
    except QmpError as error:
        assert "no destination waits there" in error.desc or "peer" in error.desc, error.desc


def state_of(process):
    """The run state; "ended" if the process has gone, or goes while it is asked."""
    try:
        return process.status() if process.alive() else "ended"
    except ConnectionError:
        process.wait(10)
        return "ended"


def no_longer_taking_part(destination):
    """It has the guest, waits for another hand-over, or has ended."""
    state = state_of(destination)
    if state != "inmigrate":
        return True
    try:
        return migration(destination)["status"] in ("failed", "setup")
    except ConnectionError:
        return True


def remove_socket(guest, process):
    """What a killed destination could not remove itself."""
    (guest.directory / f"{process.name}.mig").unlink(missing_ok=True)


def one_owner(source, destination):
    """The process that runs the guest, after everything has settled; fails if both or none of the living do."""
    states = {process.name: state_of(process) for process in (source, destination)}
    running = [process for process in (source, destination) if states.get(process.name) == "running"]
    assert len(running) <= 1, states
    return running[0] if running else None


@pytest.mark.parametrize("seed", range(4))
def test_a_destination_killed_at_any_moment_leaves_the_guest_with_one_owner(guest, seed):
    moments = random.Random(seed)
    source = guest.boot()
    for _ in range(6):
        destination = start_migrating(guest, source)
        some_moment(moments)
        destination.process.kill()
        destination.wait()
        read_answer(source)
        remove_socket(guest, destination)
        info = settled(source)
        if info["status"] == "completed":
            # It had the guest, and took it along.
            assert source.status() == "postmigrate"
            with pytest.raises(QmpError):
                source.qmp.command("cont")
            source.quit()
            source = guest.boot()
        else:
            assert info["status"] == "failed", info
            assert info["error-desc"]
            assert source.status() == "running"
            assert guest.ask()["boot_count"] == 1
    guest.check()


@pytest.mark.parametrize("seed", range(4))
def test_a_source_killed_at_any_moment_leaves_no_second_guest(guest, seed):
    moments = random.Random(100 + seed)
    for _ in range(4):
        source = guest.boot()
        destination = start_migrating(guest, source)
        some_moment(moments)
        source.process.kill()
        source.wait()
        source.qmp_path.unlink(missing_ok=True)
        # It has the guest, has lost it with the source, or never heard of it.
        eventually(lambda: no_longer_taking_part(destination), 10.0, "an end")
        if state_of(destination) == "ended":
            assert destination.wait() == 1
            assert "the guest did not come in" in destination.stderr()
        elif destination.status() == "running":
            assert guest.ask()["boot_count"] == 1
            guest.check()
            destination.quit()
        else:
            assert destination.status() == "inmigrate"
            destination.quit()


@pytest.mark.parametrize("seed", range(2))
def test_a_handover_cancelled_at_any_moment_leaves_the_guest_with_one_owner(guest, seed):
    moments = random.Random(200 + seed)
    source = guest.boot()
    for _ in range(6):
        destination = start_migrating(guest, source)
        some_moment(moments)
        source.qmp.send({"execute": "migrate_cancel"})
        read_answer(source)
        assert source.qmp.answer() == {}
        info = settled(source)
        assert info["status"] in ("cancelled", "completed"), info
        if info["status"] == "completed":
            source.quit()
            source = destination
        else:
            assert source.status() == "running"
            eventually(lambda: no_longer_taking_part(destination), 5.0, "its end there")
        assert guest.ask()["boot_count"] == 1
        for process in guest.vmms:
            if process is not source and state_of(process) != "ended":
                assert process.status() == "inmigrate"
                process.quit()
    guest.check()


def test_a_limit_near_the_length_of_a_pause_never_makes_two_owners(guest):
    """One millisecond is about what a pause takes: which side wins is chance, that one wins is not."""
    source = guest.boot()
    with UdpProbe(guest.tap.guest, rate=200) as stream:
        for _ in range(5):
            source.qmp.command("migrate-set-parameters", downtime_limit=1)
            destination = start_migrating(guest, source)
            read_answer(source)
            info = settled(source)
            eventually(lambda: state_of(destination) in ("ended", "running"), 10.0, "an end there")
            assert one_owner(source, destination) is (source if info["status"] == "failed" else destination)
            if info["status"] == "completed":
                source.quit()
                source = destination
    assert guest.ask()["boot_count"] == 1
    assert (stream.report["lost"], stream.report["duplicated"]) == (0, 0), stream.report


def test_a_destination_that_is_halted_in_the_pause_costs_the_limit_and_no_more(guest):
    source = guest.boot()
    destination = start_migrating(guest, source)
    # Stopped at once: wherever that hits it, the source must not wait for ever.
    destination.process.send_signal(signal.SIGSTOP)
    read_answer(source)
    source.qmp.command("migrate_cancel")
    info = settled(source)
    destination.process.send_signal(signal.SIGCONT)
    assert info["status"] in ("cancelled", "completed", "failed")
    eventually(lambda: no_longer_taking_part(destination), 10.0, "an end there")
    if info["status"] != "completed":
        assert source.status() == "running"
    assert guest.ask()["boot_count"] == 1
