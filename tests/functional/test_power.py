"""What the guest asks of its machine in the very moment in which an operator stops it."""

import json
import random
import time

import pytest

pytestmark = pytest.mark.probe


def stop_behind_other_commands(process, count):
    """`stop` at the end of a batch, which the control loop executes without a look at anything else."""
    batch = [{"execute": "query-status"}] * count + [{"execute": "stop"}]
    process.qmp.socket.sendall(b"".join(json.dumps(request).encode() for request in batch))
    for _ in batch:
        process.qmp.answer()


def test_a_power_off_in_the_moment_of_a_stop_happens_when_the_guest_goes_on(guest):
    for _ in range(20):
        process = guest.boot()
        guest.control().query("poweroff")
        time.sleep(random.uniform(0, 0.003))
        try:
            stop_behind_other_commands(process, 150)
            if process.status() == "paused":
                process.qmp.command("cont")
        except OSError:
            pass  # It was off before.
        assert process.wait(10) == 0
