"""nmbackupfs-format(5) is enough to write another reader: here is one, written
from the page, and what it computes from the page's example is what the page
says. Stock age and contrib/unseal-names.py open the example, too."""

import base64
import hashlib
import hmac
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys

import pytest

from kit import proc, program
from test_manual import make_page, warnings_of

PAGE = proc.ROOT / "contrib/man/nmbackupfs-format.5.in"
SCRIPT = proc.ROOT / "contrib/unseal-names.py"

needs_age = pytest.mark.skipif(not shutil.which("age"),
                               reason="age is not installed")


def load_script():
    loader = importlib.machinery.SourceFileLoader("unseal_names", str(SCRIPT))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_loader("unseal_names", loader))
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


def example(name):
    """The lines of the page's example of that name."""
    text = PAGE.read_text()
    block = re.search(rf'\.nf\n\.\\" {name}\n(.*?)\n\.fi', text, re.S)[1]
    return block.replace("\\-", "-").replace("\\(dq", '"').split("\n")


def values(name):
    """{word: value} of an example of two columns."""
    return dict(re.split(r" {2,}", line, maxsplit=1)
                for line in example(name))


# ---- a reader, from what the page says --------------------------------------

unseal = load_script()


def b64(text):
    return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)


def mac_of(key, message):
    return hmac.new(key, message, "sha256").digest()


def hkdf(ikm, salt, info):
    return mac_of(mac_of(salt, ikm), info + b"\1")


def blake2b(data, size, key=b""):
    return hashlib.blake2b(data, digest_size=size, key=key).digest()


def x25519(scalar, point):
    """RFC 7748."""
    p = 2**255 - 19
    n = int.from_bytes(scalar, "little") & (2**254 - 8) | 2**254
    u = int.from_bytes(point, "little") & (2**255 - 1)
    a, b, c, d = 1, 0, u, 1
    swapped = 0
    for bit in range(254, -1, -1):
        now = n >> bit & 1
        if swapped ^ now:
            a, b, c, d = c, d, a, b
        swapped = now
        e, f, g, h = a + b, a - b, c + d, c - d
        s, t = g * f % p, h * e % p
        e, f = e * e % p, f * f % p
        a, b = e * f % p, (e - f) * (e + 121665 * (e - f)) % p
        c, d = (s + t)**2 % p, u * (s - t)**2 % p
    if swapped:
        a, b = c, d
    return (a * pow(b, p - 2, p) % p).to_bytes(32, "little")


def chacha20(key, nonce, counter, length):
    out = b""
    while len(out) < length:
        start = unseal.SIGMA + struct.unpack("<8I", key) + (counter,) + \
            struct.unpack("<3I", nonce)
        out += struct.pack("<16I", *((x + y) & unseal.MASK for x, y in
                                     zip(start, unseal.twenty_rounds(start))))
        counter += 1
    return out[:length]


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0ffffffc0ffffffc0ffffffc0fffffff
    total = 0
    for i in range(0, len(data), 16):
        block = int.from_bytes(data[i:i + 16] + b"\1", "little")
        total = (total + block) * r % (2**130 - 5)
    total += int.from_bytes(key[16:], "little")
    return (total % 2**128).to_bytes(16, "little")


def aead_open(key, nonce, sealed, ad=b""):
    sealed, tag = sealed[:-16], sealed[-16:]
    signed = ad + bytes(-len(ad) % 16) + sealed + bytes(-len(sealed) % 16) + \
        struct.pack("<QQ", len(ad), len(sealed))
    assert poly1305(chacha20(key, nonce, 0, 32), signed) == tag
    stream = chacha20(key, nonce, 1, len(sealed))
    return bytes(x ^ y for x, y in zip(sealed, stream))


# ---- the example ------------------------------------------------------------

@pytest.fixture(scope="module")
def sealed():
    """The file of the example, whole."""
    rest = values("rest")
    return ("\n".join(example("header")) + "\n").encode() + \
        bytes.fromhex(rest["nonce"]) + bytes.fromhex(rest["chunk 0"])


@pytest.fixture(scope="module")
def descriptor():
    return json.loads("\n".join(example("descriptor")))


