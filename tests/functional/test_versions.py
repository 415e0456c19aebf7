"""A guest that goes from one version of pagurus to another and back.

The other version is the build variant (`make variant`): it has another default machine type, an optional
section and an optional field that the release does not know, and a younger version of a state, which the
machine types of both keep at the older one.
"""

import subprocess
import time

import pytest

from guest import UdpProbe, give, hand_over, prepare, settled
from test_handover import same_guest
from vmm import PAGURUS, VARIANT, Vmm

pytestmark = pytest.mark.probe

UNKNOWN_SECTION = "state section 'variant-note' is unknown here and was passed over"
UNKNOWN_FIELD = "state section 'machine': field 'optional-handovers' is unknown here and was passed over"
UNKNOWN_THERE = "the destination does not know state section 'variant-note' and will pass over it"


def test_the_two_versions_say_who_they_are():
    for binary, suffix in ((PAGURUS, ""), (VARIANT, "+variant")):
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=True)
        assert done.stdout.strip().endswith(suffix) and ("+" in done.stdout) == bool(suffix), done.stdout


@pytest.mark.parametrize("machine", ["pagurus-1.0", "pagurus-1.1", "pagurus-1.2"])
def test_there_and_back_three_times_between_two_versions(make_guest, machine):
    # In pagurus-1.0 back ends stay behind unless their device says otherwise.
    guest = make_guest(machine=machine)
    guest.options["device"] += ",backend-transfer=on"
    current = guest.boot()
    before = guest.ask()
    with UdpProbe(guest.tap.guest, rate=500) as stream:
        for _ in range(3):
            for binary in (VARIANT, PAGURUS):
                following = guest.destination(binary=binary)
                time.sleep(0.3)
                hand_over(current, following)
                to_release = binary == PAGURUS
                said = following.stderr().splitlines()
                for words in (UNKNOWN_SECTION, UNKNOWN_FIELD):
                    assert sum(words in line for line in said) == (1 if to_release else 0), said
                assert (UNKNOWN_THERE in current.stderr()) == to_release
                current.quit()
                current = following
        time.sleep(0.3)
    report = stream.report
    assert report["sent"] > 100, report
    assert (report["lost"], report["duplicated"], report["reordered"]) == (0, 0, 0), report
    same_guest(before, guest.ask())
    guest.check()


def test_an_optional_section_arrives_where_it_is_known(guest):
    current = guest.boot(binary=VARIANT)
    for count in (1, 2):
        following = guest.destination(binary=VARIANT)
        hand_over(current, following)
        assert f"the guest came by {count} hand-over" in following.stderr()
        assert "unknown here" not in following.stderr()
        current.quit()
        current = following
    guest.check()


@pytest.mark.parametrize("source, destination", [(PAGURUS, VARIANT), (VARIANT, PAGURUS)],
                         ids=["to the variant", "from the variant"])
def test_another_default_machine_type_is_refused_by_name(guest, source, destination):
    words = guest.words()
    at = words.index("-machine")
    del words[at:at + 2]
    processes = [Vmm(guest.directory, "source", words, binary=source),
                 Vmm(guest.directory, "destination", [*words, "-incoming", "defer"], binary=destination)]
    guest.vmms += processes
    guest.wait_until_ready()
    for process in processes:
        prepare(process)
    uri = f"unix:{guest.directory}/mig"
    processes[1].qmp.command("migrate-incoming", uri=uri)
    info = give(processes[0], uri)
    assert info["status"] == "failed"
    for said in (info["error-desc"], settled(processes[1])["error-desc"]):
        assert "machine type" in said and "pagurus-1.0" in said and "pagurus-1.2" in said, said
    assert guest.answers()
    guest.check()
