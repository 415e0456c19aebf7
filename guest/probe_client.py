#!/usr/bin/env python3
"""Talks to the probe guest from the host side.

Two halves.  The control service of the probe guest (UDP port 4242) is asked with query().  Streams of packets are
measured by the program udp-probe (tools/udp-probe): pacing and time stamps are its job, this module starts it,
stops it and reads its report.  Streams work against any UDP echo server, not only against the probe guest.

As a library:

    with UdpProbe("10.0.0.2", rate=1000) as probe:
        ...                                     # whatever shall not be noticed
    assert probe.report["lost"] == 0

    stats = ProbeControl("10.0.0.2").query("stats")
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

ECHO_PORT = 7
CONTROL_PORT = 4242


class ProbeError(Exception):
    """A sentence for the person who runs this."""


def find_udp_probe(explicit=None):
    """The path of udp-probe: the argument, $PAGURUS_UDP_PROBE, $PATH, or a build directory of this source tree."""
    root = pathlib.Path(__file__).resolve().parent.parent
    candidates = [explicit, os.environ.get("PAGURUS_UDP_PROBE"), shutil.which("udp-probe")]
    candidates += sorted(root.glob("build*/udp-probe")) + sorted(root.glob("build*/tools/udp-probe/udp-probe"))
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise ProbeError("udp-probe was not found: build tools/udp-probe and set PAGURUS_UDP_PROBE to the program.")


class ProbeControl:
    """The control service of a probe guest.  Every request has a token, so late replies are never mixed up."""

    def __init__(self, host, port=CONTROL_PORT, timeout=3.0):
        self.address = (host, port)
        self.timeout = timeout

    def query(self, command, timeout=None, retries=0):
        """Sends a command and returns the reply as a dict; numbers become int.  Not retried unless asked for."""
        timeout = self.timeout if timeout is None else timeout
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(self.address)
            for _ in range(retries + 1):
                reply = self._attempt(sock, command, timeout)
                if reply is not None:
                    if "error" in reply:
                        raise ProbeError(f"The probe guest refused '{command}': {reply['error']}.")
                    return reply
        raise ProbeError(f"The probe guest at {self.address[0]} did not answer '{command}' within {timeout:g} s.")

    @staticmethod
    def _attempt(sock, command, timeout):
        token = "t" + uuid.uuid4().hex[:7]  # never a number: parse_reply() would change its type
        deadline = time.monotonic() + timeout
        try:
            sock.send(f"{command} {token}\n".encode())
        except ConnectionRefusedError:  # the answer of an earlier attempt
            pass
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                reply = parse_reply(sock.recv(2048).decode(errors="replace"))
            except (TimeoutError, ConnectionRefusedError):
                continue
            if reply.get("token") == token:
                return reply
        return None

    def wait_until_ready(self, timeout=60.0):
        """Asks until the guest answers; returns its first statistics."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return self.query("stats", timeout=1.0)
            except (ProbeError, OSError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def check_memory(self, timeout=60.0):
        """Has the whole pattern verified now; the reply has wrong_words and pattern_errors."""
        return self.query("check", timeout=timeout)


    def control(self, name, *values, how="ctrl", times=None):
        """Has the guest give its device a command by the control queue, see control_command().

        `how`: "ctrl" waits for its end; "ctrl-post" posts it `times` times one after the other and does not wait;
        "ctrl-hold" posts it without telling the device until "ctrl-kick".  The reply is that of "ctrl-result".
        """
        words = [how, control_command(name, *values), *([str(times)] if times else [])]
        # Done twice, a command is as if done once; posting is not.  A datagram in a queue that the command takes
        # out of use is lost.
        return self.query(" ".join(words), retries=3 if how == "ctrl" else 0)


RX_MODES = ("promisc", "allmulti", "alluni", "nomulti", "nouni", "nobcast")


def control_command(name, *values):
    """A command of the control queue (virtio 1.2, 5.1.6.5) in hexadecimal digits: class, command, data.

    One of RX_MODES with 0 or 1; mac-table with two lists of addresses; mac-set with one; vlan-add, vlan-del, pairs and
    offloads with a number; announce-ack.
    """
    if name in RX_MODES:
        command = bytes([0, RX_MODES.index(name), values[0]])
    elif name == "mac-table":
        command = bytes([1, 0]) + b"".join(
            len(table).to_bytes(4, "little") + b"".join(map(mac_bytes, table)) for table in values)
    elif name == "mac-set":
        command = bytes([1, 1]) + mac_bytes(values[0])
    elif name in ("vlan-add", "vlan-del"):
        command = bytes([2, ("vlan-add", "vlan-del").index(name)]) + values[0].to_bytes(2, "little")
    elif name == "announce-ack":
        command = bytes([3, 0])
    elif name == "pairs":
        command = bytes([4, 0]) + values[0].to_bytes(2, "little")
    elif name == "offloads":
        command = bytes([5, 0]) + values[0].to_bytes(8, "little")
    else:
        raise ProbeError(f"There is no command '{name}' of the control queue.")
    return command.hex()


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def per_pair(reply, key):
    """The numbers of each queue pair in the reply to "pairs"."""
    return [int(number) for number in str(reply[key]).split(",")]


def parse_reply(text):
    """Lines of key=value as a dict."""
    reply = {}
    for line in text.splitlines():
        key, separator, value = line.partition("=")
        if separator:
            reply[key] = int(value) if value.isdigit() else value
    return reply


class UdpProbe:
    """A stream of sequence-numbered packets against a UDP echo server.

    start() begins, stop() ends it and returns the report; as a context manager both happen by themselves and the
    report is in .report.  `prefix` is put before the command, e.g. ["ip", "netns", "exec", "lab"].
    """

    def __init__(self, host, port=ECHO_PORT, rate=1000, size=64, duration=None, drain=0.5, binary=None, prefix=()):
        self.command = [*prefix, find_udp_probe(binary), "--json", "--rate", str(rate), "--size", str(size),
                        "--drain", str(drain)]
        if duration:
            self.command += ["--duration", str(duration)]
        self.command += [host, str(port)]
        self.report = None
        self._process = None

    def start(self):
        self._process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return self

    def stop(self, timeout=30.0):
        """Ends the sending at once, waits for the last replies and returns the report."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=None):
        """Waits until the duration is over and returns the report."""
        try:
            out, err = self._process.communicate(timeout=timeout)
        except BaseException:
            self._process.kill()
            self._process.communicate()
            raise
        self.report = _parse_report(out, err)
        return self.report

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def find_highest_rate(host, maximum, port=ECHO_PORT, size=64, step=2.0, binary=None, prefix=()):
    """The highest rate (packets per second) up to `maximum` that loses nothing, with all trials."""
    command = [*prefix, find_udp_probe(binary), "--json", "--find-max", str(maximum), "--step", str(step), "--size",
               str(size), host, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return _parse_report(done.stdout, done.stderr)


def _parse_report(out, err):
    try:
        return json.loads(out)
    except json.JSONDecodeError as error:
        raise ProbeError(err.strip() or "udp-probe printed no report.") from error


def _parse_arguments(arguments):
    parser = argparse.ArgumentParser(description="Ask a probe guest, or measure a UDP echo server.")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--udp-probe", metavar="PATH", help="the udp-probe program (default: found by itself)")
    commands = parser.add_subparsers(dest="command", required=True)

    query = commands.add_parser("query", help="send a command to the control service of the probe guest")
    query.add_argument("host")
    query.add_argument("request", help="stats, net, pairs, gaps, cpus, reset-gap, check, poweroff or reset")
    query.add_argument("--port", type=int, default=CONTROL_PORT)
    query.add_argument("--timeout", type=float, default=30.0, metavar="S")

    run = commands.add_parser("run", help="send packets until Ctrl-C or the duration is over")
    run.add_argument("host")
    run.add_argument("--port", type=int, default=ECHO_PORT)
    run.add_argument("--rate", type=float, default=1000, metavar="N", help="packets per second")
    run.add_argument("--size", type=int, default=64, metavar="BYTES", help="UDP payload")
    run.add_argument("--duration", type=float, metavar="S")

    rate = commands.add_parser("find-rate", help="find the highest rate that loses nothing")
    rate.add_argument("host")
    rate.add_argument("maximum", type=float, help="where to stop, packets per second")
    rate.add_argument("--port", type=int, default=ECHO_PORT)
    rate.add_argument("--size", type=int, default=64, metavar="BYTES", help="UDP payload")
    rate.add_argument("--step", type=float, default=2.0, metavar="S", help="time for one rate")
    return parser.parse_args(arguments)


def _run(args):
    if args.command == "query":
        return ProbeControl(args.host, args.port).query(args.request, timeout=args.timeout)
    if args.command == "find-rate":
        return find_highest_rate(args.host, args.maximum, args.port, args.size, args.step, args.udp_probe)
    # Ctrl-C reaches udp-probe as well, which then ends with its report.
    signal.signal(signal.SIGINT, lambda *_: None)
    return UdpProbe(args.host, args.port, args.rate, args.size, args.duration, binary=args.udp_probe).start().wait()


def main():
    args = _parse_arguments(sys.argv[1:])
    try:
        reply = _run(args)
    except (ProbeError, OSError) as error:
        print(f"probe_client: {error}", file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps(reply))
    else:
        for key, value in reply.items():
            print(f"{key}={value}")
    return 1 if reply.get("lost", 0) or reply.get("wrong_words", 0) else 0


if __name__ == "__main__":
    sys.exit(main())
