#!/usr/bin/env python3
"""Names of an nmbackupfs vault in plain text, without nmbackupfs.

A vault on OneDrive is a tree of folders and files with sealed names; each file
is an age file. With the vault's descriptor, the standard tool `age` and this
script, which needs nothing but Python's standard library, the tree can be had
back on any machine:

  1. Download the vault folder, in the browser (which gives a ZIP) or with any
     OneDrive client. Leave the ZIP packed: many sealed names are longer than
     the 255 bytes that Linux file systems allow.
  2. Bring names, contents and attributes back into a new folder, with the
     recovery key or the key of a device:
         unseal-names.py --tree vault.zip --out restored --age recovery.txt

The same by hand, where contents were opened before with `age` or aren't wanted:
         age -d -i recovery.txt -o vault.json vault/.nmbackupfs/vault.age
         unseal-names.py vault.json --tree vault --out restored
The opened descriptor holds every key of the vault. Delete it afterwards.

Without --tree, names or paths from the command line, or else from standard
input, are printed as plain ones:
         ls -U vault | unseal-names.py vault.json

Attributes that a sealed name carries are applied: permissions, modification
time, symbolic links, and owners if run as root. Devices, fifos and sockets are
only reported. If a folder has two items of one name, which happens when two
devices made them at a time, the second becomes "name (conflict 1234abcd).ext".
An item whose name doesn't open is no part of the vault: it is reported and
left alone.

`age` finds any damage in a file. That a file is the newest version, and in its
place, only nmbackupfs itself can tell.

Exit status: 0 all is well; 1 something was left, reported or failed; 2 nothing
could be done.
"""

import argparse
import base64
import binascii
import hashlib
import hmac
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import time
import zipfile
import zlib

BOOKKEEPING = ".nmbackupfs"  # the descriptor's folder, not part of the tree
AGE_MAGIC = b"age-encryption.org/"
NAME_MAX = 255


class Fatal(Exception):
    """Nothing can be done; the text says why."""


class NotOurs(Exception):
    """Not a name of this vault."""


# ---- XChaCha20, as crypto_stream_xchacha20 of libsodium ---------------------

MASK = 0xffffffff
SIGMA = struct.unpack("<4I", b"expand 32-byte k")


def quarter_round(s, a, b, c, d):
    for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12),
                          (a, b, d, 8), (c, d, b, 7)):
        s[x] = (s[x] + s[y]) & MASK
        v = s[z] ^ s[x]
        s[z] = (v << turn | v >> (32 - turn)) & MASK


