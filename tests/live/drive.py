"""Graph, asked directly: a bearer of the program's own sign-in, one scratch
folder, and answers that can be shown to anybody."""

import base64
import json
import pathlib
import re
import secrets
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

PREFIX = "nmbackupfs-live-"


class Refused(Exception):
    """An answer that a step can't go on from."""


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body
        try:
            self.json = json.loads(body) if body else {}
        except ValueError:
            self.json = {}

    @property
    def ok(self):
        return 200 <= self.status < 300

    def brief(self):
        """Status and error codes: no text of the service, it may hold ids."""
        codes, error = [], self.json.get("error")
        while isinstance(error, dict) and len(codes) < 4:
            if error.get("code"):
                codes.append(str(error["code"]))
            error = error.get("innerError") or error.get("innererror")
        return " / ".join([str(self.status), *codes])


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


class Drive:
    """The drive of whoever signed in; `token_file` is the program's, which
    keeps it fresh: `refresh()` runs the program."""

    def __init__(self, token_file, refresh, context=None):
        self.token_file = pathlib.Path(token_file)
        self.refresh = refresh
        self.seen_headers = {}  # RateLimit-* and the like
        self.requests = 0
        handlers = [_NoRedirect]
        if context:
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self.opener = urllib.request.build_opener(*handlers)
        blob = self.blob()
        self.base = blob["graph_url"].rstrip("/")
        self.login = blob["login_url"].rstrip("/")
        about = self.must("GET", "/me/drive")
        self.id = about["id"]
        self.kind = about.get("driveType", "?")
        self.quota = about.get("quota", {})

    def blob(self):
        return json.loads(self.token_file.read_text())

    # -- requests -----------------------------------------------------------

    def send(self, method, url, data=None, headers=None, tries=6):
        """Any host; the bearer goes to Graph alone. Waits where it is told."""
        for attempt in range(tries):
            more = dict(headers or {})
            if url.startswith(self.base + "/"):
                more["Authorization"] = "Bearer " + self.blob()["access_token"]
            request = urllib.request.Request(url, data=data, method=method,
                                             headers=more)
            self.requests += 1
            try:
                with self.opener.open(request, timeout=100) as got:
                    answer = Answer(got.status, got.headers, got.read())
            except urllib.error.HTTPError as e:
                answer = Answer(e.code, e.headers, e.read())
            for name, value in answer.headers.items():
                if name.lower().startswith(("ratelimit", "x-ms-throttle")):
                    self.seen_headers[name] = value
            if answer.status == 401 and attempt == 0:
                self.refresh()
            elif answer.status in (429, 503) and attempt + 1 < tries:
                wait = answer.headers.get("Retry-After", "")
                time.sleep(min(float(wait) if wait.isdigit() else 5, 300))
            else:
                return answer
        return answer

    def ask(self, method, path, body=None, headers=None, raw=None):
        """`path` below Graph's base; `body` as JSON, or `raw` bytes."""
        more = dict(headers or {})
        data = raw
        if body is not None:
            data = json.dumps(body).encode()
            more["Content-Type"] = "application/json"
        elif raw is not None:
            more.setdefault("Content-Type", "application/octet-stream")
        elif method == "POST":
            data = b""
        return self.send(method, self.base + path, data, more)

    def must(self, *args, **kw):
        answer = self.ask(*args, **kw)
        if not answer.ok:
            raise Refused(f"{args[0]}: {answer.brief()}")
        return answer.json

    def item(self, item_id, below="", **kw):
        return self.must("GET", self.at(item_id) + below, **kw)

    def at(self, item_id):
        return f"/drives/{self.id}/items/{item_id}"

    # -- what the probes make -------------------------------------------------

    def make_folder(self, parent, name, conflict="fail"):
        return self.ask("POST", self.at(parent) + "/children", {
            "name": name, "folder": {},
            "@microsoft.graph.conflictBehavior": conflict})

    def put(self, parent, name, data):
        """A file of that content; the same name gets a new version."""
        where = urllib.parse.quote(name, safe="")
        return self.must("PUT", f"{self.at(parent)}:/{where}:/content",
                         raw=data)

    def batch(self, parts):
        """[(method, path, body)] -> {number: (status, body)}, in twenties."""
        got = {}
        for first in range(0, len(parts), 20):
            requests = [
                {"id": str(first + i), "method": method, "url": path,
                 "headers": {"Content-Type": "application/json"}, "body": body}
                for i, (method, path, body) in
                enumerate(parts[first:first + 20])]
            for part in self.must("POST", "/$batch",
                                  {"requests": requests})["responses"]:
                got[int(part["id"])] = (part["status"], part.get("body") or {})
        return got

    def children(self, parent):
        found, path = [], self.at(parent) + "/children?$top=200"
        while path:
            page = self.must("GET", path)
            found += page["value"]
            path = page.get("@odata.nextLink", "").removeprefix(self.base)
        return found


class Scratch:
    """with Scratch(drive) as scratch: a folder that is made here, with a name
    that nobody has, and deleted by its id, nothing else."""

    def __init__(self, drive):
        self.drive = drive
        self.name = PREFIX + secrets.token_hex(6)
        self.id = None

    def __enter__(self):
        root = self.drive.must("GET", f"/drives/{self.drive.id}/root")["id"]
        made = self.drive.make_folder(root, self.name)
        if made.status != 201:
            raise Refused(f"making {self.name}: {made.brief()}")
        self.id = made.json["id"]
        return self

    def folder(self, name):
        made = self.drive.make_folder(self.id, name)
        if not made.ok:
            raise Refused(f"making a folder: {made.brief()}")
        return made.json["id"]

    def __exit__(self, *_):
        """Looks once more: the id must still be called what we called it."""
        try:
            why = self.drive.ask("GET", self.drive.at(self.id))
            if why.json.get("name") == self.name:
                why = self.drive.ask("DELETE", self.drive.at(self.id))
                if why.ok:
                    return
            why = why.brief()
        except OSError as e:
            why = str(e)
        print(f"The folder {self.name} was not deleted ({why}); please do it "
              "yourself, if it is still there.", flush=True)


def refresher(command, env):
    """The program refreshes its sign-in when it has something to ask."""
    def refresh():
        subprocess.run([*command, "get", "no-such-item", "-o", "/dev/null"],
                       env=env, stdin=subprocess.DEVNULL, check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return refresh


def is_clean(text, drive):
    """Neither a token nor who it is: text to paste into an issue."""
    blob = drive.blob()
    private = [blob.get("access_token"), blob.get("refresh_token"), drive.id]
    return (not any(p and p.lower() in text.lower() for p in private)
            and not re.search(r"https?://[^\s|]+[?&]|eyJ[\w-]{10}", text))


def encoded(data):
    return base64.b64encode(data).decode()
