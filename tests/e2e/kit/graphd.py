"""graphd, the emulator: one process per test, steered over its control page.

What can be set and asked stands in tests/graphd/control.h; this wraps it in
words of the tests. Paths are relative to the folder of the program
("nmbackupfs") unless `folder` says otherwise."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

from . import proc

sys.path.append(str(proc.ROOT / "tests/interop"))
import front  # noqa: E402

BINARY = pathlib.Path(os.environ.get("NMB_TEST_GRAPHD")
                      or proc.ROOT / "build/gcc/graphd").resolve()
FOLDER = "nmbackupfs"
KINDS = {"personal": "personal", "migrated": "personal-migrated",
         "work": "business"}
# What "login" may hold that happens once and is not a way to behave.
EVENTS = {"approve", "decline", "expire_access", "revoke_refresh", "fail"}
# Requests of a class that carry file content up.
UPLOADS = ("put", "multipart", "fragment")

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Graphd:
    """A drive of `kind` (personal, migrated, work) with a latency in ms, and
    with TLS and HTTP/2 in front of it if `http2`.

    The drive outlives stop() and start(), which keep the port; counters are
    summed over both."""

    def __init__(self, base, kind="personal", latency_ms=0, http2=False):
        self.base = pathlib.Path(base)
        self.base.mkdir(parents=True, exist_ok=True)
        self.log = self.base / "graphd.log"
        self.kind = kind
        self.account = "work" if kind == "work" else "personal"
        self.port = 0
        self.process = None
        self.front = front.Front(self.base / "front") if http2 else None
        self._front_runs = contextlib.ExitStack()
        self._past = []      # statistics of earlier runs
        self._marks = {}     # counts from which wait_request() counts
        self._faults = 0
        self._last_fault = None
        # What was on its way when it was told to wait (tests/graphd/quirks.h).
        grace = {"freeze_grace_ms": int(proc.patience(300))}
        self._sticky = {"login": {"interval_s": 0}, "quirks": grace,
                        "latency_ms": {"*": latency_ms}, "bandwidth": {}}

    # -- the process --------------------------------------------------------

    def command(self):
        return [str(BINARY), "--port", str(self.port), "--kind",
                KINDS[self.kind], "--data", str(self.base / "data"),
                "--quota", str(5 * 2**30),
                *(["--content-url", f"https://localhost:{self.front.port}"]
                  if self.front else [])]

    def start(self):
        command = self.command()
        for attempt in range(50):
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=log, preexec_fn=proc.die_with_parent)
            line = self.process.stdout.readline()
            if line or attempt == 49:
                break
            self.process.wait()
            time.sleep(0.1)  # somebody else has our port for a moment
        assert line, "graphd did not start:\n" + proc.tail(self.log)
        info = json.loads(line)
        self.port = info["port"]
        self.direct_url = self.graph_url = info["graph_url"]
        self.login_url = info["login_url"]
        self.content_url = info["content_url"]
        self.url = info["control_url"]
        if self.front:
            self._front_runs.enter_context(self.front.to(self.port))
            for name in ("graph_url", "login_url"):
                path = urllib.parse.urlsplit(info[name]).path
                setattr(self, name, self.front.url + path)
        self._marks = {}
        self._post("set", self._sticky)

    def stop(self):
        """The network is down: connections are refused from now on."""
        if self.process is None:
            return
        if self.is_running():
            self._past.append(self._get("stats"))
        self._front_runs.close()
        proc.stop(self.process)
        self.process.stdout.close()
        self.process = None

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def client_env(self):
        """How the program finds it."""
        env = {"NMBACKUPFS_GRAPH_URL": self.graph_url,
               "NMBACKUPFS_LOGIN_URL": self.login_url}
        if self.front:
            env |= {"NMBACKUPFS_CA_FILE": str(self.front.ca),
                    "NMBACKUPFS_HTTP2_ANY": "yes"}
        return env

    # -- requests to the control page ---------------------------------------

    def _call(self, method, page, body=None, timeout=60, **query):
        url = f"{self.url}/{page}"
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            url, data=data, method=method,
            headers={"Content-Type": "application/json"} if data else {})
        try:
            with _opener.open(request, timeout=timeout) as answer:
                return answer.read()
        except urllib.error.HTTPError as e:
            text = e.read().decode(errors="replace")
            if e.code == 408:
                raise TimeoutError(f"graphd: {page} {query}") from None
            raise AssertionError(f"graphd: {method} {page}: {e.code} {text}") \
                from None

    def _get(self, page, **query):
        return json.loads(self._call("GET", page, **query))

    def _post(self, page, body):
        answer = self._call("POST", page, body)
        return json.loads(answer) if answer else None

    def _set(self, name, values):
        """Sets, and remembers what a restart must set again."""
        self._sticky[name].update(
            {k: v for k, v in values.items() if k not in EVENTS})
        self._post("set", {name: values})

    def _wait(self, timeout=20, **conditions):
        timeout = proc.patience(timeout)
        self._call("GET", "wait", timeout=timeout + 20,
                   timeout_ms=int(timeout * 1000), **conditions)

    # -- how it behaves -------------------------------------------------------

    def login(self, **settings):
        self._set("login", settings)

    def quirk(self, **values):
        self._set("quirks", values)

    def latency(self, ms, **classes):
        self._set("latency_ms", {"*": ms, **classes})

    def limit(self, up=None, down=None):
        """Bandwidth in bytes per second, 0 for none."""
        self.mark()
        values = {"up": up, "down": down}
        self._set("bandwidth", {k: v for k, v in values.items()
                                if v is not None})

    def throttle(self, **settings):
        self._post("set", {"throttle": settings})

    def set_quota(self, remaining):
        used = sum(i["size"] for i in self._items() if i["type"] == "file")
        self._post("set", {"quota_bytes": max(1, used + remaining)})

    def expire(self, what):
        """sessions, session_tokens, urls, access or refresh."""
        self._post("set", {"expire": what})

    def delta_gone(self, how="apply"):
        self._post("set", {"delta_gone": how})

    @contextlib.contextmanager
    def hidden_from_delta(self):
        """Changes meanwhile show up in the delta feed only afterwards."""
        self.quirk(delta_lag_ms=3_600_000)
        yield
        self.quirk(delta_lag_ms=0)

    def fault(self, match=None, times=1, skip=0, **do):
        """A rule (control.h). `match`: a class of requests or a dict; `times`
        0: for ever. wait_fault() waits until it has happened."""
        self.mark()
        self._faults += 1
        self._last_fault = f"f{self._faults}"
        if isinstance(match, str):
            match = {"class": match}
        rule = {"name": self._last_fault, "match": match or {}, "times": times,
                "skip": skip, "do": do}
        self._post("faults", rule)
        return self._last_fault

    def wait_fault(self, name=None, times=1, timeout=20):
        self._wait(timeout, fired=name or self._last_fault, times=times)

    def fired(self, name=None):
        name = name or self._last_fault
        [rule] = [f for f in self._get("faults") if f["name"] == name]
        return rule["fired"]

    def clear_faults(self):
        self._call("DELETE", "faults")

    def stall(self, match):
        """Requests are taken and not answered, until unstall()."""
        self.fault(match, times=0, stall_ms=3_600_000)

    def unstall(self):
        """Those that hang end without an answer."""
        self.stop()  # faults are forgotten
        self.start()

    # -- what it saw ------------------------------------------------------------

    def stats(self):
        return self._get("stats")

    def _all_stats(self):
        now = [self.stats()] if self.is_running() else []
        return self._past + now

    def requests(self):
        """{class: number of requests to Graph and its content hosts}, parts
        of batches included."""
        total = {}
        for stats in self._all_stats():
            for name, row in stats["classes"].items():
                if name in ("control", "login"):
                    continue
                total[name] = total.get(name, 0) + row["count"]
        return total

    def total_requests(self):
        return sum(s["requests"] for s in self._all_stats())

    def _bytes(self, member, classes):
        return sum(row[member] for stats in self._all_stats()
                   for name, row in stats["classes"].items()
                   if name in classes)

    def bytes_up(self):
        return self._bytes("in_bytes", UPLOADS)

    def bytes_down(self):
        return self._bytes("out_bytes", ("download",))

    def login_stats(self):
        return self.stats()["login"]

    def throttle_stats(self):
        return self.stats()["throttle"]

    def mark(self):
        """wait_request() waits for requests that begin after this."""
        classes = self.stats()["classes"]
        self._marks = {name: row["count"] for name, row in classes.items()}

    def wait_request(self, cls, more=1, timeout=20):
        """Until a request of that class began since mark(), limit(), fault()."""
        self._wait(timeout, **{"class": cls,
                               "count": self._marks.get(cls, 0) + more})

    def upload_begun(self):
        """Whether any content was sent since mark() and so on."""
        classes = self.stats()["classes"]
        return any(classes.get(c, {}).get("count", 0)
                   > self._marks.get(c, 0) for c in UPLOADS)

    def wait_upload(self, timeout=20):
        proc.wait_until(self.upload_begun, timeout, "an upload")

    def wait_idle(self, ms=200, timeout=20):
        self._wait(timeout, idle_ms=ms)

    def wait_for(self, path, timeout=20, folder=FOLDER, **what):
        """Until an item is there; size=, hash=, etag_not=."""
        self._wait(timeout, path=self._path(path, folder), **what)

    def wait_gone(self, path, timeout=20, folder=FOLDER):
        self._wait(timeout, gone=self._path(path, folder))

    def summary(self):
        """Numbers of all its runs, for the sum over all tests."""
        return {"servers": 1,
                "requests": sum(s["requests"] for s in self._all_stats()),
                "auth_leaks": sum(s["auth_leaks"] for s in self._all_stats()),
                "forbidden": sum(f["count"] for s in self._all_stats()
                                 for f in s["forbidden"])}

    def assert_alive(self):
        """It runs, or a test has stopped it; it does not end by itself."""
        assert self.process is None or self.is_running(), \
            f"graphd ended with {self.process.poll()}:\n" + proc.tail(self.log)

    def assert_clean(self):
        """Rules of the service that no client may break."""
        for stats in self._all_stats():
            assert stats["auth_leaks"] == 0, \
                f"Authorization was sent to {stats.get('last_leak')}"
            assert not stats["forbidden"], \
                "forbidden requests:\n" + "\n".join(
                    f"{f['count']} x {f['rule']}: {f.get('last')}"
                    for f in stats["forbidden"])

    # -- the drive --------------------------------------------------------------

    @staticmethod
    def _path(path, folder):
        return "/" + "/".join(p for p in (folder, str(path)) if p)

    def _items(self):
        return self._get("dump")["items"]

    def tree(self, folder=FOLDER):
        """{path below the folder: item}, files and folders."""
        prefix = self._path("", folder).rstrip("/") + "/"
        return {i["path"][len(prefix):]: i for i in self._items()
                if i["path"].startswith(prefix)}

    def files(self, folder=FOLDER):
        return {p: i for p, i in self.tree(folder).items()
                if i["type"] == "file"}

    def names(self, folder=FOLDER):
        return {p for p in self.tree(folder) if "/" not in p}

    def item(self, path, folder=FOLDER, missing_ok=False):
        found = self.tree(folder).get(str(path))
        assert found or missing_ok, f"{path} is not on the server"
        return found

    def read(self, path, folder=FOLDER):
        return self._call("GET", "content", path=self._path(path, folder))

    def all_contents(self):
        return [self.read(path) for path in self.files()]

    @staticmethod
    def stored_size(size):
        """Bytes on the drive of a file of that size."""
        return size

    def versions(self, path):
        """Contents of all versions, oldest first."""
        item = self.item(path, missing_ok=True)
        if not item:
            return []
        where = self._path(path, FOLDER)
        return [self._call("GET", "content", path=where, version=n)
                for n in range(1, item["versions"] + 1)] + [self.read(path)]

    def version_digests(self, path):
        """SHA-256 of all versions, oldest first, for large ones."""
        where = self._path(path, FOLDER)
        old = [{"version": n}
               for n in range(1, self.item(path)["versions"] + 1)]
        return [self._digest(path=where, **v) for v in old + [{}]]

    def _digest(self, **query):
        url = f"{self.url}/content?" + urllib.parse.urlencode(query)
        digest = hashlib.sha256()
        with _opener.open(url, timeout=60) as answer:
            while block := answer.read(2**20):
                digest.update(block)
        return digest.hexdigest()

    def sessions(self):
        return self._get("dump")["sessions"]

    def session_offset(self):
        """Bytes the furthest open upload session has confirmed."""
        return max((s["received"] for s in self.sessions()), default=0)

    def quota(self):
        token = self._post("token", {})["access_token"]
        request = urllib.request.Request(
            self.direct_url + "/me/drive",
            headers={"Authorization": f"Bearer {token}"})
        with _opener.open(request, timeout=20) as answer:
            return json.load(answer)["quota"]

    # -- another device -----------------------------------------------------------

    def _change(self, op, path, folder=FOLDER, **more):
        return self._post("change", {"op": op, "path": self._path(path, folder),
                                     **more})

    def put(self, path, data, folder=FOLDER, **more):
        text = base64.b64encode(data).decode()
        self._change("put", path, folder, base64=text, **more)

    def put_made(self, path, size, seed, folder=FOLDER):
        """Content that made() gives too, without sending it."""
        self._change("put", path, folder, size=size, seed=seed)

    @staticmethod
    def made(size, seed):
        """Byte i = (seed + i * 131 + i / 251) mod 256, by its period."""
        period = bytes((seed + i * 131 + i // 251) % 256
                       for i in range(min(size, 251 * 256)))
        return (period * (size // max(1, len(period)) + 1))[:size]

    def mkdir(self, path, folder=FOLDER):
        self._change("mkdir", path, folder)

    def fill(self, path, files, folder=FOLDER, size=0, seed=0):
        """A folder with so many files f0000000..., all of one content."""
        self._change("fill", path, folder, files=files, size=size, seed=seed)

    def rename(self, path, to, folder=FOLDER):
        self._change("move", path, folder, to=self._path(to, folder))

    def delete(self, path, folder=FOLDER):
        self._change("delete", path, folder)

    def destroy(self, path):
        """Deleted for good, old versions too."""
        self._change("destroy", path)

    def trim(self, path):
        """The service keeps no old version of it any more."""
        self._change("trim", path)

    def give_back(self):
        """A person empties the recycle bin into the folders all was in."""
        self._change("give_back", "", "")

    def touch(self, path):
        """Tags move, nothing else does."""
        self._change("touch", path)

    def lose_tombstone(self, path):
        """Its delete, when it comes, is never told by the feed."""
        self._change("set", path, no_tombstone=True)

    def package(self, path):
        """A notebook: neither file nor folder."""
        self._change("package", path)

    def mark_malware(self, path):
        self._change("set", path, malware=True)
