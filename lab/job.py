"""The job: the shell script that tells the lab's PID 1 (lab/init) what to mount and what to run."""

import os
import shlex
import time
from pathlib import Path

from errors import LabError

# What the lab covers with an empty tmpfs.
_HIDDEN = [Path("/tmp"), Path("/run"), Path("/var/tmp")]
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSED = ("HOME", "TERM", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")
_PASSED_PREFIXES = ("PAGURUS_", "PYTEST_", "PYTHON", "ASAN_", "UBSAN_", "LSAN_", "TSAN_")
_SEED_BYTES = 32


def environment(caller, additions):
    """The command's environment, from the caller's (a mapping) and --env arguments."""
    result = {name: value for name, value in caller.items() if name in _PASSED or name.startswith(_PASSED_PREFIXES)}
    result |= {"PATH": _PATH, "PAGURUS_LAB": "1"}
    # It describes the host's KVM, not the lab's.
    result.pop("PAGURUS_KVM", None)
    result.setdefault("HOME", "/root")
    for addition in additions:
        name, equals, value = addition.partition("=")
        if not name or (not equals and name not in caller):
            raise LabError(f'--env "{addition}": there is no such variable to pass.')
        result[name] = value if equals else caller[name]
    return result


def script(*, command, working_directory, environment, shares, exposed, modules, terminal, virtual_time):
    """The job's text. `terminal` is the size of the caller's terminal, or None; `exposed` may hold visible places."""
    directories = [working_directory.resolve(), *exposed]
    mounts = [f"expose {_quoted(path)}" for path in _outermost(directories) if _is_hidden(path)]
    mounts += [f"share share{number} {_quoted(path)}" for number, path in enumerate(shares)]
    variables = [f"{name}={value}" for name, value in environment.items()]
    words = ["/usr/bin/env", "-i", "-C", str(working_directory.resolve()), *variables, *command]
    lines = [
        f"LAB_NOW={0 if virtual_time else int(time.time())}",
        f"LAB_SEED={'' if virtual_time else os.urandom(_SEED_BYTES).hex()}",
        f"LAB_MODULES={_quoted(modules)}",
        f"LAB_MODE={'terminal' if terminal else 'pipes'}",
        f"LAB_COLUMNS={terminal.columns if terminal else 0}",
        f"LAB_ROWS={terminal.lines if terminal else 0}",
        "lab_mounts() {",
        *[f"    {mount}" for mount in mounts or [":"]],
        "}",
        "lab_exec() {",
        f"    exec {shlex.join(words)}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _outermost(directories):
    """Without those that lie in another one of the list."""
    unique = sorted(set(directories))
    return [path for path in unique if not any(other in path.parents for other in unique)]


def _is_hidden(path):
    return any(path == hidden or hidden in path.parents for hidden in _HIDDEN)


def _quoted(path):
    return shlex.quote(str(path))
