"""The probe guest as tests see it: one guest on one TAP, whichever process runs it at the moment."""

import itertools
import os
import pathlib
import socket
import sys
import time

import network
import vmm
from vmm import BUILD, Vmm, eventually

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "guest"))
from probe_client import ProbeControl, ProbeError, UdpProbe, find_highest_rate, per_pair  # noqa: E402

PROBE = BUILD / "probe.elf"
MAC = "52:54:00:00:00:17"
READY_TIMEOUT = 60.0


class Guest:
    """Starts processes for one guest, and asks the guest itself over UDP.

    `options` are the words of the command line by name; a process started with other values for some
    of them (start(), destination()) differs in these only.

    With `queues` the guest uses so many queue pairs of a device with mq=on, on a TAP with as many queues.
    """

    def __init__(self, directory, vnet_hdr=True, queues=None, **options):
        self.directory = directory
        self.queues = queues
        self.taps = [network.Tap(vnet_hdr, multi_queue=(queues or 1) > 1)]
        self.vmms = []
        self._numbers = itertools.count()
        self.options = {
            "machine": "pagurus-1.2",
            "memory": "64M",
            "smp": "1",
            "kernel": PROBE,
            "append": "",
            "netdev": self.netdev_on(self.tap),
            "device": f"virtio-net-pci,netdev=n0,mac={MAC}" + (",mq=on" if queues else ""),
            "serial": "none",
            "extra": (),
            **options,
        }

    @property
    def tap(self):
        return self.taps[0]

    def netdev_on(self, tap):
        """The words of -netdev for one of the guest's TAPs."""
        queues = f",queues={self.queues}" if self.queues else ""
        return f"tap,id=n0,ifname={tap.name},script=no,downscript=no{queues}"

    def words(self, **changes):
        options = {**self.options, **changes}
        queues = f" probe.queues={self.queues} probe.ctrl=1" if self.queues else ""
        append = f"probe.ip={self.tap.guest} probe.pattern=1M probe.smp={options['smp']}{queues} {options['append']}".strip()
        return ["-machine", options["machine"], "-cpu", "host", "-m", options["memory"], "-smp", options["smp"],
                "-kernel", options["kernel"], "-append", append, "-netdev", options["netdev"],
                "-device", options["device"], "-serial", options["serial"], *options["extra"]]

    def launch(self, *more, pass_fds=(), qmp=True, binary=vmm.PAGURUS, prefix=(), **changes):
        """A further process with this guest's words and some more."""
        name = f"p{next(self._numbers)}"
        process = Vmm(self.directory, name, [*self.words(**changes), *more], binary=binary, pass_fds=pass_fds, qmp=qmp,
                      prefix=prefix)
        self.vmms.append(process)
        return process

    def boot(self, *more, **changes):
        """The first process; returns it once the guest answers."""
        process = self.launch(*more, **changes)
        self.wait_until_ready()
        return process

    def destination(self, *more, incoming="defer", **changes):
        """A process that waits for the guest; all migration settings are on."""
        process = self.launch(*more, "-incoming", incoming, **changes)
        prepare(process)
        return process

    def wait_until_ready(self):
        return self.control().wait_until_ready(READY_TIMEOUT)

    def control(self, tap=None):
        return ProbeControl((tap or self.tap).guest, timeout=5.0)

    def frames_by_pair(self):
        """How many frames the guest has received by each of its queue pairs."""
        return per_pair(self.ask("pairs"), "rx_frames")

    def loss_free_rate(self, most=8000):
        """The highest rate of packets per second, up to `most`, of which none is lost; found in some seconds, and told.

        The TAP's queue is short meanwhile: the usual one would take in half a second what the guest cannot answer.
        """
        self.tap.set_queue(50)
        # A busy machine may lose something even at the lowest rate.
        for _ in range(10):
            report = find_highest_rate(self.tap.guest, most, step=0.5)
            if report["highest_loss_free_rate"]:
                break
        self.tap.set_queue(1000)
        rate = report["highest_loss_free_rate"]
        assert rate > 0, report
        print(f"highest rate without loss: {rate:.0f} packets per second, after {len(report['trials'])} trials")
        return rate

    def ask(self, command="stats", timeout=None):
        """One answer of the guest.  Retried: the host's ARP and a busy machine may cost a datagram."""
        return self.control().query(command, timeout=timeout, retries=3)

    def answers(self, timeout=1.0):
        try:
            self.control().query("stats", timeout=timeout)
            return True
        except (ProbeError, OSError):
            return False

    def check(self):
        """The guest's memory is as the guest wrote it."""
        reply = self.control().check_memory()
        assert reply["wrong_words"] == 0, reply
        assert reply["pattern_errors"] == 0, reply

    def forget(self, process):
        """Of a process that is done: makes sure of its end, and that remove() will not tell of it."""
        end(process)
        self.vmms.remove(process)

    def remove(self):
        """Ends every process and removes the TAPs; tells what the processes said."""
        for process in self.vmms:
            end(process)
            if process.stderr():
                print(f"--- standard error of {process.name} (status {process.process.returncode})\n{process.stderr()}")
        for tap in self.taps:
            tap.remove()


