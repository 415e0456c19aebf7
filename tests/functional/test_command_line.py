"""The command line, as the schema has it: key=value and JSON forms, help, and the words of a mistake."""

import json
import subprocess

import pytest

from guest import MAC
from vmm import PAGURUS

pytestmark = pytest.mark.probe


def run(*words):
    return subprocess.run([PAGURUS, *words], capture_output=True, text=True, timeout=20)


def test_options_in_json_are_the_same_as_key_value(make_guest):
    guest = make_guest()
    guest.options["netdev"] = json.dumps({"type": "tap", "id": "n0", "ifname": guest.tap.name, "vnet_hdr": True})
    guest.options["device"] = json.dumps({"driver": "virtio-net-pci", "netdev": "n0", "mac": MAC, "host_mtu": 1400})
    guest.options["smp"] = json.dumps({"cpus": 1})
    process = guest.launch()
    guest.wait_until_ready()
    assert process.status() == "running"


NO_SUCH_TYPE = ("-netdev: Parameter 'type' does not accept value 'user' "
                "(it accepts 'tap', 'stream', 'dgram', 'vhost-user', 'bridge')")


@pytest.mark.parametrize("text, words", [
    ("tap,id=n0,colour=red", "-netdev: Parameter 'colour' is unexpected"),
    ('{"type": "tap", "id": "n0", "colour": "red"}', "-netdev: Parameter 'colour' is unexpected"),
    ("tap", "-netdev: Parameter 'id' is missing"),
    ('{"type": "tap"}', "-netdev: Parameter 'id' is missing"),
    ("user,id=n0", NO_SUCH_TYPE),
    ('{"type": "user", "id": "n0"}', NO_SUCH_TYPE),
    ("tap,id=n0,vnet_hdr=perhaps", "-netdev: Invalid parameter type for 'vnet_hdr', expected: boolean"),
    ('{"type": "tap", "id": "n0", "vnet_hdr": "on"}', "-netdev: Invalid parameter type for 'vnet_hdr', expected: boolean"),
])
def test_a_mistake_has_the_same_words_in_both_forms(text, words):
    done = run("-netdev", text)
    assert done.returncode == 1
    assert done.stderr == f"pagurus: {words}\n"


@pytest.mark.parametrize("words, expected", [
    (["-machine", "help"], ["pagurus-1.0", "pagurus-1.1", "pagurus-1.2", "accel", "memory-backend"]),
    (["-netdev", "help"], ["tap"]),
    (["-netdev", "tap,help"], ["ifname", "script", "local-incoming"]),
    (["-device", "help"], ["virtio-net-pci", "isa-serial"]),
    (["-device", "virtio-net-pci,help"], ["netdev", "mac", "rx_queue_size", "backend-transfer"]),
    (["-chardev", "help"], ["stdio", "socket"]),
    (["-object", "help"], ["memory-backend-memfd"]),
    (["-cpu", "help"], ["host"]),
])
def test_help_comes_from_the_schema(words, expected):
    done = run(*words)
    assert done.returncode == 0 and done.stderr == ""
    for word in expected:
        assert word in done.stdout, done.stdout


def test_help_about_what_is_not_there_is_refused():
    done = run("-device", "e1000,help")
    assert done.returncode == 1
    assert "e1000" in done.stderr and "virtio-net-pci" in done.stderr
