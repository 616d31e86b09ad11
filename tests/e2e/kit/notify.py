"""A service manager, as far as sd_notify(3) is concerned."""

import socket

from . import proc


class Manager:
    """`env` makes a program tell it; `messages` is what it was told."""

    def __init__(self, base, watchdog_s=None):
        path = str(base / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.socket.setblocking(False)
        self.messages = []
        self.env = {"NOTIFY_SOCKET": path}
        if watchdog_s:
            self.env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))

    def read(self):
        while True:
            try:
                self.messages += self.socket.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.messages

    def wait(self, line, n=1):
        proc.wait_until(lambda: self.read().count(line) >= n, 20,
                        f"{n} times {line} (after {self.messages})")

    def statuses(self):
        return [m.partition("=")[2] for m in self.read()
                if m.startswith("STATUS=")]

    def close(self):
        self.socket.close()