def test_the_reader_reads_what_the_page_says(sealed, descriptor):
    rest, said = values("rest"), values("steps")
    header = sealed[:sealed.index(b"\n--- ") + 4]
    lines = header.decode().split("\n")
    recipient = x25519(bytes.fromhex(said["identity"]),
                       (9).to_bytes(32, "little"))
    share = b64(lines[1].split()[2])
    secret = x25519(bytes.fromhex(said["identity"]), share)
    key = hkdf(secret, share + recipient, b"age-encryption.org/v1/X25519")
    file_key = aead_open(key, bytes(12), b64(lines[2]))
    mac_key = hkdf(file_key, b"", b"header")
    nonce = sealed[309:325]
    chunk_key = hkdf(file_key, nonce, b"payload")
    auth = bytes.fromhex(descriptor["auth"]["key"])
    bind_key = hkdf(file_key, auth, b"nmbackupfs/v1/bind")
    body = aead_open(bind_key, bytes(12), b64(lines[4]) + b64(lines[5]),
                     bytes.fromhex(descriptor["vault_id"]))
    version, length, when = struct.unpack("<QQq", body[16:40])
    got = {"identity": said["identity"], "recipient": recipient.hex(),
           "share": share.hex(), "X25519": secret.hex(), "key": key.hex(),
           "file key": file_key.hex(), "mac key": mac_key.hex(),
           "chunk key": chunk_key.hex(), "bind key": bind_key.hex(),
           "file id": body[:16].hex(), "version": str(version),
           "length": str(length), "sealed": str(when),
           "path tag": body[40:56].hex(), "before": body[56:].hex()}
    assert got == said
    end = sealed[len(header) + 1:309].decode().strip()
    assert b64(end) == mac_of(mac_key, header)
    content = aead_open(chunk_key, bytes(11) + b"\1", sealed[325:])
    assert content.decode() == rest["content"]
    assert len(content) == length
    assert len(sealed) == 309 + 16 + length + 16 == 344
    assert 309 == descriptor["content"]["header_len"] == 70 + 98 + 141
    assert hashlib.sha256(sealed).hexdigest() == rest["SHA-256"]


def test_names_are_sealed_as_the_page_says(descriptor):
    names = descriptor["names"]
    key, pad = bytes.fromhex(names["key"]), names["pad"]
    said = values("detail")
    k1, k2 = (hashlib.blake2b(key=key, digest_size=32,
                              salt=struct.pack("<Q", i) + bytes(8),
                              person=b"nmbkname" + bytes(8)).digest()
              for i in (1, 2))
    padded = b"a" + bytes(-(16 + 1) % pad)
    tag = blake2b(b"\1" + bytes(4) + padded, 16, k1)
    text = unseal.xchacha20(k2, tag + bytes(8), padded)
    bits = int.from_bytes(tag + text, "big")
    points = [f"{0x4e00 + (bits >> at & 0x3fff):04X}"
              for at in range(8 * len(tag + text) - 14, -1, -14)]
    assert said == {"K1": k1.hex(), "K2": k2.hex(), "P": padded.hex(),
                    "T": tag.hex(), "C": text.hex(),
                    "text": "U+" + " ".join(points)}
    sealer = unseal.Names(key, names["text"], pad)
    rows = values("names")
    assert len(rows) == 5
    for row, sealed_name in rows.items():
        name, _, attributes = row.partition(", ")
        assert sealer.seal(name.encode(), attributes.encode()) == sealed_name
        assert sealer.open(sealed_name) == (name.encode(), attributes.encode())


@needs_age
def test_age_and_the_script_open_the_example(sealed, descriptor, tmp_path):
    (tmp_path / "key").write_text(descriptor["epochs"][0]["identity"] + "\n")
    done = subprocess.run(["age", "-d", "-i", tmp_path / "key"], input=sealed,
                          stdout=subprocess.PIPE, timeout=60, check=True)
    assert done.stdout == b"abc"
    vault = tmp_path / "vault"
    (vault / ".nmbackupfs").mkdir(parents=True)
    text = "\n".join(example("descriptor"))
    recipient = descriptor["members"][0]["recipient"]
    subprocess.run(["age", "-r", recipient, "-o",
                    vault / ".nmbackupfs/vault.age"], input=text.encode(),
                   timeout=60, check=True)
    rows = values("names")
    (vault / rows["README"]).write_bytes(sealed)
    (vault / rows["run.sh, m755,t18f2c4a1d3e5b700"]).write_bytes(sealed)
    done = subprocess.run([sys.executable, SCRIPT, "--tree", vault, "--out",
                           tmp_path / "out", "--age", tmp_path / "key"],
                          timeout=60, check=True, stderr=subprocess.PIPE)
    assert b"2 items restored, 0 left, 0 failed" in done.stderr
    assert (tmp_path / "out/README").read_bytes() == b"abc"
    run = tmp_path / "out/run.sh"
    assert run.read_bytes() == b"abc"
    assert run.stat().st_mode & 0o7777 == 0o755
    assert run.stat().st_mtime_ns == 0x18f2c4a1d3e5b700


def test_the_page_renders(tmp_path):
    done = make_page(program.BINARY, PAGE)
    assert done.returncode == 0, done.stderr
    path = tmp_path / "nmbackupfs-format.5"
    path.write_text(done.stdout)
    assert warnings_of(path) == ""
    if shutil.which("man"):
        shown = subprocess.run(["man", "-l", path], text=True, check=True,
                               env={**os.environ, "LC_ALL": "C.UTF-8",
                                    "MANWIDTH": "100", "MANPAGER": "cat"},
                               stdout=subprocess.PIPE, timeout=60).stdout
        for line in example("header") + example("names"):
            assert line in shown
