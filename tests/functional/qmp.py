"""A small QMP client of the tests' own, so that a defect in the project's client cannot hide one in the server."""

import array
import json
import select
import socket
import time


class QmpError(Exception):
    """An error answer: .error_class and .desc as the server sent them."""

    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.error_class = error["class"]
        self.desc = error["desc"]


class Qmp:
    def __init__(self, path, timeout=20.0, poll=0.01):
        self.timeout = timeout
        self.socket = connect(path, timeout, poll)
        self.buffer = b""
        self.events = []
        self.greeting = self._read_object()
        self.command("qmp_capabilities")

    def close(self):
        self.socket.close()

    def command(self, command, /, fds=(), **arguments):
        """Executes a command and returns its result; underscores in argument names stand for dashes."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {key.replace("_", "-"): value for key, value in arguments.items()}
        return self.execute(request, fds)

    def execute(self, request, fds=()):
        self.send(request, fds)
        return self.answer()

    def answer(self):
        """The result of the command that was sent."""
        while True:
            answer = self._read_object()
            if "event" in answer:
                self.events.append(answer)
            elif "error" in answer:
                raise QmpError(answer["error"])
            else:
                return answer["return"]

    def send(self, request, fds=()):
        data = json.dumps(request).encode() + b"\n"
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([data], rights)

    def wait_event(self, name, timeout=None, **data):
        """The next event of this name whose data holds these values; removes it and those before it."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name and data.items() <= event.get("data", {}).items():
                    del self.events[: index + 1]
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no event {name} {data} in time; seen: {self.events}")
            self._pump(left)

    def collect_events(self, seconds=0.0):
        """All events that have come, or come within that time."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0)
            if not self._pump(left):
                break
        events, self.events = self.events, []
        return events

    def events_to_the_end(self):
        """All events until the server has closed the connection; answers are passed over."""
        try:
            while True:
                message = self._read_object()
                if "event" in message:
                    self.events.append(message)
        except OSError:
            events, self.events = self.events, []
            return events

    def _pump(self, seconds):
        if b"\n" not in self.buffer:
            if not select.select([self.socket], [], [], seconds)[0]:
                return False
        answer = self._read_object()
        assert "event" in answer, f"an answer nobody asked for: {answer}"
        self.events.append(answer)
        return True

    def _read_object(self):
        deadline = time.monotonic() + self.timeout
        while b"\n" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise TimeoutError("the QMP server did not answer in time")
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the QMP server closed the connection")
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


class RawSession:
    """A connection without manners: sends bytes, returns the answers line by line."""

    def __init__(self, path, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))
        self.buffer = b""
        self.greeting = self.read()

    def read_line(self):
        """With its end; empty at the end of the stream."""
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line + b"\n"

    def read(self):
        line = self.read_line()
        if not line:
            raise ConnectionError("the QMP server closed the connection")
        return json.loads(line)

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def answer(self):
        """The next message that is no event."""
        while "event" in (answer := self.read()):
            pass
        return answer

    def ask(self, text):
        # The newline also ends what a broken request leaves behind.
        self.send((text.encode() if isinstance(text, str) else text) + b"\n")
        return self.answer()

    def unanswered(self, seconds):
        """Nothing but events comes in that time."""
        deadline = time.monotonic() + seconds
        while b"\n" in self.buffer or select.select([self.socket], [], [], max(deadline - time.monotonic(), 0))[0]:
            if "event" not in self.read():
                return False
        return True

    def negotiate(self, *capabilities):
        request = {"execute": "qmp_capabilities"}
        if capabilities:
            request["arguments"] = {"enable": list(capabilities)}
        assert self.ask(json.dumps(request)) == {"return": {}}
        return self

    def close(self):
        self.socket.close()


def connect(path, timeout, poll=0.01):
    """Connects as soon as somebody listens there, for which it looks every `poll` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
            return sock
        except (FileNotFoundError, ConnectionRefusedError):
            sock.close()
            if time.monotonic() > deadline:
                raise TimeoutError(f"nobody listens on {path}") from None
            time.sleep(poll)
