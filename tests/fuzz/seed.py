#!/usr/bin/env python3
"""Seeds for the fuzz targets of auth/age*: from tests/unit/data/age, and from
the public vectors where they are (NMB_AGE_TESTKIT, or
../shared/data/age-testkit).

    seed.py OUT      writes OUT/TARGET/..."""

import base64
import os
import pathlib
import re
import sys
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTKIT = pathlib.Path(os.environ.get("NMB_AGE_TESTKIT")
                       or ROOT.parent / "shared/data/age-testkit")
MAX = 20000  # bytes; longer ones only slow it down


def vectors():
    """(name, armored, keys as text, file) of each."""
    for path in sorted(TESTKIT.glob("*")):
        if path.suffix == ".md":
            continue
        head, body = path.read_bytes().split(b"\n\n", 1)
        if b"\ncompressed: zlib" in head:
            body = zlib.decompress(body)
        keys = re.findall(rb"^identity: (.*)$", head, re.M)
        yield path.name, b"\narmored: yes" in head, keys, body


def carried():
    for path in sorted((ROOT / "tests/unit/data/age").iterdir()):
        data = path.read_bytes()
        if path.suffix == ".md":
            continue
        if data.startswith(b"#"):
            yield path.name, False, [data, data.split()[-1]], b""
        else:
            yield path.name, data.startswith(b"-----"), [], data


def dearmored(text):
    lines = [line for line in text.splitlines() if line[:1] != b"-"]
    try:
        return base64.b64decode(b"".join(lines))
    except ValueError:
        return b""


def seeds():
    """(target, name, bytes)"""
    for name, armored, keys, body in [*carried(), *vectors()]:
        for n, key in enumerate(keys):
            yield "bech32", f"{name}-{n}", key
        if armored:
            yield "armor", name, body
            yield "reader", f"{name}-armor", body
            body = dearmored(body)
        if not body:
            continue
        yield "reader", name, body
        header = body[:body.find(b"\n---") + 60]
        yield "header", name, header
        for n, word in enumerate(re.split(rb"[ \n]", header)):
            if len(word) > 16:
                yield "base64", f"{name}-{n}", word


def main():
    out = pathlib.Path(sys.argv[1])
    for target, name, data in seeds():
        if len(data) <= MAX:
            (out / target).mkdir(parents=True, exist_ok=True)
            (out / target / name).write_bytes(data)


main()
