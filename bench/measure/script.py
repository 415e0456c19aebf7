"""What every program of the benchmarks does: its arguments, its namespace, its results."""

import argparse
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from measure import BUILD, ROOT

_INSIDE = "PAGURUS_BENCH_INSIDE"


def arguments(description, add):
    """The parsed command line.  `add` puts the program's own arguments to those that all have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add(parser)
    parser.add_argument("--json", metavar="FILE", help="write all that was measured there (- for standard output)")
    parser.add_argument("--pictures", metavar="DIRECTORY", help="write pictures (SVG) there, by gnuplot")
    return parser.parse_args()


def enter_namespace():
    """Goes on in a network namespace of its own, so that nothing of the host's network is touched."""
    if os.environ.get(_INSIDE):
        return
    if os.geteuid() != 0:
        sys.exit(f"{pathlib.Path(sys.argv[0]).name}: needs root, for TAPs and network namespaces")
    os.environ[_INSIDE] = "1"
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--", sys.executable, *sys.argv])


class Directory:
    """A short-named directory for sockets, gone at the end."""

    def __enter__(self):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="pgb-"))
        return self.path

    def __exit__(self, *_):
        shutil.rmtree(self.path)


def publish(options, name, result, text):
    """Prints the text, or writes JSON instead or beside."""
    result = {"benchmark": name, **result}
    if options.json == "-":
        print(json.dumps(result, indent=1))
        return
    print(text)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(result, indent=1) + "\n")


def tell(text):
    """Progress, for a person who waits."""
    print(text, file=sys.stderr, flush=True)


def program(name):
    """A built program."""
    return BUILD / name


@functools.cache
def kvm_kind():
    """What /dev/kvm is good for, as scripts/kvm-kind says."""
    return subprocess.run([ROOT / "scripts" / "kvm-kind"], capture_output=True, text=True, check=True).stdout.strip()
