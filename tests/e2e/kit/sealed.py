"""graphd as a vault's members see it: plain names, plain content.

What is on the drive is opened with `age`, the vault's recovery key and
contrib/unseal-names.py, so without a line of the program. Folders, renames
and deletes of "another device" work too; new content does not: nobody but the
program can make the stanza that ties it to the vault."""

import hashlib
import importlib.util
import json
import pathlib
import subprocess

import pytest

from . import graphd, proc

HEADER = 407 + 16  # of each file: age's header, the nonce
CHUNK, TAG = 65536, 16


def _script():
    path = proc.ROOT / "contrib/unseal-names.py"
    spec = importlib.util.spec_from_file_location("unseal_names", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


unseal = _script()


def sealed_size(size):
    return HEADER + size + TAG * max(1, -(-size // CHUNK))


def plain_size(size):
    body = size - HEADER
    return body - TAG * -(-body // (CHUNK + TAG))


class SealedGraphd(graphd.Graphd):
    recovery_key = None  # a pathlib.Path, set once the machine is there
    _sealed_names = None

    @property
    def raw(self):
        """The same server, as the service sees it."""
        raw = graphd.Graphd.__new__(graphd.Graphd)
        raw.__dict__ = self.__dict__
        return raw

    # -- opening --------------------------------------------------------------

    def _age(self, data):
        done = subprocess.run(["age", "-d", "-i", str(self.recovery_key)],
                              input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def _names(self, raw):
        if self._sealed_names is None:
            if ".nmbackupfs/vault.age" not in raw:
                return None
            text = self._age(super().read(".nmbackupfs/vault.age"))
            names = json.loads(text)["names"]
            self._sealed_names = unseal.Names(
                bytes.fromhex(names["key"]), names["text"], names["pad"])
        return self._sealed_names

    def opened(self, folder=graphd.FOLDER):
        """[(plain path, raw path, item)] of all whose names open."""
        raw = super().tree(folder)
        names, plain, out = self._names(raw), {"": ""}, []
        if names is None:
            return out
        for path, item in sorted(raw.items()):
            above, _, name = path.rpartition("/")
            if above not in plain:
                continue
            try:
                opened = names.open(name)[0]
            except unseal.NotOurs:
                continue
            opened = opened.decode(errors="surrogateescape")
            plain[path] = "/".join(filter(None, (plain[above], opened)))
            out.append((plain[path], path, item))
        return out

    def raw_path(self, path, folder=graphd.FOLDER):
        for plain, raw, _ in self.opened(folder):
            if plain == str(path):
                return raw
        raise AssertionError(f"{path} is not on the server")

    # -- the drive ------------------------------------------------------------

    def tree(self, folder=graphd.FOLDER):
        out = {}
        for plain, _, item in self.opened(folder):
            if item["type"] == "file":
                item = {**item, "size": plain_size(item["size"])}
            out[plain] = item
        return out

    def read(self, path, folder=graphd.FOLDER):
        return self._age(super().read(self.raw_path(path, folder), folder))

    def all_contents(self):
        return [self._age(super(SealedGraphd, self).read(raw))
                for _, raw, item in self.opened() if item["type"] == "file"]

    def versions(self, path):
        if str(path) not in self.tree():
            return []
        return [self._age(v) for v in
                self.raw.versions(self.raw_path(path))]

    stored_size = staticmethod(sealed_size)

    def version_digests(self, path):
        return [hashlib.sha256(v).hexdigest() for v in self.versions(path)]

    def wait_for(self, path, timeout=20, folder=graphd.FOLDER, **what):
        def there():
            item = self.tree(folder).get(str(path))
            return item and what.get("size", item.get("size")) == \
                item.get("size")
        assert not {"hash", "etag_not"} & set(what)
        proc.wait_until(there, timeout, f"{path} on the server", every=0.1)

    def wait_gone(self, path, timeout=20, folder=graphd.FOLDER):
        proc.wait_until(lambda: str(path) not in self.tree(folder), timeout,
                        f"{path} gone from the server", every=0.1)

    # -- another device -------------------------------------------------------

    def put(self, path, data, folder=graphd.FOLDER, **more):
        if folder == graphd.FOLDER:
            pytest.skip("only the program can seal for a vault")
        super().put(path, data, folder, **more)

    def put_made(self, path, size, seed, folder=graphd.FOLDER):
        self.put(path, b"", folder)

    def _sealed_path(self, path, attributes=b""):
        """As it will be called; what is above it is there."""
        above, _, name = str(path).rpartition("/")
        sealed = self._sealed_names.seal(
            name.encode(errors="surrogateescape"), attributes)
        return "/".join(filter(None, (above and self.raw_path(above), sealed)))

    def mkdir(self, path, folder=graphd.FOLDER):
        self.tree()
        super().mkdir(self._sealed_path(path), folder)

    def rename(self, path, to, folder=graphd.FOLDER):
        raw = self.raw_path(path)
        attributes = self._sealed_names.open(pathlib.PurePath(raw).name)[1]
        super().rename(raw, self._sealed_path(to, attributes), folder)

    def delete(self, path, folder=graphd.FOLDER):
        super().delete(self.raw_path(path), folder)

    def lose_tombstone(self, path):
        super().lose_tombstone(self.raw_path(path))

    def destroy(self, path):
        super().destroy(self.raw_path(path))

    def trim(self, path):
        super().trim(self.raw_path(path))

    def touch(self, path):
        super().touch(self.raw_path(path))

    def mark_malware(self, path):
        super().mark_malware(self.raw_path(path))
