"""What the benchmarks have in common: the programs under test, the numbers and how they are shown.

The clients are those of the functional tests and of the probe guest.
"""

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PAGURUS_BUILD", ROOT / "build" / "release")).resolve()
os.environ.setdefault("PAGURUS_BUILD", str(BUILD))
os.environ.setdefault("PAGURUS_UDP_PROBE", str(BUILD / "udp-probe"))
sys.path[:0] = [str(ROOT / "tests" / "functional"), str(ROOT / "guest")]
