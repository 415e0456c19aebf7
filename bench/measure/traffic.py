"""Traffic to a guest that programs of others make or measure."""

import json
import re
import subprocess

from probe_client import UdpProbe

import stock_command

TCP_S = 3
_SOCKPERF_PORT = 11111
_PERCENTILE = re.compile(r"percentile ([0-9.]+) *= *([0-9.]+)")


def stream(subject, rate, seconds):
    """The report of udp-probe after a steady stream of small packets."""
    return UdpProbe(subject.address, rate=rate, duration=seconds).start().wait(seconds + 30)


def tcp_mbit(subject, reverse=False):
    """Megabits per second of one stream by iperf3, to the guest or from it."""
    done = subprocess.run(["iperf3", "-J", "-c", subject.address, "-t", str(TCP_S), *(["-R"] if reverse else [])],
                          capture_output=True, text=True, timeout=TCP_S + 120, check=False)
    report = json.loads(done.stdout)
    if "error" in report:
        raise RuntimeError(f"iperf3 and the guest of {subject.name}: {report['error']}")
    return report["end"]["sum_received"]["bits_per_second"] / 1e6


def turnaround(subject, seconds):
    """Microseconds there and back of single UDP packets by sockperf, which tells half of that."""
    serve = f"pidof sockperf || {{ sockperf server -i 0.0.0.0 -p {_SOCKPERF_PORT} >/dev/null 2>&1 & }}; " + (
        f"until netstat -lun | grep -q :{_SOCKPERF_PORT}; do sleep 0.1; done")
    stock_command.run(subject.address, serve)
    command = ["sockperf", "ping-pong", "-i", subject.address, "-p", str(_SOCKPERF_PORT), "-m", "64", "-t", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    found = {share: 2 * float(us) for share, us in _PERCENTILE.findall(done.stdout)}
    if "50.000" not in found:
        raise RuntimeError(f"sockperf and the guest of {subject.name}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return {"latency_p50_us": found["50.000"], "latency_p99_us": found["99.000"]}
