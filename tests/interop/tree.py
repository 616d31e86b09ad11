"""Trees of files for clients, and what two of them differ in."""

import os
import pathlib
import random

# Where something changes on the way up: empty, fragment granule (320 KiB),
# small upload (4 MiB), the clients' fragment (10 MiB), several of them.
SIZES = (0, 1, 4095, 327680, 327681, 4 * 2**20, 4 * 2**20 + 1, 10 * 2**20,
         10 * 2**20 + 1, 40_000_000)

# Every client takes these.
NAMES = (
    "plain", "with space", ".hidden", "per%20cent", "plus+and&", "hash#",
    "ümlaut.txt", "e\u0301 decomposed", "漢字.md", "emoji \U0001f4be",
    "-dash", "quote'single", "semi;colon", "at@sign", "eq=ual", "{brace}",
    "[bracket]", "comma,", "dollar$HOME", "CamelCase.TXT", "a.b.c..d",
    "back`tick", "bang!", "(paren)", "x" * 180, "ж" * 80, "100% & more?".strip("?"),
)

# What the service refuses as it is; rclone has other characters for them.
# Not here: U+201B and U+2400, which rclone alters on its own side.
FORBIDDEN = (
    "a:b", 'quo"te', "star*", "que?stion", "pipe|", "less<more>",
    "back\\slash", "~tilde", " leading", "trailing ", "dot.", "double..",
    "tab\there", "new\nline", "bell\a", "del\x7f", "＂already wide＂",
    "：colon wide", "end space dot .", "\u2420open box",
)


def make(root, seed, names, small=120, sizes=SIZES):
    """A tree: `names` as files and as folders, `sizes`, and many small files."""
    rng = random.Random(seed)
    root = pathlib.Path(root)
    folders = [root]
    for i, name in enumerate(names[::3]):
        folder = rng.choice(folders[:8]) / f"{name[:40].rstrip('. ')} d{i}"
        folder.mkdir(parents=True, exist_ok=True)
        folders.append(folder)
    for name in names:
        _write(rng, rng.choice(folders) / name, rng.randrange(1, 3000))
    for i, size in enumerate(sizes):
        _write(rng, rng.choice(folders) / f"size-{i}-{size}.bin", size)
    for i in range(small):
        _write(rng, rng.choice(folders) / f"file {i:03}.dat",
               int(rng.paretovariate(0.7) * 20) % 60_000)
    return root


def _write(rng, path, size):
    path.write_bytes(rng.randbytes(size))
    when = rng.randrange(1_000_000_000, 1_700_000_000)
    os.utime(path, ns=(when * 10**9, when * 10**9 + rng.randrange(1000) * 10**6))


def listing(root):
    """Relative path -> bytes of a file, None for a folder."""
    root = pathlib.Path(root)
    found = {}
    for here, dirs, files in os.walk(root):
        here = pathlib.Path(here)
        for name in dirs:
            found[str((here / name).relative_to(root))] = None
        for name in files:
            found[str((here / name).relative_to(root))] = \
                (here / name).read_bytes()
    return found


def assert_same(got_root, want_root, times=True):
    got, want = listing(got_root), listing(want_root)
    assert sorted(got) == sorted(want)
    wrong = [p for p in want if got[p] != want[p]]
    assert not wrong, f"content differs: {wrong[:10]}"
    if not times:
        return
    for path, content in want.items():
        if content is None:
            continue
        a = os.stat(pathlib.Path(got_root) / path).st_mtime
        b = os.stat(pathlib.Path(want_root) / path).st_mtime
        assert abs(a - b) <= 1, f"mtime of {path}: {a}, not {b}"