def end(process):
    """Ends a process as an operator would; what a killed one left behind is removed."""
    if process.alive():
        process.process.terminate()
        try:
            process.wait(10)
        except Exception:
            process.kill()
            raise
    process.kill()
    if process.process.returncode not in (0, 1):
        process.qmp_path.unlink(missing_ok=True)


def prepare(process, backend_transfer=True):
    process.qmp.command("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    process.qmp.command("migrate-set-parameters", backend_transfer=backend_transfer)


def migration(process):
    return process.qmp.command("query-migrate")


def settled(process, timeout=20.0):
    """query-migrate's answer once no hand-over is going on there."""
    return eventually(
        lambda: (info := migration(process)).get("status") in ("completed", "failed", "cancelled") and info,
        timeout, f"the end of the hand-over of {process.name}")


def give(source, uri, timeout=20.0):
    """Asks `source` to hand over to `uri`; returns query-migrate's answer at the end."""
    source.qmp.command("migrate", uri=uri)
    return settled(source, timeout)


def hand_over(source, destination, timeout=20.0):
    """A whole hand-over of which success is expected; destination() has prepared the destination."""
    prepare(source)
    uri = f"unix:{destination.directory}/{destination.name}.mig"
    destination.qmp.command("migrate-incoming", uri=uri)
    info = give(source, uri, timeout)
    assert info["status"] == "completed", info
    assert settled(destination)["status"] == "completed"
    return info


def catches_up(address, prompt_s=0.02, limit_s=10):
    """Whether the guest answers promptly again, before the limit.

    What is sent now is answered after all that waits for the guest by now, wherever that is.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((address, 7))
        udp.settimeout(limit_s)
        deadline = time.monotonic() + limit_s
        while (sent := time.monotonic()) < deadline:
            udp.send(b"?")
            try:
                udp.recv(100)
            except TimeoutError:
                return False
            if time.monotonic() - sent < prompt_s:
                return True
    return False


def move(guest, source, times=1, catch_up=False, **changes):
    """Hands the guest over to new processes, one after the other, and ends the old ones; returns the last.

    catch_up: each hand-over begins when the guest has caught up with what came in the one before, if it ever does.
    """
    for _ in range(times):
        destination = guest.destination(**changes)
        hand_over(source, destination)
        source.quit()
        guest.forget(source)
        source = destination
        if catch_up:
            catches_up(guest.tap.guest)
    return source


def processes_of_this_run():
    """The ids of all processes that this test run started, wherever they have gone since."""
    found = set()
    marker = f"PAGURUS_FUNCTIONAL_TEST={os.getpid()}".encode()
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except OSError:
            pass
    return found
