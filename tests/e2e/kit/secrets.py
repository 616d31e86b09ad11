"""Every secret of a run, and the places where none may be.

`Secrets` knows what graphd handed out (from its tap, graphd --tap); whoever
adds another kind of secret adds it with add()."""

import json
import os
import pathlib
import re
import subprocess
import threading
import urllib.parse

from . import proc

_TOKEN = re.compile(rb'"(?:access_token|refresh_token|device_code)"'
                    rb'\s*:\s*"([^"\\]+)"')
_URL = re.compile(rb'"(?:uploadUrl|@microsoft\.graph\.downloadUrl)"'
                  rb'\s*:\s*("(?:[^"\\]|\\.)+")|^Location: (\S+)$', re.M)
_BEARER = re.compile(rb"^Authorization: Bearer (\S+)$", re.M | re.I)


class Secrets:
    """{secret: what it is}; both bytes."""

    def __init__(self):
        self.found = {}

    def add(self, secret, what):
        secret = secret.encode() if isinstance(secret, str) else secret
        assert len(secret) >= 8, f"{what} is too short to look for"
        self.found[secret] = what

    def add_tap(self, path):
        """Tokens, codes and the credentials in URLs."""
        text = pathlib.Path(path).read_bytes()
        for token in _TOKEN.findall(text) + _BEARER.findall(text):
            self.add(token, "token")
        for quoted, plain in _URL.findall(text):
            url = json.loads(quoted) if quoted else plain.decode()
            query = urllib.parse.urlsplit(url).query
            for part in re.split("[&=]", query):
                if len(part) >= 16:
                    self.add(part, "URL")
                    self.add(urllib.parse.unquote(part), "URL")

    def add_vault(self, graphd, identity, recovery_key):
        """Keys of this device, of the recovery sheet, and all that the
        descriptor holds."""
        own = re.compile("AGE-SECRET-KEY-1[A-Z0-9]+")
        for path, what in ((identity, "identity"), (recovery_key, "recovery")):
            for key in own.findall(pathlib.Path(path).read_text()):
                self.add(key, what)
        done = subprocess.run(
            ["age", "-d", "-i", str(recovery_key)], capture_output=True,
            input=graphd.raw.read(".nmbackupfs/vault.age"), check=True)
        self._add_members(json.loads(done.stdout))

    def _add_members(self, value, name=""):
        if isinstance(value, dict):
            for member, below in value.items():
                self._add_members(below, member)
        elif isinstance(value, list):
            for below in value:
                self._add_members(below, name)
        elif name in ("identity", "key"):
            self.add(value, "vault key")

    def kinds(self):
        return set(self.found.values())

    def in_bytes(self, data):
        return sorted({what for secret, what in self.found.items()
                       if secret in data})


class Watch:
    """Looks at arguments and environment of every process below this one,
    again and again, until end()."""

    def __init__(self):
        self.seen = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._end.wait(0.005):
            self.look(os.getpid())

    def look(self, pid):
        for child in proc.children(pid):
            try:
                for what in ("cmdline", "environ"):
                    data = pathlib.Path(f"/proc/{child}/{what}").read_bytes()
                    self.seen.setdefault(data, f"{what} of {child}: "
                                               f"{proc.command_of(child)}")
                self.look(child)
            except OSError:
                continue  # it has ended

    def end(self):
        """{bytes: where they were}"""
        self._end.set()
        self._thread.join()
        return self.seen
