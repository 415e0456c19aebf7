"""The stock guest resets and powers off its machine in all the ways Linux knows, and is told to from outside."""

import pytest

from stock_fixtures import nothing_left, stock_guest, stock_pool  # noqa: F401

pytest_plugins = ["stock_repeat"]
pytestmark = pytest.mark.stock

RESET_WAYS = ["triple", "kbd", "acpi"]


@pytest.fixture
def expect_boot(stock_guest):
    """Waits until the guest has booted once more than when the test began."""
    seen = len(stock_guest.console.text)

    def wait():
        stock_guest.wait_ready(seen)
        # Its clock and its timers run: a second by the guest's is one by ours.
        begin = stock_guest.clocks()
        stock_guest.output("sleep 1", 30)
        end = stock_guest.clocks()
        # Between the host's clock as it was before and after each reading, which a busy host makes far apart.
        least, most = (end.host_monotonic[i] - begin.host_monotonic[1 - i] for i in (0, 1))
        assert least - 50e6 < end.monotonic - begin.monotonic < most + 50e6
        assert most > 0.9e9

    return wait


@pytest.mark.parametrize("way", RESET_WAYS)
def test_reboot_resets_the_machine_in_the_same_process(stock_guest, expect_boot, way):
    stock_guest.output(f"echo {way} >/sys/kernel/reboot/type")
    stock_guest.vmm.qmp.collect_events()
    stock_guest.order("reboot -f").close()
    expect_boot()
    assert stock_guest.vmm.qmp.wait_event("RESET")["data"] == {"guest": True, "reason": "guest-reset"}


def test_system_reset_resets_a_running_guest(stock_guest, expect_boot):
    stock_guest.vmm.qmp.collect_events()
    stock_guest.vmm.qmp.command("system_reset")
    expect_boot()
    assert stock_guest.vmm.qmp.wait_event("RESET")["data"]["guest"] is False


def test_a_guest_that_was_handed_over_reboots(stock_guest, expect_boot):
    stock_guest.hand_over()
    stock_guest.order("reboot -f").close()
    expect_boot()


def test_system_powerdown_presses_the_power_button(stock_guest):
    assert "Power Button" in stock_guest.output("cat /sys/class/input/input*/name")
    # The event goes only to those who have opened the device by then, hence the sleep.
    stock_guest.output("(head -c 24 /dev/input/event0 | hexdump -C >/tmp/pressed) >/dev/null 2>&1 & sleep 1")
    stock_guest.vmm.qmp.command("system_powerdown")
    # struct input_event: after 16 bytes of time, type EV_KEY (1), code KEY_POWER (116), value 1.
    pressed = stock_guest.output("for i in 1 2 3 4 5 6 7 8 9 10; do [ -s /tmp/pressed ] && break; sleep 0.3; done; cat /tmp/pressed")
    assert "01 00 74 00 01 00 00 00" in pressed
    assert stock_guest.vmm.qmp.wait_event("POWERDOWN")


def test_no_reboot_ends_the_process_instead_of_a_reset(stock_guest):
    stock_guest.start_destinations(1, "-no-reboot")
    stock_guest.hand_over()
    stock_guest.order("reboot -f").close()
    assert stock_guest.vmm.wait(30) == 0