def twenty_rounds(state):
    s = list(state)
    for _ in range(10):
        for i in range(4):
            quarter_round(s, i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter_round(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4,
                          12 + (i + 3) % 4)
    return s


def hchacha20(key, nonce):
    s = twenty_rounds(SIGMA + struct.unpack("<8I", key) +
                      struct.unpack("<4I", nonce))
    return struct.pack("<8I", *s[:4], *s[12:])


def xchacha20(key, nonce, data):
    """`data` xor the key stream of a 24-byte nonce."""
    key = struct.unpack("<8I", hchacha20(key, nonce[:16]))
    rest = struct.unpack("<2I", nonce[16:])
    stream = b""
    for block in range((len(data) + 63) // 64):
        start = SIGMA + key + (block, 0) + rest
        stream += struct.pack("<16I", *((a + b) & MASK for a, b in
                                        zip(start, twenty_rounds(start))))
    return bytes(a ^ b for a, b in zip(data, stream))


# ---- text for bytes ---------------------------------------------------------

def cjk14_encode(data):
    """7 bytes are 4 characters of 14 bits, from U+4E00."""
    text = ""
    for i in range(0, len(data), 7):
        group = int.from_bytes(data[i:i + 7], "big")
        text += "".join(chr(0x4e00 + (group >> shift & 0x3fff))
                        for shift in (42, 28, 14, 0))
    return text


def cjk14_decode(text):
    if len(text) % 4:
        raise NotOurs
    data = b""
    for i in range(0, len(text), 4):
        group = 0
        for c in text[i:i + 4]:
            if not 0x4e00 <= ord(c) <= 0x8dff:
                raise NotOurs
            group = group << 14 | (ord(c) - 0x4e00)
        data += group.to_bytes(7, "big")
    return data


def base32_encode(data):
    """RFC 4648, lower case, no padding."""
    return base64.b32encode(data).decode().rstrip("=").lower()


def base32_decode(text):
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raise NotOurs from None
    if base32_encode(data) != text:
        raise NotOurs
    return data


TEXTS = {"cjk14": (cjk14_encode, cjk14_decode),
         "base32": (base32_encode, base32_decode)}


# ---- names ------------------------------------------------------------------

class Names:
    """Seals and opens the names of one vault."""

    def __init__(self, key, text="cjk14", pad=7):
        self.encode, self.decode = TEXTS[text]
        self.pad = pad
        self.mac, self.enc = (self.derive(key, n) for n in (1, 2))

    @staticmethod
    def derive(key, number):
        """crypto_kdf_derive_from_key() of libsodium."""
        return hashlib.blake2b(key=key, digest_size=32,
                               salt=struct.pack("<QQ", number, 0),
                               person=b"nmbkname" + bytes(8)).digest()

    def tag(self, padded, ad):
        head = b"\x01" + struct.pack("<I", len(ad)) + ad
        return hashlib.blake2b(head + padded, key=self.mac,
                               digest_size=16).digest()

    def add_padding(self, joined):
        return joined + bytes(-(16 + len(joined)) % self.pad)

    def seal_padded(self, padded, ad=b""):
        tag = self.tag(padded, ad)
        return tag + xchacha20(self.enc, tag + bytes(8), padded)

    def seal(self, name, attributes=b""):
        joined = name + b"\0" + attributes if attributes else name
        return self.encode(self.seal_padded(self.add_padding(joined)))

    def open(self, text):
        """(name, attributes) as bytes, or NotOurs."""
        sealed = self.decode(text)
        if len(sealed) < 17:
            raise NotOurs
        tag = sealed[:16]
        padded = xchacha20(self.enc, tag + bytes(8), sealed[16:])
        if not hmac.compare_digest(tag, self.tag(padded, b"")):
            raise NotOurs
        joined = padded.rstrip(b"\0")
        name, _, attributes = joined.partition(b"\0")
        if (self.add_padding(joined) != padded or b"\0" in attributes or
                not 1 <= len(name) <= NAME_MAX or b"/" in name or
                name in (b".", b"..")):
            raise NotOurs
        return name, attributes


# ---- attributes -------------------------------------------------------------

class Attributes:
    """What a sealed name says besides the name; None: it doesn't say.

    Fields of one letter and a value, joined by commas, in ASCII order:
    g gid, u uid, k kind, m permissions (octal), t mtime in ns (hex), z link
    target. What can't be understood counts as absent."""

    def __init__(self, text, is_dir):
        self.kind = "dir" if is_dir else "file"
        self.mode = 0o755 if is_dir else 0o644
        self.uid = self.gid = self.mtime = self.target = None
        fields = self.split(text)
        if not is_dir:
            self.take_kind(fields)
            self.mtime = self.signed(fields.get("t", b""))
        self.uid = self.number(fields.get("u", b""), 10, 2**32 - 2)
        self.gid = self.number(fields.get("g", b""), 10, 2**32 - 2)
        mode = self.number(fields.get("m", b""), 8, 0o7777)
        if mode is not None:
            self.mode = mode

    @staticmethod
    def split(text):
        """{letter: value}; nothing at all if the text has not that shape."""
        fields, last = {}, ""
        rest = text
        while rest:
            letter = chr(rest[0])
            if not (letter.isascii() and letter.isalpha() and letter > last):
                return {}
            last = letter
            if letter == "z":  # runs to the end
                fields[letter] = rest[1:]
                break
            value, comma, rest = rest[1:].partition(b",")
            fields[letter] = value
            if comma and not rest:
                return {}
        return fields

    @staticmethod
    def number(digits, base, most):
        """The one way to write a number: lower case, no leading zeros."""
        allowed = b"0123456789abcdef"[:base]
        if not digits or any(c not in allowed for c in digits) or \
                (digits[:1] == b"0" and len(digits) > 1):
            return None
        value = int(digits, base)
        return value if value <= most else None

    @classmethod
    def signed(cls, digits):
        if digits[:1] == b"-":
            value = cls.number(digits[1:], 16, 2**63)
            return -value if value else None
        return cls.number(digits, 16, 2**63 - 1)

    def take_kind(self, fields):
        kind, target = fields.get("k"), fields.get("z")
        if kind is None and target:
            self.kind, self.target = "link", target
        elif kind == b"l":
            self.kind = "link"  # its content is the target
        elif kind in (b"p", b"s"):
            self.kind = {b"p": "fifo", b"s": "socket"}[kind]
        elif kind and kind[:1] in (b"b", b"c"):
            numbers = kind[1:].split(b":")
            limits = (0xfff, 0xfffff)
            if len(numbers) == 2 and None not in [
                    self.number(n, 10, most)
                    for n, most in zip(numbers, limits)]:
                self.kind = "device " + kind.decode()


# ---- the descriptor ---------------------------------------------------------

def start_age(identities, **streams):
    command = ["age", "-d"]
    for identity in identities:
        command += ["-i", identity]
    pipes = [int(i[len("/dev/fd/"):]) for i in identities
             if i.startswith("/dev/fd/")]
    try:
        return subprocess.Popen(command, stdin=subprocess.PIPE,
                                stderr=subprocess.PIPE, pass_fds=pipes,
                                **streams)
    except FileNotFoundError:
        raise Fatal("the tool `age` is not installed") from None


def age_error(age, said):
    said = said.decode("utf-8", "replace").strip()
    return "" if age.wait() == 0 else said or "age failed"


def age_file(identities, source, target):
    """Opens from one file into another; the error as text, or ""."""
    with start_age(identities, stdout=target) as age:
        try:
            shutil.copyfileobj(source, age.stdin)
            age.stdin.close()
        except BrokenPipeError:
            pass  # it says why on its standard error
        return age_error(age, age.stderr.read())


class Descriptor:
    """What an opened vault.age says."""

    def __init__(self, data):
        try:
            top = json.loads(data)
            if top["format"] != "nmbackupfs-vault":
                raise Fatal("not a descriptor of an nmbackupfs vault")
            names = top["names"]
            key = bytes.fromhex(names["key"])
            cipher, text = names["cipher"], names["text"]
            pad, version = int(names["pad"]), int(top["version"])
            self.keys = [e["identity"] for e in top.get("epochs", [])]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Fatal("not a descriptor of an nmbackupfs vault, or a "
                        "damaged one") from None
        if version > 1:
            say(f"the vault has format version {version}, this script knows "
                "version 1; trying")
        if cipher != "siv-blake2b-xchacha20" or text not in TEXTS:
            raise Fatal(f"names are sealed with {cipher} as {text}, which "
                        "this script doesn't know")
        if len(key) != 32 or pad <= 0 or pad % 7:
            raise Fatal("the descriptor is damaged")
        self.names = Names(key, text, pad)

    @classmethod
    def load(cls, path, identities):
        try:
            with sys.stdin.buffer if path == "-" else open(path, "rb") as f:
                data = f.read()
        except OSError as e:
            raise Fatal(f"{path}: {e.strerror}") from None
        if data.startswith(AGE_MAGIC):
            data = cls.open_sealed(data, identities)
        return cls(data)

    @classmethod
    def from_tree(cls, top, identities):
        """The one that came with the download."""
        for folder in top.children():
            for item in folder.children() if folder.name == BOOKKEEPING else ():
                if item.name == "vault.age":
                    with item.open() as f:
                        return cls(cls.open_sealed(f.read(), identities))
        raise Fatal("the tree has no .nmbackupfs/vault.age; give DESCRIPTOR")

    @staticmethod
    def open_sealed(data, identities):
        if not identities:
            raise Fatal("the descriptor is sealed; give a key file with --age")
        with start_age(identities, stdout=subprocess.PIPE) as age:
            data, said = age.communicate(data)
            error = age_error(age, said)
        if error:
            raise Fatal(f"descriptor: {error}")
        return data

    def open_content(self, identities, source, target):
        """Contents are sealed to keys that only the descriptor holds. They go
        to age through a pipe, not over the disk; it holds 64 KiB."""
        read_end, write_end = os.pipe()
        try:
            with os.fdopen(write_end, "w") as f:
                f.write("".join(key + "\n" for key in self.keys[-500:]))
            own = [f"/dev/fd/{read_end}"] if self.keys else []
            return age_file(own + identities, source, target)
        finally:
            os.close(read_end)


# ---- what was downloaded ----------------------------------------------------

def text_of(name):
    """Sealed names are UTF-8, whatever the locale; other bytes survive."""
    return name.decode("utf-8", "surrogateescape")


class DiskItem:
    """A file or folder of a downloaded tree."""

    def __init__(self, path):
        self.path = os.fsencode(path)
        self.name = text_of(os.path.basename(self.path))
        info = os.lstat(self.path)
        self.mtime = info.st_mtime_ns
        self.is_dir = stat.S_ISDIR(info.st_mode)
        self.is_file = stat.S_ISREG(info.st_mode)

    def children(self):
        return [DiskItem(os.path.join(self.path, name))
                for name in sorted(os.listdir(self.path))]

    def open(self):
        return open(self.path, "rb")


class ZipItem:
    """A file or folder in a ZIP."""

    def __init__(self, archive, name=""):
        self.archive, self.name = archive, name
        self.is_dir, self.is_file = True, False
        self.info, self.inside = None, {}
        self.mtime = time.time_ns()

    @classmethod
    def tree(cls, path):
        archive = zipfile.ZipFile(path)
        top = cls(archive)
        for info in archive.infolist():
            item = top
            for name in cls.name_of(info).strip("/").split("/"):
                item = item.inside.setdefault(name, cls(archive, name))
            item.info = info
            item.mtime = int(time.mktime(info.date_time + (0, 0, -1))) * 10**9
            item.is_dir = info.is_dir()
            item.is_file = not item.is_dir
        return top

    @staticmethod
    def name_of(info):
        """Some programs forget to say that their names are UTF-8."""
        if not info.flag_bits & 0x800:
            try:
                return info.filename.encode("cp437").decode("utf-8")
            except UnicodeError:
                pass
        return info.filename

    def children(self):
        return [self.inside[name] for name in sorted(self.inside)]

    def open(self):
        return self.archive.open(self.info)


# ---- bringing a tree back ---------------------------------------------------

def say(text):
    print(f"unseal-names: {text}", file=sys.stderr)


def shown(name):
    """For people: what a terminal could misread is escaped."""
    if isinstance(name, bytes):
        name = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else
                   c.encode("unicode_escape", "backslashreplace").decode()
                   for c in name)


def with_suffix(name, sealed):
    """name.ext -> name (conflict 1234abcd).ext, at most 255 bytes."""
    mark = hashlib.blake2b(sealed.encode("utf-8", "surrogateescape"),
                           digest_size=4).hexdigest()
    stem, ext = os.path.splitext(name)
    if len(ext) > 16:
        stem, ext = name, b""
    end = f" (conflict {mark})".encode() + ext
    if len(stem) + len(end) > NAME_MAX:
        stem = stem[:NAME_MAX - len(end)]
        stem = stem.decode("utf-8", "ignore").encode() or stem
    return stem + end


class Restore:
    """Writes a new tree, or renames the downloaded one where it lies."""

    def __init__(self, descriptor, identities, decrypt, in_place):
        self.descriptor = descriptor
        self.identities, self.decrypt = identities, decrypt
        self.in_place = in_place
        self.done = self.left = self.failed = 0

    def leave(self, where, why):
        self.left += 1
        say(f"left: {where}: {why}")

    def fail(self, where, why):
        self.failed += 1
        say(f"failed: {where}: {why}")

    def folder(self, item, path, where=""):
        """The children of `item` go into the existing folder `path`."""
        for child in item.children():
            if not where and child.name == BOOKKEEPING:
                continue
            sealed_where = f"{where}/{shown(child.name)}"
            try:
                name, text = self.descriptor.names.open(child.name)
            except NotOurs:
                self.leave(sealed_where, "not a name of this vault")
                continue
            try:
                self.item(child, path, name, Attributes(text, child.is_dir),
                          f"{where}/{shown(name)}")
            except (OSError, RuntimeError, zipfile.BadZipFile,
                    zlib.error) as e:
                self.fail(f"{where}/{shown(name)}", str(e))

    def item(self, item, parent, name, attributes, where):
        if not item.is_dir and not item.is_file:
            self.leave(where, "neither a file nor a folder")
            return
        if attributes.kind not in ("dir", "file", "link"):
            self.leave(where, f"was a {attributes.kind}")
            return
        path = os.path.join(parent, name)
        if os.path.lexists(path):
            path = os.path.join(parent, with_suffix(name, item.name))
            say(f"conflict: {where}: a second item of this name is "
                f"{shown(os.path.basename(path))}")
        if os.path.lexists(path):
            self.fail(where, "exists already")
        elif item.is_dir:
            self.make_folder(item, path, attributes, where)
        else:
            self.make_file(item, path, attributes, where)

    def make_folder(self, item, path, attributes, where):
        if self.in_place:
            self.folder(item, item.path, where)
            os.rename(item.path, path)
        else:
            os.mkdir(path, 0o700)
            self.folder(item, path, where)
        self.apply(path, attributes, None)
        self.done += 1

    def make_file(self, item, path, attributes, where):
        rename = self.in_place and not self.decrypt
        if attributes.target is not None:
            os.symlink(attributes.target, path)
        elif rename and attributes.kind == "file":
            os.rename(item.path, path)
        elif not self.write(item, path, where):
            return
        elif attributes.kind == "link" and not self.into_link(path, where):
            attributes.kind = "file"
        self.apply(path, attributes, item.mtime)
        if self.in_place and os.path.lexists(item.path):
            os.unlink(item.path)
        self.done += 1

    def write(self, item, path, where):
        """The content of `item` as a new file."""
        error = "interrupted"
        try:
            with item.open() as source, \
                    open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                                 0o600), "wb") as target:
                if self.decrypt:
                    error = self.descriptor.open_content(self.identities,
                                                         source, target)
                else:
                    shutil.copyfileobj(source, target)
                    error = ""
        finally:
            if error and os.path.lexists(path):
                os.unlink(path)  # half of it
        if error:
            self.fail(where, error)
        return not error

    def into_link(self, path, where):
        """A link whose target was too long for the name."""
        with open(path, "rb") as f:
            target = f.read(4096)
        if not 0 < len(target) < 4096 or b"\0" in target:
            self.fail(where, "its content is no link target; kept as a file")
            return False
        os.unlink(path)
        os.symlink(target, path)
        return True

    @staticmethod
    def apply(path, attributes, mtime):
        if os.geteuid() == 0 and (attributes.uid is not None or
                                  attributes.gid is not None):
            os.lchown(path, -1 if attributes.uid is None else attributes.uid,
                      -1 if attributes.gid is None else attributes.gid)
        if attributes.kind != "link":
            os.chmod(path, attributes.mode)
        if attributes.mtime is not None:
            mtime = attributes.mtime
        if mtime is not None:
            os.utime(path, ns=(mtime, mtime), follow_symlinks=False)


