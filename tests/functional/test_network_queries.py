"""What the monitor tells of the guest's network devices, across hand-overs."""

import socket

import pytest

import network

from guest import MAC, move
from qmp import QmpError
from vmm import eventually

pytestmark = pytest.mark.probe


@pytest.fixture
def booted(make_guest):
    guest = make_guest(queues=2)
    return guest, guest.boot()


def counters(process):
    (nic,) = process.qmp.command("query-network-counters")
    return nic


def received(process):
    return sum(pair["rx-packets"] for pair in counters(process)["queue-pairs"])


def test_counters_go_on_in_the_next_process(booted):
    guest, process = booted
    before = counters(process)
    assert (before["name"], before["netdev"], len(before["queue-pairs"])) == ("nic0", "n0", 2)
    assert before["control-kicks"] >= 1
    guest.ask()
    after = counters(process)["queue-pairs"]
    assert received(process) > sum(pair["rx-packets"] for pair in before["queue-pairs"])
    for pair in after:
        assert pair["rx-dropped"] == pair["tx-dropped"] == pair["rx-filtered"] == 0
    earlier = received(process)
    process = move(guest, process)
    assert received(process) >= earlier
    assert counters(process)["control-kicks"] >= before["control-kicks"]


def test_counters_of_an_older_machine_type_begin_anew(make_guest):
    guest = make_guest(machine="pagurus-1.1")
    process = guest.boot()
    guest.ask()
    earlier = received(process)
    assert earlier > 1
    assert received(move(guest, process)) < earlier


def test_the_filter_is_told_once_until_it_is_asked_for(booted):
    guest, process = booted
    (info,) = process.qmp.command("query-rx-filter")
    assert info["promiscuous"] is True
    assert (info["name"], info["main-mac"], info["broadcast-allowed"]) == ("nic0", MAC, True)
    process.qmp.collect_events()
    assert guest.control().control("vlan-add", 5)["ack"] == 0
    event = process.qmp.wait_event("NIC_RX_FILTER_CHANGED")
    assert event["data"] == {"name": "nic0", "path": "/machine/peripheral/nic0"}
    assert guest.control().control("mac-table", ["52:54:00:00:00:99"], ["01:00:5e:00:00:01"])["ack"] == 0
    assert guest.control().control("promisc", 0)["ack"] == 0
    told = [event["event"] for event in process.qmp.collect_events(0.2)]
    assert "NIC_RX_FILTER_CHANGED" not in told
    for _ in range(2):
        (info,) = process.qmp.command("query-rx-filter", name="nic0")
        assert info["promiscuous"] is False
        assert (info["vlan"], info["vlan-table"]) == ("normal", [5])
        assert info["unicast-table"] == ["52:54:00:00:00:99"]
        assert info["multicast-table"] == ["01:00:5e:00:00:01"]
        assert (info["unicast"], info["multicast"]) == ("normal", "normal")
        process = move(guest, process)
    assert guest.control().control("allmulti", 1)["ack"] == 0
    process.qmp.wait_event("NIC_RX_FILTER_CHANGED")
    (info,) = process.qmp.command("query-rx-filter")
    assert info["multicast"] == "all"


def test_frames_that_the_guest_does_not_want_are_counted(booted):
    guest, process = booted
    assert guest.control().control("promisc", 0)["ack"] == 0
    nobody = guest.tap.guest.rsplit(".", 1)[0] + ".77"
    network.ip("neighbour", "replace", nobody, "lladdr", "52:54:00:00:00:98", "dev", guest.tap.name)
    filtered = lambda: sum(pair["rx-filtered"] for pair in counters(process)["queue-pairs"])  # noqa: E731
    before = filtered()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(3):
            sender.sendto(b"nothing", (nobody, 9))
    eventually(lambda: filtered() == before + 3, 10.0, "the count of three frames")


def test_a_device_that_is_not_there_has_no_filter(booted):
    _, process = booted
    with pytest.raises(QmpError, match="invalid net client name: nic7"):
        process.qmp.command("query-rx-filter", name="nic7")
