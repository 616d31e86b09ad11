"""Everything that ever left the client as content of a file (graphd --uploads),
and the proof that no file key was used for two contents.

Also what was cut off, refused or never committed counts: once it has left,
somebody may have it."""

import collections
import dataclasses
import itertools
import re

from . import agefile


@dataclasses.dataclass
class Piece:
    """One request's bytes: [at, at + len(data)) of an upload of `total`."""

    upload: str
    at: int
    total: int
    data: bytes


def kept(graphd, folder):
    """Lets graphd keep all uploads in `folder`; before the first request."""
    folder.mkdir()
    command = graphd.command
    graphd.command = lambda: [*command(), "--uploads", str(folder)]
    graphd.stop()
    graphd.start()
    return folder


def read(folder):
    return [p for p in (_parse(f) for f in sorted(folder.iterdir())) if p.data]


def _parse(path):
    line, length, content_range, rest = path.read_bytes().split(b"\n", 3)
    assert rest[:1] == b"\n"
    found = re.match(rb"bytes (\d+)-\d+/(\d+)", content_range)
    if not found:
        return Piece(path.name, 0, int(length), rest[1:])
    guid = re.search(rb"guid='([^']+)'|/rup/[^/]+/([^/?]+)", line)
    return Piece((guid[1] or guid[2]).decode(), int(found[1]), int(found[2]),
                 rest[1:])


class Summary(collections.Counter):
    """How much the proof looked at: a test checks that it was something."""


def assert_keys_used_once(pieces, identities):
    """No file key for two contents: all bytes ever sent under one are equal,
    place by place, and all chunks that are whole open under it."""
    heads, by_key = {}, collections.defaultdict(list)
    seen = Summary()
    for name, group in itertools.groupby(
            sorted(pieces, key=lambda p: p.upload), lambda p: p.upload):
        group = list(group)
        for piece in group:
            if piece.at == 0 and len(piece.data) >= agefile.PAYLOAD:
                head = agefile.open_head(piece.data, identities)
                assert heads.setdefault(name, head) == head, \
                    f"{name}: two headers in one upload"
        if name in heads:
            by_key[heads[name].file_key].append((heads[name], group))
        else:  # cut off in its header: nothing was sealed with the key yet
            assert all(p.at + len(p.data) < agefile.PAYLOAD for p in group)
            seen["cut_in_header"] += 1
    for uses in by_key.values():
        _check_key(uses, seen)
    seen["keys"] = len(by_key)
    return seen


def _check_key(uses, seen):
    head = uses[0][0]
    content = _Content()
    for other, group in uses:
        assert other.raw == head.raw, "one file key under two headers"
        seen["uploads"] += 1
        seen["pieces"] += len(group)
        for piece in group:
            content.add(piece.at, piece.data)
            content.set_total(piece.total)
    seen["twice"] += content.twice
    seen["chunks"] += content.open_chunks(head)


class _Content:
    """The bytes of one file key, by place."""

    def __init__(self):
        self.data = bytearray()
        self.have = bytearray()  # 1 where a byte is known
        self.total = -1
        self.twice = 0

    def set_total(self, total):
        assert self.total in (-1, total), \
            "one file key for contents of two sizes"
        self.total = total

    def add(self, at, data):
        end = at + len(data)
        if end > len(self.data):
            more = end - len(self.data)
            self.data += bytes(more)
            self.have += bytes(more)
        known = self.have[at:end]
        if any(known):
            self.twice += 1
            old = self.data[at:end]
            if known.count(1) == len(known):
                same = old == data
            else:
                same = all(o == n for o, n, k in zip(old, data, known) if k)
            assert same, f"one file key for two contents (from {at} on)"
        self.data[at:end] = data
        self.have[at:end] = b"\1" * len(data)

    def open_chunks(self, head):
        borders = agefile.borders(self.total)
        opened = 0
        for i, (begin, end) in enumerate(zip(borders, borders[1:])):
            if self.have[begin:end].count(1) < end - begin:
                continue
            last = i == len(borders) - 2
            plain = head.open_chunk(i, last, bytes(self.data[begin:end]))
            assert plain is not None, f"chunk {i} does not open"
            opened += 1
        return opened