def open_tree(args):
    zipped = os.path.isfile(args.tree)
    try:
        top = ZipItem.tree(args.tree) if zipped else DiskItem(args.tree)
        while is_wrapper(top):
            top = top.children()[0]
        if args.out:
            os.makedirs(args.out, 0o700, exist_ok=True)
            if os.listdir(args.out):
                raise Fatal(f"{args.out} is not empty")
    except (OSError, zipfile.BadZipFile) as e:
        raise Fatal(str(e)) from None
    if zipped and not args.out:
        raise Fatal("a ZIP needs --out")
    return top


def is_wrapper(item):
    """A folder around the vault: ZIPs begin with the folder's own name."""
    inside = item.children()
    return len(inside) == 1 and inside[0].is_dir and \
        any(i.name == BOOKKEEPING for i in inside[0].children())


def restore_tree(args):
    top = open_tree(args)
    descriptor = Descriptor.load(args.descriptor, args.age) \
        if args.descriptor else Descriptor.from_tree(top, args.age)
    todo = Restore(descriptor, args.age, args.decrypt or bool(args.age),
                   in_place=not args.out)
    todo.folder(top, os.fsencode(args.out) if args.out else top.path)
    say(f"{todo.done} items restored, {todo.left} left, {todo.failed} failed")
    return 1 if todo.left or todo.failed else 0


