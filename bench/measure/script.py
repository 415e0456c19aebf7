"""What every program of the benchmarks does: its arguments, its namespace, its results."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile

import network

from measure import host, vmms

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


def benchmark(name, description, add, run, evaluate, text, draw=None):
    """A whole program.  run(options, directory) measures, evaluate(result) adds what can be computed from that, text(result)
    tells it to a person, draw(result, directory) paints it."""
    options = arguments(description, add)
    if options.count < 1:
        sys.exit(f"{name}: --count takes at least 1")
    enter_namespace()
    network.ip("link", "set", "lo", "up")
    result = {"benchmark": name, "host": host.describe()}
    with Directory() as directory:
        result |= run(options, directory)
    evaluate(result)
    if options.json != "-":
        print(text(result))
    if options.json:
        written = json.dumps(_rounded(result), indent=1 if options.json == "-" else None) + "\n"
        print(written, end="") if options.json == "-" else pathlib.Path(options.json).write_text(written)
    if options.pictures and draw:
        pathlib.Path(options.pictures).mkdir(parents=True, exist_ok=True)
        draw(result, pathlib.Path(options.pictures))


def _rounded(value):
    """Without digits that nobody has measured."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(each) for each in value]
    return value


def subjects(parser, default):
    """The argument that chooses VMMs."""
    known = list(vmms.ALL)

    def names(text):
        if unknown := set(text.split(",")) - set(known):
            raise argparse.ArgumentTypeError(f"there is no VMM {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        return text.split(",")

    parser.add_argument("--with", dest="subjects", type=names, default=names(default), metavar="LIST",
                        help=f"which VMMs, of {','.join(known)} ({default})")


def guest(parser):
    """The arguments that choose a guest."""
    parser.add_argument("--guest", choices=("probe", "stock"), default="probe", help="which guest (probe)")
    parser.add_argument("--memory", type=int, default=256, metavar="MIB", help="RAM of the guest (256)")
    parser.add_argument("--vcpus", type=int, default=1, metavar="N", help="vCPUs of the guest (1)")
    parser.add_argument("--vhost", action="store_true", help="the kernel serves the rings of the guest's network card")


def chosen_guest(options, append):
    """The guest of these arguments.  `append`: words for the command line of the probe guest's kernel."""
    if options.guest == "stock":
        return vmms.StockGuest(f"{options.memory}M", options.vcpus, options.vhost)
    return vmms.Guest(f"{options.memory}M", options.vcpus, append=append, vhost=options.vhost)


def tell(text):
    """Progress, for a person who waits."""
    print(text, file=sys.stderr, flush=True)
