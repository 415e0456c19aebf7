"""pagurusctl shell: scripts, and a person at a terminal (which the test plays over a pty)."""

import json
import os
import re
import signal
import stat
import subprocess
import time

import pytest

from qmp import Qmp
from terminal import Terminal
from vmm import PAGURUSCTL, ended, eventually

pytestmark = pytest.mark.probe

PROMPT = "pagurus> "


def script(path, text, *options):
    return subprocess.run([PAGURUSCTL, "shell", path, *options], input=text, capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.fixture
def terminals(directory):
    """Starts shells on terminals of their own, with a history in the test's directory."""
    opened = []

    def start(path, **options):
        terminal = Terminal([PAGURUSCTL, "shell", path], XDG_STATE_HOME=str(directory / "state"), **options)
        opened.append(terminal)
        terminal.expect(r"Connected: process \d+, version [0-9.]+")
        terminal.expect(PROMPT)
        return terminal

    yield start
    for terminal in opened:
        terminal.close()


@pytest.fixture
def path(shared):
    return shared.vmms[0].qmp_path


@pytest.fixture
def shell(terminals, path):
    return terminals(path)


def test_a_script_is_one_command_a_line(path):
    done = script(path, "# a comment\n\nquery-status\nmigrate-set-parameters downtime-limit=123\n"
                        "query-migrate-parameters\n")
    assert (done.returncode, done.stderr) == (0, "")
    decoder, text, values = json.JSONDecoder(), done.stdout, []
    while text.strip():
        value, end = decoder.raw_decode(text.lstrip())
        values.append(value)
        text = text.lstrip()[end:]
    assert values[0] == {"status": "running", "running": True}
    assert values[1] == {}
    assert values[2]["downtime-limit"] == 123


def test_a_script_goes_on_after_a_failure_and_tells_it(path):
    done = script(path, "query-sttaus\nset_link 'name\nquery-status\nset_link up\n")
    assert done.returncode == 1
    assert json.loads(done.stdout)["running"] is True
    lines = done.stderr.splitlines()
    assert lines[0].startswith("pagurusctl: line 1: 'query-sttaus' is refused: ")
    assert lines[0].endswith("did you mean 'query-status'?")
    assert lines[1].startswith("pagurusctl: line 2: ")
    assert lines[2].startswith("pagurusctl: line 4: 'up' is no argument")


def test_quit_ends_the_script_and_not_the_guest(path, shared):
    done = script(path, "quit\nquery-status\n")
    assert (done.returncode, done.stdout) == (0, "")
    assert shared.vmms[0].alive()


def test_json_arguments_need_no_quotes_in_a_script(path):
    done = script(path, 'migrate-set-parameters {"downtime-limit": 44}\n'
                        'migrate-set-capabilities capabilities=[{"capability": "events", "state": true}]\n')
    assert (done.returncode, done.stderr) == (0, "")


def test_help_is_from_introspection(path):
    done = script(path, "help\nhelp set_link\nhelp set_lnk\n")
    assert done.returncode == 0
    assert "query-status" in done.stdout
    assert "  name  string\n" in done.stdout and "  up    on or off\n" in done.stdout
    assert "did you mean 'set_link'?" in done.stdout


def test_a_server_that_goes_away_ends_the_script(guest):
    process = guest.boot()
    # It may answer a few commands more before it is gone.
    done = script(process.qmp_path, "execute quit\n" + "query-status\n" * 100_000)
    assert done.returncode == 1
    assert done.stdout.startswith("{}\n")
    assert re.fullmatch(r"pagurusctl: line \d+: the process has ended\n", done.stderr)
    assert process.wait() == 0


def test_a_typed_command_is_answered(shell):
    shell.type("query-status\n")
    assert '"running": true' in shell.expect(PROMPT + "$")


def test_tab_completes_commands_arguments_and_values(shell):
    shell.type("set_l\t")
    # The editor draws only what has changed.
    shell.expect("ink $")
    shell.type("n\t")
    shell.expect("ame=$")
    shell.type("n0 u\to\t")  # two ways to go on
    shell.expect(r"\non  +off\r?\n")
    shell.expect(PROMPT + "set_link name=n0 up=o$")
    shell.type("n\n")
    assert "{}" in shell.expect(r"\n" + PROMPT + "$")


def test_tab_shows_what_there_is_to_choose_from(shell):
    shell.type("query-migrate\t\t")
    shown = shell.expect(PROMPT + "query-migrate$")
    assert "query-migrate-capabilities" in shown and "query-migrate-parameters" in shown
    shell.type("-p\t\n")
    assert '"downtime-limit"' in shell.expect(r"\}\r?\n" + PROMPT)


def test_history_is_kept_for_the_next_shell_and_for_its_owner_only(terminals, path, directory):
    first = terminals(path)
    first.type("query-version\n")
    first.expect(r"\}\r?\n" + PROMPT)
    first.type("quit\n")
    assert first.wait() == 0
    history = directory / "state/pagurus/history"
    assert history.read_text() == "query-version\nquit\n"
    assert stat.S_IMODE(os.stat(history).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(history.parent).st_mode) == 0o700
    second = terminals(path)
    second.type("\x1b[A\x1b[A")
    second.expect("ery-version$")
    second.type("\n")
    assert '"package"' in second.expect(r"\}\r?\n" + PROMPT)


def test_an_event_comes_above_the_line_that_is_typed(shell, shared):
    shell.type("query-sta")
    shell.expect("query-sta$")
    shared.vmms[0].qmp.command("stop")
    shell.expect(r"\[\d\d:\d\d:\d\d\.\d{3} STOP\]\r?\n" + PROMPT + "query-sta$")
    shared.vmms[0].qmp.command("cont")
    shell.expect(r" RESUME\]\r?\n" + PROMPT + "query-sta$")
    shell.type("tus\n")
    assert '"running": true' in shell.expect(r"\}\r?\n" + PROMPT)


def test_the_event_of_an_own_command_is_shown_too(shell):
    for command, event in (("stop", "STOP"), ("cont", "RESUME")):
        shell.type(command + "\n")
        shown = shell.expect(event + r"\]\r?\n(.|\n)*" + PROMPT + "$")
        assert "{}" in shown


def test_letters_beyond_ascii_are_edited(shell):
    shell.type("set_link name=é\x7fü up=on\n")  # with a backspace
    assert "'ü'" in shell.expect(r"\(DeviceNotFound\)\r?\n")


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(shell, shared):
    shell.type("quer")
    shell.expect("quer$")
    shell.type("\x03")
    shell.expect(r"\^C\r?\n" + PROMPT + "$")
    shell.type("query-name\n")
    shell.expect(r"\}\r?\n" + PROMPT)
    shell.type("\x04")
    assert shell.wait() == 0
    assert shared.vmms[0].alive()


def test_ctrl_c_ends_the_waiting_for_an_answer(shell, shared):
    shared.vmms[0].process.send_signal(signal.SIGSTOP)
    try:
        shell.type("query-status\n")
        time.sleep(0.3)
        shell.type("\x03")
        shell.expect(r"interrupted\r?\n" + PROMPT + "$")
    finally:
        shared.vmms[0].process.send_signal(signal.SIGCONT)
    shell.type("query-name\n")
    # The late answer to the first command is not taken for that to the second.
    assert '"running"' not in shell.expect(r"\}\r?\n" + PROMPT)


def test_a_termination_signal_ends_the_shell(shell):
    shell.process.send_signal(signal.SIGTERM)
    assert shell.wait() == 128 + signal.SIGTERM


def test_a_new_width_of_the_terminal_is_respected(terminals, path, shared):
    shell = terminals(path, columns=30)
    shell.type("migrate-set-parameters downtime-limit=300")
    shell.expect("limit=300$")
    shared.vmms[0].qmp.command("stop")
    shared.vmms[0].qmp.command("cont")
    shown = shell.expect(r"RESUME\](.|\n)*limit=300$")
    assert shown.count("STOP]") == 1
    shell.type("\n")
    shell.expect(r"\{\}\r?\n" + PROMPT)


def test_a_server_that_is_killed_gets_a_sentence(terminals, guest):
    process = guest.boot()
    shell = terminals(process.qmp_path)
    process.kill()
    shell.expect(r"has closed the connection|cannot be reached any more")
    shell.expect(r"cannot connect to '[^']+'", timeout=20)
    assert shell.wait() == 1
    process.qmp_path.unlink()


def test_the_process_that_is_told_to_quit_ends_the_shell(terminals, guest):
    process = guest.boot()
    shell = terminals(process.qmp_path)
    shell.type("execute quit\n")
    shell.expect("the process has ended")
    assert shell.wait() == 0
    assert process.wait() == 0


def test_the_shell_follows_the_guest_into_a_new_process(terminals, guest, directory, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(directory))
    process = guest.boot()
    shell = terminals(process.qmp_path)
    shell.type("query-sta")
    shell.expect("query-sta$")
    done = subprocess.run([PAGURUSCTL, "upgrade", process.qmp_path], capture_output=True, text=True, timeout=60,
                          check=False)
    assert done.returncode == 0, done.stderr
    shown = shell.expect(r"connected again: process \d+, version [0-9.]+\r?\n" + PROMPT + "query-sta$")
    qmp = Qmp(process.qmp_path)
    pid = qmp.command("query-process")["pid"]
    assert f"process {pid}," in shown and pid != process.pid
    shell.type("tus\n")
    assert '"running": true' in shell.expect(r"\}\r?\n" + PROMPT)
    qmp.command("quit")
    qmp.close()
    eventually(lambda: ended(pid), 10.0, "the end of the new process")