# ---- printing names ---------------------------------------------------------

def print_names(descriptor, args):
    end = b"\0" if args.null else b"\n"
    if args.names:
        lines = [os.fsencode(name) for name in args.names]
    elif args.descriptor == "-":
        raise Fatal("names and the descriptor can't both come from standard "
                    "input")
    else:
        lines = iter_lines(sys.stdin.buffer, end)
    status = 0
    for line in lines:
        parts = []
        text = b""
        for part in line.split(b"/"):
            try:
                part, text = descriptor.names.open(text_of(part))
            except NotOurs:
                if part not in (b"", b".", b".."):
                    say(f"not a name of this vault: {shown(part)}")
                    status = 1
            parts.append(part)
        plain = b"/".join(parts)
        if sys.stdout.isatty():
            plain, text = shown(plain).encode(), shown(text).encode()
        sys.stdout.buffer.write(plain + (b"\t" + text if args.long else b"") +
                                end)
    sys.stdout.buffer.flush()
    return status


def iter_lines(stream, end):
    data = stream.read()
    return data[:-1].split(end) if data.endswith(end) else \
        data.split(end) if data else []


# ---- self-test --------------------------------------------------------------

VECTORS = (
    (b"a", b"", "硛栧謦跷夲苍艞趣珧嘤籫粟"),
    (b"notes.txt", b"", "繚臂爳纲崤竈曉宐綅舂浼煘覟罹賙灝"),
    (b"README", b"", "啗姦绱蛎曵懈狛怶湜寿插虏乽斟毵涔"),
    (b"readme", b"", "禄玟沮硩耗冤員瘜沥寓兠浱军浖撼情"),
    ("Prüfung Zürich 2024.pdf".encode(), b"",
     "誱豃仈穷豼瘲囯焊昱秵跎桛嬻粆訯簣柏川胻窏叫栗孱藟"),
    (b".git", b"", "俷资职燠嗋捍吭蘯癠薸稄袒"),
    (b"run.sh", b"x", "臣甃墽湏咔凒翍譵蒢窋艑岼罺媑紭析"),
    (b"latest", b"l../2024/12",
     "洸矅刮峞板荸憕潠洰垽甘姼桴砩袃坃定勋拃裕"),
    (b"\xff\xfe raw bytes", b"", "漯濵斵攁玍嵓藈赭崿纞蓈嗭皕眧弛澮"),
)
REFUSED = (
    "筵瞙礑蒥皛臾艏峴曢脫赯柒", "疈瓱箢衰椽舙諀搵沜溛牋菘",
    "緋擕癄弴嚔矘俺澹蝓乨筶嵤", "摔爞丨狂应犲攌咘柿枕拵折蓝蝆僈漪",
    "汣贵惍塨斤籅皋汶羜勹詠乬", "梡旣凶荔报諉眫噓单溑聪蟶",
    "洒媄曇胐恧娈歍謤圌浘筻壬", "砛栧謦跷夲苍艞趣珧嘤籫粟",
    "硛栧謦跷夲苍艞趣珧嘤籫", "硛栧謦跷夲苍艞趣", "硛栧謦跷夲苍艞趣珧嘤籫踀",
    "", ".nmbackupfs", "notes-12.txt",
)
LONGEST = "c1bec5c34c03e712348cf3e34b5e6ea4aa02772efaf4f216d84cde4c05a77cc9"


