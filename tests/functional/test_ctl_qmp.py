"""pagurusctl qmp: arguments as people write them, answers, events, and the ways to fail."""

import json
import subprocess

import pytest

from vmm import PAGURUSCTL

pytestmark = pytest.mark.probe


def ctl(*arguments, timeout=60, **options):
    return subprocess.run([PAGURUSCTL, *map(str, arguments)], capture_output=True, text=True, timeout=timeout,
                          check=False, **options)


@pytest.fixture
def qmp(shared):
    """Runs `pagurusctl qmp` on the guest that the module shares."""
    return lambda *words: ctl("qmp", shared.vmms[0].qmp_path, *words)


def ask(shared, command, **arguments):
    return shared.vmms[0].qmp.command(command, **arguments)


def test_the_answer_is_printed_as_json(qmp):
    done = qmp("query-status")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"status": "running", "running": True}


def test_arguments_have_the_types_of_the_schema(qmp, shared):
    done = qmp("migrate-set-parameters", "downtime-limit=1k", "backend-transfer=on")
    assert done.returncode == 0, done.stderr
    parameters = ask(shared, "query-migrate-parameters")
    assert parameters["downtime-limit"] == 1024
    assert parameters["backend-transfer"] is True
    assert qmp("migrate-set-parameters", "backend-transfer=off", "downtime-limit=300").returncode == 0
    assert ask(shared, "query-migrate-parameters")["backend-transfer"] is False


def test_lists_are_written_with_dots_or_as_json(qmp, shared):
    def events_capability():
        return {c["capability"]: c["state"] for c in ask(shared, "query-migrate-capabilities")}["events"]

    before = events_capability()
    done = qmp("migrate-set-capabilities", "capabilities.0.capability=events",
               f"capabilities.0.state={'off' if before else 'on'}")
    assert done.returncode == 0, done.stderr
    assert events_capability() is not before
    value = json.dumps([{"capability": "events", "state": before}])
    assert qmp("migrate-set-capabilities", f"capabilities={value}").returncode == 0
    assert events_capability() is before


def test_one_json_object_is_taken_as_it_is(qmp, shared):
    done = qmp("migrate-set-parameters", '{"downtime-limit": 77}')
    assert done.returncode == 0, done.stderr
    assert ask(shared, "query-migrate-parameters")["downtime-limit"] == 77


def test_a_refusal_names_its_class(qmp):
    done = qmp("set_link", "name=nobody", "up=on")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("pagurusctl: 'set_link' is refused: ")
    assert done.stderr.rstrip().endswith("(DeviceNotFound)")


def test_a_wrong_value_gets_the_servers_sentence(qmp):
    done = qmp("migrate-set-parameters", "downtime-limit=soon")
    assert done.returncode == 1
    assert "'downtime-limit'" in done.stderr and "(GenericError)" in done.stderr


def test_an_unknown_command_gets_a_suggestion(qmp):
    for words in (["query-sttaus"], ["query-sttaus", "a=b"], ["query-sttaus", "{}"]):
        done = qmp(*words)
        assert done.returncode == 1
        assert "(CommandNotFound)" in done.stderr
        assert "did you mean 'query-status'?" in done.stderr


@pytest.mark.parametrize("words", [["migrate", "{broken"], ["migrate", "uri"], ["migrate", "uri=a", "uri=b"],
                                   ["migrate-set-capabilities", "capabilities=[{"], [], ["x", "--events", "0"],
                                   ["x", "--no-such-option"]])
def test_words_that_are_not_understood_are_status_2(qmp, words):
    done = qmp(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


def test_out_of_band_where_the_command_allows_it(qmp):
    done = qmp("--oob", "query-status")
    assert done.returncode == 1 and "query-status" in done.stderr
    done = qmp("--oob", "migrate_cancel")
    assert (done.returncode, done.stdout) == (0, "{}\n"), done.stderr


def test_events_are_waited_for(qmp):
    done = qmp("stop", "--wait", "STOP")
    assert done.returncode == 0, done.stderr
    answer, end = json.JSONDecoder().raw_decode(done.stdout)
    assert answer == {}
    assert json.loads(done.stdout[end:])["event"] == "STOP"
    done = qmp("cont", "--events", "1")
    assert json.loads(done.stdout[2:])["event"] == "RESUME"


def test_an_event_that_does_not_come_is_a_failure(qmp):
    done = qmp("query-status", "--wait", "STOP", "--timeout", "0.3")
    assert done.returncode == 1
    assert done.stderr == "pagurusctl: the event 'STOP' did not come in time\n"


def test_nobody_at_the_socket_is_a_sentence(directory):
    done = ctl("qmp", directory / "none", "query-status")
    assert done.returncode == 1
    assert str(directory / "none") in done.stderr
