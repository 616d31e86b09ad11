"""age files taken apart by hand (facts: age v1), to see under which key what
was sealed. Only libsodium is shared with the program; its code is not."""

import base64
import ctypes
import ctypes.util
import dataclasses
import hashlib
import hmac
import json
import subprocess

HEADER = 407  # of a vault's file: two recipients and the bind stanza
NONCE = 16
PAYLOAD = HEADER + NONCE
TAG = 16
CHUNK = 65536
SEALED_CHUNK = CHUNK + TAG
VERSION = b"age-encryption.org/v1"

_sodium = ctypes.CDLL(ctypes.util.find_library("sodium") or "libsodium.so.23")
_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def _hkdf(ikm, salt, info):
    prk = hmac.digest(salt or bytes(32), ikm, "sha256")
    return hmac.digest(prk, info + b"\1", "sha256")


def _unseal(key, nonce, sealed):
    out = ctypes.create_string_buffer(max(1, len(sealed)))
    size = ctypes.c_ulonglong()
    rc = _sodium.crypto_aead_chacha20poly1305_ietf_decrypt(
        out, ctypes.byref(size), None, sealed,
        ctypes.c_ulonglong(len(sealed)), None, ctypes.c_ulonglong(0), nonce,
        key)
    return None if rc else out.raw[:size.value]


def _b64(text):
    return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)


class Identity:
    """A secret key, from its AGE-SECRET-KEY-1... text."""

    def __init__(self, text):
        symbols = [_CHARSET.index(c) for c in text.lower().rsplit("1", 1)[1]]
        bits = "".join(f"{s:05b}" for s in symbols[:-6])
        self.secret = bytes(int(bits[i:i + 8], 2) for i in range(0, 256, 8))
        public = ctypes.create_string_buffer(32)
        _sodium.crypto_scalarmult_curve25519_base(public, self.secret)
        self.public = public.raw

    @classmethod
    def from_file(cls, path):
        for line in open(path, encoding="utf-8"):
            if line.startswith("AGE-SECRET-KEY-1"):
                return cls(line.strip())
        raise AssertionError(f"{path} holds no key")

    def unwrap(self, share, body):
        shared = ctypes.create_string_buffer(32)
        rc = _sodium.crypto_scalarmult_curve25519(shared, self.secret, share)
        assert rc == 0
        key = _hkdf(shared.raw, share + self.public,
                    VERSION + b"/X25519")
        return _unseal(key, bytes(12), body)


@dataclasses.dataclass(frozen=True)
class Head:
    """What the header says: the file key, the whole of it with the nonce."""

    file_key: bytes
    nonce: bytes
    raw: bytes

    @property
    def payload_key(self):
        return _hkdf(self.file_key, self.nonce, b"payload")

    def open_chunk(self, index, last, sealed):
        """Plaintext, or None if it is not that chunk."""
        nonce = index.to_bytes(11, "big") + bytes([last])
        return _unseal(self.payload_key, nonce, sealed)


def open_head(data, identities):
    """Head of a file that begins with `data`; None if it has less than
    PAYLOAD bytes."""
    if len(data) < PAYLOAD:
        return None
    lines = data[:HEADER].split(b"\n")
    assert lines[0] == VERSION, lines[0]
    for i, line in enumerate(lines):
        if not line.startswith(b"-> X25519 "):
            continue
        share, body = _b64(line.split(b" ")[2]), _b64(lines[i + 1])
        for identity in identities:
            key = identity.unwrap(share, body)
            if key:
                _check_mac(data[:HEADER], key)
                return Head(key, data[HEADER:PAYLOAD], data[:PAYLOAD])
    raise AssertionError("the header is for none of these keys")


def _check_mac(header, file_key):
    at = header.rindex(b"--- ") + 3
    mac = hmac.digest(_hkdf(file_key, b"", b"header"), header[:at], "sha256")
    assert mac == _b64(header[at + 1:].strip())


def sealed_size(plain):
    return PAYLOAD + plain + TAG * max(1, -(-plain // CHUNK))


def borders(size):
    """Where the chunks of a sealed file begin and end."""
    return [*range(PAYLOAD, size, SEALED_CHUNK), size]


def digest(data):
    return hashlib.sha256(data).hexdigest()


def descriptor(graphd, identity_file):
    """The vault's descriptor as it lies on the drive, opened by `age`."""
    done = subprocess.run(
        ["age", "-d", "-i", str(identity_file)],
        input=graphd.raw.read(".nmbackupfs/vault.age"), capture_output=True,
        check=True, timeout=30)
    return json.loads(done.stdout)