def opens(names, text):
    try:
        names.open(text)
        return True
    except NotOurs:
        return False


def self_test():
    """The vectors of the format's description, and what they leave open."""
    checks = []
    names = Names(bytes(range(32)))
    checks.append(names.mac.hex() == "e26d2e137b7d1e89658af6ef6ccd51d0"
                                     "e4eeddc6e45584a50bcedfc170e4c1e3")
    checks.append(names.enc.hex() == "b1f53ae3d7a15033d77727e018cf254f"
                                     "6f4a8046a09e101dbffc58027dbd8a6d")
    for name, attributes, text in VECTORS:
        checks.append(names.seal(name, attributes) == text)
        checks.append(opens(names, text) and
                      names.open(text) == (name, attributes))
    checks.append(not opens(Names(bytes(32)), VECTORS[0][2]))
    checks.append(not opens(Names(bytes(range(32)), pad=14), VECTORS[0][2]))
    longest = names.seal(b"x" * 255)
    checks.append(hashlib.sha256(longest.encode()).hexdigest() == LONGEST)
    checks.append(names.seal_padded(b"a" + bytes(4), b"\x01" * 16).hex() ==
                  "c8a097a709489f6b163616ea6ed7fa8e71d284d2ce")
    checks += [not opens(names, text) for text in REFUSED]
    for text, pad in (("base32", 7), ("cjk14", 28)):
        other = Names(bytes(range(32)), text, pad)
        for name in (b"a", b"notes.txt", b"\xff\xfe raw bytes"):
            sealed = other.seal(name, b"m600")
            checks.append(opens(other, sealed) and
                          other.open(sealed) == (name, b"m600"))
            checks.append(not opens(other, sealed.upper() + "a"))
    a = Attributes(b"g5,m755,t-18f2c4a1d3e5b700,z../a,b", False)
    checks.append((a.kind, a.gid, a.mtime, a.target) ==
                  ("link", 5, -0x18f2c4a1d3e5b700, b"../a,b"))
    a = Attributes(b"m0755,x", False)
    checks.append((a.kind, a.mode, a.mtime) == ("file", 0o644, None))
    print(f"{checks.count(True)} passed, {checks.count(False)} failed")
    return 0 if all(checks) else 1


