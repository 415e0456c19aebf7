"""The demo in the nested test host: the same program in there, and its files brought out."""

import shutil

import show
from ending import die_with_parent
from guest import BUILD, CACHE, REPOSITORY

# As the functional tests take it, so that they share its snapshot; seconds for the whole.
MEMORY_MIB = 3072
TIMEOUT_S = 900
# lab/run's status for the rare freeze that is QEMU's and not ours.
STATUS_FROZE = 123
ATTEMPTS = 3


def run(arguments, scene):
    """Returns the exit status. A lab that froze is started again, and that is said."""
    share = REPOSITORY / "build/lab-out"
    share.mkdir(parents=True, exist_ok=True)
    # Only what lies in the share can be written in there.
    out = scene.make_directory(share)
    command = ["lab/run", "--memory", MEMORY_MIB, "--timeout", TIMEOUT_S, "--expose", BUILD, "--expose", CACHE, "--",
               "demo/run", "--where", "direct", "--hand-overs", arguments.hand_overs, "--smp", arguments.smp,
               "--json", out / "report.json", "--keep-logs", out / "logs"]
    if arguments.rate:
        command += ["--rate", arguments.rate]
    for attempt in range(1, ATTEMPTS + 1):
        status = scene.start(command, cwd=REPOSITORY, preexec_fn=die_with_parent).wait()
        if status != STATUS_FROZE:
            break
        if attempt < ATTEMPTS:
            show.say("\nThe nested test host froze, which is a rare defect of QEMU's; once more "
                     f"({attempt + 1} of {ATTEMPTS})")
    bring_out(out, arguments)
    return status


def bring_out(out, arguments):
    if arguments.json and (out / "report.json").exists():
        shutil.copyfile(out / "report.json", arguments.json)
    if arguments.keep_logs and (out / "logs").exists():
        shutil.copytree(out / "logs", arguments.keep_logs, dirs_exist_ok=True)
