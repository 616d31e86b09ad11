"""A graphd process and a client for it that follows no rule by itself.

Used by the tests of graphd here; needs nothing but the standard library."""

import http.client
import json
import os
import pathlib
import signal
import ssl
import subprocess
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("NMB_TEST_GRAPHD") or str(ROOT / "build/gcc/graphd")
GRANULE = 327680
WAIT_S = 20


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json["error"]["code"]

    @property
    def inner(self):
        error = self.json["error"]
        inner = error.get("innerError") or error.get("innererror") or {}
        return inner.get("code")

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


class Graphd:
    def __init__(self, *options, kind="business", ca=None):
        self.options = list(options)
        self.tls = ssl.create_default_context(cafile=ca) if ca else None
        self.kind = kind
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [BINARY, "--port", str(self.port), "--kind", self.kind,
             *self.options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        assert line, "graphd did not start"
        self.info = json.loads(line)
        self.port = self.info["port"]
        self.new_token()
        self.drive = "/drives/" + self.info["drive_id"]

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(sig)
        status = self.process.wait(WAIT_S)
        self.process.stdout.close()
        self.process = None
        return status

    def new_token(self, **what):
        self.token = self.control("POST", "token", what).json["access_token"]

    # -- requests -----------------------------------------------------------

    def request(self, method, url, body=None, headers=None, bearer=False):
        """One request on a connection of its own; redirects are answers."""
        headers = dict(headers or {})
        if bearer:
            headers["Authorization"] = "Bearer " + self.token
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        parts = urllib.parse.urlsplit(url)
        target = url.split(parts.netloc, 1)[1]  # byte for byte
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=60, context=self.tls) \
            if parts.scheme == "https" else \
            http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def graph(self, method, path, body=None, headers=None):
        url = path if path.startswith("http") else \
            self.info["graph_url"] + path
        return self.request(method, url, body, headers, bearer=True)

    def get(self, path, **headers):
        return self.graph("GET", path, headers=headers)

    def control(self, method, page, body=None, **query):
        url = self.info["control_url"] + "/" + page
        if query:
            url += "?" + urllib.parse.urlencode(query)
        answer = self.request(method, url, body)
        assert answer.status in (200, 408), answer
        return answer

    # -- the control page -----------------------------------------------------

    def set(self, **what):
        self.control("POST", "set", what)

    def quirks(self, **what):
        self.set(quirks=what)

    def fault(self, match, times=1, skip=0, name="f", **do):
        self.control("POST", "faults",
                     {"name": name, "match": match, "times": times,
                      "skip": skip, "do": do})

    def fired(self, name="f"):
        return sum(f["fired"] for f in self.control("GET", "faults").json
                   if f["name"] == name)

    def change(self, *ops):
        return self.control("POST", "change", list(ops)).json["items"]

    def stats(self):
        return self.control("GET", "stats").json

    def forbidden(self):
        return {f["rule"].split(":")[0]: f["count"]
                for f in self.stats()["forbidden"]}

    def dump(self, **query):
        return self.control("GET", "dump", **query).json

    def tree(self):
        return {i["path"]: i for i in self.dump()["items"]}

    # -- what most tests need ---------------------------------------------------

    def mkdir(self, name, parent="root", **more):
        where = self.drive + ("/root" if parent == "root"
                              else f"/items/{parent}")
        return self.graph("POST", where + "/children",
                          {"name": name, "folder": {}, **more})

    def put(self, path, data, query="", **headers):
        quoted = urllib.parse.quote(path)
        return self.graph("PUT", f"{self.drive}/root:/{quoted}:/content{query}",
                          data, headers)

    def open_session(self, path, body=None, **headers):
        quoted = urllib.parse.quote(path)
        return self.graph(
            "POST", f"{self.drive}/root:/{quoted}:/createUploadSession",
            body if body is not None else {"item": {}}, headers)

    def fragment(self, url, data, first, total, **headers):
        last = first + len(data) - 1
        return self.request("PUT", url, data, {
            "Content-Range": f"bytes {first}-{last}/{total}", **headers})

    def upload(self, path, data, body=None, step=4 * GRANULE):
        answer = self.open_session(path, body)
        url = answer.json["uploadUrl"]
        for first in range(0, len(data), step):
            answer = self.fragment(url, data[first:first + step], first,
                                   len(data))
        return answer

    def content(self, path):
        return self.control("GET", "content", path=path).body

    def pages(self, path):
        """Items of all pages, and the last page."""
        items = []
        while True:
            page = self.get(path).json
            items += page["value"]
            path = page.get("@odata.nextLink")
            if not path:
                return items, page

    def delta(self, link=None):
        """Items of a round, last occurrence wins, and the next link."""
        items, last = self.pages(link or self.drive + "/root/delta")
        return ({i["id"]: i for i in items}, last["@odata.deltaLink"])


def wait_until(condition, what=""):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"timed out: {what}"
        time.sleep(0.01)


def pattern(n):
    return bytes(i % 251 for i in range(251)) * (n // 251) + \
        bytes(i % 251 for i in range(n % 251))
