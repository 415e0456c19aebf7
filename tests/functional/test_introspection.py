"""query-qmp-schema describes the server that answers it."""

import pytest

pytestmark = pytest.mark.probe


@pytest.fixture
def entries(shared):
    answer = shared.vmms[0].qmp.command("query-qmp-schema")
    by_name = {entry["name"]: entry for entry in answer}
    assert len(by_name) == len(answer), "names are unique"
    return by_name


def references(entry):
    for key in ("arg-type", "ret-type", "element-type"):
        if key in entry:
            yield entry[key]
    for member in entry.get("members", []) + entry.get("variants", []):
        if "type" in member:
            yield member["type"]


def test_every_command_is_described(shared, entries):
    commands = {entry["name"] for entry in shared.vmms[0].qmp.command("query-commands")}
    assert commands == {name for name, entry in entries.items() if entry["meta-type"] == "command"}


def test_every_type_that_is_used_is_described(entries):
    for entry in entries.values():
        for name in references(entry):
            assert name in entries, entry


def test_every_type_that_is_described_is_used(entries):
    used = {name for entry in entries.values() for name in references(entry)}
    assert used == {name for name, entry in entries.items() if entry["meta-type"] not in ("command", "event")}


def test_a_command_s_arguments_can_be_followed(entries):
    migrate = entries[entries["migrate"]["arg-type"]]
    assert migrate["meta-type"] == "object"
    assert [(m["name"], m["type"]) for m in migrate["members"]] == [("uri", "str")]
    assert entries["str"] == {"name": "str", "meta-type": "builtin", "json-type": "string"}


def test_what_is_deprecated_says_so(entries):
    [argument] = entries[entries["migrate-set-capabilities"]["arg-type"]]["members"]
    status = entries[entries[argument["type"]]["element-type"]]
    [capability] = [m for m in status["members"] if m["name"] == "capability"]
    features = {m["name"]: m.get("features", []) for m in entries[capability["type"]]["members"]}
    assert features == {"events": [], "local-tap": ["deprecated", "unstable"], "pause-before-switchover": [],
                        "return-path": []}


def test_what_may_overtake_says_so(entries):
    urgent = {name for name, entry in entries.items() if entry.get("allow-oob")}
    assert urgent == {"migrate_cancel", "query-process", "query-version"}
