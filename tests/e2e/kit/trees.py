"""Trees of files: made up from a seed, taken from this machine, compared."""

import hashlib
import os
import pathlib
import random
import shutil
import stat
import unicodedata

# Sizes at which something changes: empty, one byte, a 64 KiB chunk, an upload
# granule (320 KiB), the small-upload limit (4 MiB), a fragment (10 MiB).
EDGE_SIZES = (0, 1, 4095, 4096, 65535, 65536, 65537, 327679, 327680, 327681,
              4 * 2**20 - 1, 4 * 2**20, 4 * 2**20 + 1)

ODD_NAMES = (
    "plain", "with space", "tab\there", "dot.", ".hidden", "~tilde",
    " leading", "trailing ", "a:b", 'quo"te', "star*", "que?stion", "pipe|",
    "less<more>", "back\\slash", "per%20cent", "plus+and&", "hash#", "new\nline",
    "ümlaut", "e\u0301 decomposed", "漢字", "emoji \U0001f4be", "-dash",
    "quote'single", "semi;colon", "at@sign", "eq=ual", "{brace}", "[bracket]",
    "comma,", "dollar$HOME", "bell\a", "del\x7f", "CamelCase", "．wide dot",
    "＂already wide＂", "‛quote", "double..", "end space dot .", "x" * 200,
    "ä" * 120,
)


def payload(seed, size):
    """`size` bytes that depend on `seed` and do not compress."""
    rnd = random.Random(repr(seed))
    whole, rest = divmod(size, 2**27)  # randbytes() has a limit
    return b"".join([rnd.randbytes(2**27) for _ in range(whole)] +
                    [rnd.randbytes(rest)])


def write(path, data):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def make_tree(root, seed=1, files=60, max_size=200_000, depth=3):
    """A tree of files of mixed sizes and odd names; returns `root`."""
    rnd = random.Random(seed)
    root = pathlib.Path(root)
    root.mkdir(parents=True, exist_ok=True)
    folders = [root]
    for i in range(max(1, files // 8)):
        parent = rnd.choice(folders)
        if len(parent.relative_to(root).parts) < depth:
            folder = parent / f"folder {i}"
            folder.mkdir(exist_ok=True)
            folders.append(folder)
    for i in range(files):
        size = min(rnd.choice(EDGE_SIZES), max_size) if i % 3 == 0 else \
            int(rnd.paretovariate(0.7) * 100) % max_size
        name = ODD_NAMES[i] if i < len(ODD_NAMES) else f"file-{i:04d}.bin"
        path = rnd.choice(folders) / name
        path.write_bytes(payload((seed, i), size))
        when = 1_500_000_000 + rnd.randrange(200_000_000)
        os.utime(path, ns=(when * 10**9 + 123456789, when * 10**9 + 987654321))
    return root


def fold(name):
    return unicodedata.normalize("NFC", name).casefold().replace("æ", "ae")


def copy_real_tree(target, files=400, total=12 * 2**20,
                   sources=("/usr/include", "/usr/share/doc", "/usr/share")):
    """Copies what this machine has, without symlinks and case twins."""
    target = pathlib.Path(target)
    count = size = 0
    for source in sources:
        for folder, dirs, names in os.walk(source):
            dirs[:] = _without_twins(d for d in sorted(dirs)
                                     if not os.path.islink(f"{folder}/{d}"))
            here = target / os.path.relpath(folder, "/")
            taken = {fold(d) for d in dirs}
            for name in _without_twins(sorted(names), taken):
                path = os.path.join(folder, name)
                info = os.lstat(path)
                if not stat.S_ISREG(info.st_mode) or info.st_size > 2**20:
                    continue
                if count >= files or size + info.st_size > total:
                    return target
                here.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, here / name)
                count += 1
                size += info.st_size
    return target


def _without_twins(names, taken=()):
    seen = set(taken)
    kept = []
    for name in names:
        if fold(name) not in seen:
            seen.add(fold(name))
            kept.append(name)
    return kept


def digest(data):
    """Short enough for the report of a failure."""
    return len(data), hashlib.sha256(data).hexdigest()


def sha(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def describe(root, times=False):
    """{relative path: (kind, size, hash or link target[, mtime in s])}."""
    root = pathlib.Path(root)
    found = {}
    for folder, dirs, names in os.walk(root):
        for name in dirs + names:
            path = pathlib.Path(folder) / name
            info = path.lstat()
            kind = stat.S_IFMT(info.st_mode)
            row = (oct(kind),)
            if stat.S_ISREG(kind):
                row += (info.st_size, sha(path))
                if times:
                    row += (info.st_mtime_ns // 10**9,)
            elif stat.S_ISLNK(kind):
                row += (os.readlink(path),)
            found[str(path.relative_to(root))] = row
    return found


def assert_same(left, right, times=False):
    """Both trees hold the same names, kinds, bytes (and mtimes by seconds)."""
    a, b = describe(left, times), describe(right, times)
    lines = [f"only in {left}: {p!r}" for p in sorted(a.keys() - b.keys())]
    lines += [f"only in {right}: {p!r}" for p in sorted(b.keys() - a.keys())]
    lines += [f"differs: {p!r} {a[p]} {b[p]}"
              for p in sorted(a.keys() & b.keys()) if a[p] != b[p]]
    assert not lines, "\n".join(lines[:30])