def parse_args():
    about, rest = __doc__.split("\n", 1)
    parser = argparse.ArgumentParser(
        description=about, epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("descriptor", nargs="?", metavar="DESCRIPTOR",
                        help="the vault's descriptor, opened (JSON), or with "
                        "--age as it is; - for standard input; with --tree "
                        "and --age the tree's own if not given")
    parser.add_argument("names", nargs="*", metavar="NAME",
                        help="sealed name or path to print in plain text")
    parser.add_argument("-0", "--null", action="store_true",
                        help="names end with NUL instead of a line feed, in "
                        "and out")
    parser.add_argument("-l", "--long", action="store_true",
                        help="print the last name's attributes too, behind a "
                        "tab")
    parser.add_argument("--tree", metavar="DIR|ZIP",
                        help="a downloaded vault, or a ZIP of one: give its "
                        "items plain names and their attributes, in place")
    parser.add_argument("--out", metavar="DIR2",
                        help="write the plain tree here (new or empty) and "
                        "leave the downloaded one as it is")
    parser.add_argument("--decrypt", action="store_true",
                        help="contents are still sealed: open them with "
                        "`age` and the vault's keys")
    parser.add_argument("--age", metavar="IDENTITY", action="append",
                        default=[], help="as --decrypt, and try this key "
                        "file too (recovery key)")
    parser.add_argument("--self-test", action="store_true",
                        help="check the script against known answers")
    args = parser.parse_args()
    if not (args.self_test or args.descriptor or args.tree and args.age):
        parser.error("no DESCRIPTOR given")
    if args.tree and args.names or args.out and not args.tree:
        parser.error("NAME and --tree exclude each other; --out needs --tree")
    return args


def main():
    args = parse_args()
    try:
        if args.self_test:
            return self_test()
        if args.tree:
            return restore_tree(args)
        return print_names(Descriptor.load(args.descriptor, args.age), args)
    except Fatal as e:
        say(e)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
