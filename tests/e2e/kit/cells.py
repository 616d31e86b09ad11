"""What two devices may do to one thing without knowing of each other.

A cell is a folder with something in it, what the first does there (it comes
to the server first), what the second does to the same meanwhile, and what must
be left of it: contents, and names where one side has a right to them. The
names of fs/merge.h: "there" is what the first did, "here" the second."""

import dataclasses
import os
import shutil
import typing


@dataclasses.dataclass
class Cell:
    name: str
    base: typing.Callable  # each gets the cell's folder
    first: typing.Callable
    second: typing.Callable
    left: set              # contents of which none may be lost...
    gone: set = frozenset()  # ...or may come again
    names: typing.Any = None   # all names in the end; CONFLICT: the loser's
    plain_names: typing.Any = None  # the same of a plain folder, if it differs
    plain: bool = True         # not only in a vault


class Conflict(str):
    """The name that the loser of `name` gets."""


def write(name, data):
    def do(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return do


def replace(name, data):
    """As editors save: another file, renamed over."""
    def do(folder):
        write(name + ".new", data)(folder)
        os.rename(folder / (name + ".new"), folder / name)
    return do


def append(name, data):
    def do(folder):
        with open(folder / name, "ab") as f:
            f.write(data)
    return do


def move(name, to):
    def do(folder):
        (folder / to).parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder / name, folder / to)
    return do


def remove(name):
    def do(folder):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return do


def mkdir(name):
    return lambda folder: (folder / name).mkdir(parents=True)


def link(name, target):
    return lambda folder: os.symlink(target, folder / name)


def chmod(name, mode):
    return lambda folder: os.chmod(folder / name, mode)


def swap(a, b):
    return seq(move(a, "aside"), move(b, a), move("aside", b))


def seq(*steps):
    def do(folder):
        for step in steps:
            step(folder)
    return do


def nothing(folder):
    folder.exists()


BASE, ONE, TWO = b"base", b"by the first", b"by the second, longer"
A, B = b"content a", b"content b"
F = write("f.txt", BASE)
DIR = seq(write("d/x", A), write("d/y", B))
TWO_DIRS = seq(write("a/in a", A), write("b/in b", B))
TWO_FILES = seq(write("a", A), write("b", B))

CELLS = [
    # -- content ----------------------------------------------------------
    Cell("edit, edit", F, write("f.txt", ONE), write("f.txt", TWO), {ONE, TWO},
         {BASE}, ["f.txt", Conflict("f.txt")]),
    Cell("edit, edit alike", F, write("f.txt", ONE), write("f.txt", ONE),
         {ONE}, {BASE}, None, ["f.txt"]),
    Cell("append, append", F, append("f.txt", ONE), append("f.txt", TWO),
         {BASE + ONE, BASE + TWO}, {BASE}, ["f.txt", Conflict("f.txt")]),
    Cell("replace, edit", F, replace("f.txt", ONE), write("f.txt", TWO),
         {ONE, TWO}, {BASE}, ["f.txt", Conflict("f.txt")]),
    Cell("edit, replace", F, write("f.txt", ONE), replace("f.txt", TWO),
         {ONE, TWO}, {BASE}),
    Cell("replace, replace", F, replace("f.txt", ONE), replace("f.txt", TWO),
         {ONE, TWO}, {BASE}),
    Cell("empty, edit", F, write("f.txt", b""), write("f.txt", TWO),
         {b"", TWO}, {BASE}),
    Cell("edit, delete", F, write("f.txt", ONE), remove("f.txt"), {ONE},
         {BASE}, ["f.txt"]),
    Cell("delete, edit", F, remove("f.txt"), write("f.txt", TWO), {TWO},
         {BASE}, ["f.txt"]),
    Cell("delete, delete", F, remove("f.txt"), remove("f.txt"), set(), {BASE},
         []),
    Cell("edit, nothing", F, write("f.txt", ONE), nothing, {ONE}, {BASE},
         ["f.txt"]),
    Cell("edit, mode", F, write("f.txt", ONE), chmod("f.txt", 0o600), {ONE},
         {BASE}, ["f.txt"]),
    Cell("mode, edit", F, chmod("f.txt", 0o600), write("f.txt", TWO), {TWO},
         {BASE}, ["f.txt"]),
    # -- places -----------------------------------------------------------
    Cell("rename, edit", F, move("f.txt", "g.txt"), write("f.txt", TWO),
         {TWO}, {BASE}, ["g.txt"]),
    Cell("edit, rename", F, write("f.txt", ONE), move("f.txt", "g.txt"),
         {ONE}, {BASE}, ["g.txt"]),
    Cell("rename and edit, edit", F,
         seq(move("f.txt", "g.txt"), write("g.txt", ONE)),
         write("f.txt", TWO), {ONE, TWO}, {BASE}),
    Cell("edit, rename and edit", F, write("f.txt", ONE),
         seq(move("f.txt", "g.txt"), write("g.txt", TWO)), {ONE, TWO}, {BASE}),
    Cell("rename, delete", F, move("f.txt", "g.txt"), remove("f.txt"), {BASE},
         set(), ["g.txt"]),
    Cell("delete, rename", F, remove("f.txt"), move("f.txt", "g.txt"), {BASE},
         set(), ["g.txt"]),
    Cell("rename, write and delete", F, move("f.txt", "g.txt"),
         seq(write("f.txt", TWO), remove("f.txt")), {BASE}, {TWO}, ["g.txt"]),
    Cell("rename, rename", F, move("f.txt", "g.txt"), move("f.txt", "h.txt"),
         {BASE}, set(), ["h.txt"]),
    Cell("rename alike", F, move("f.txt", "g.txt"), move("f.txt", "g.txt"),
         {BASE}, set(), ["g.txt"]),
    Cell("move, move", seq(F, mkdir("p"), mkdir("q")), move("f.txt", "p/f.txt"),
         move("f.txt", "q/f.txt"), {BASE}, set(), ["p", "q", "q/f.txt"]),
    Cell("move, rename", seq(F, mkdir("p")), move("f.txt", "p/f.txt"),
         move("f.txt", "g.txt"), {BASE}, set(), ["p", "p/g.txt"]),
    Cell("rename, move", seq(F, mkdir("p")), move("f.txt", "g.txt"),
         move("f.txt", "p/f.txt"), {BASE}, set(), ["p", "p/g.txt"]),
    Cell("two to one name", TWO_FILES, move("a", "c"), move("b", "c"), {A, B},
         set(), ["c", Conflict("c")]),
    Cell("swap, nothing", TWO_FILES, swap("a", "b"), nothing, {A, B}, set(),
         ["a", "b"]),
    Cell("swap, edit", TWO_FILES, swap("a", "b"), write("a", TWO), {B, TWO},
         {A}),
    Cell("swap, swap", TWO_FILES, swap("a", "b"), swap("a", "b"), {A, B},
         set()),
    Cell("over another, edit of it", TWO_FILES, move("a", "b"),
         write("b", TWO), {A, TWO}, set()),
    Cell("edit of it, over another", TWO_FILES, write("b", ONE),
         move("a", "b"), {ONE, A}, set()),
    # -- new on both sides --------------------------------------------------
    Cell("create, create", nothing, write("f.txt", ONE), write("f.txt", TWO),
         {ONE, TWO}, set(), ["f.txt", Conflict("f.txt")]),
    Cell("create alike", nothing, write("f.txt", ONE), write("f.txt", ONE),
         {ONE}, set(), None, ["f.txt"]),
    Cell("create, rename to it", F, write("g.txt", ONE),
         move("f.txt", "g.txt"), {ONE, BASE}, set(),
         ["g.txt", Conflict("g.txt")]),
    Cell("rename to it, create", F, move("f.txt", "g.txt"),
         write("g.txt", TWO), {TWO, BASE}, set(),
         ["g.txt", Conflict("g.txt")]),
    # In a vault both exist there: which has an alias depends on the second.
    Cell("folder, file", nothing, write("n/x", ONE), write("n", TWO),
         {ONE, TWO}, set(), None, ["n", "n/x", Conflict("n")]),
    Cell("file, folder", nothing, write("n", ONE), write("n/x", TWO),
         {ONE, TWO}, set()),
    Cell("folder, folder", nothing, write("n/x", ONE), write("n/y", TWO),
         {ONE, TWO}, set(), None, ["n", "n/x", "n/y"]),
    Cell("folders with one file", nothing, write("n/x", ONE),
         write("n/x", TWO), {ONE, TWO}, set()),
    Cell("link, file", nothing, link("n", "target"), write("n", TWO), {TWO},
         set(), plain=False),
    Cell("delete and create, edit", F, seq(remove("f.txt"), F,
                                           write("f.txt", ONE)),
         write("f.txt", TWO), {ONE, TWO}, {BASE}),
    # -- folders ------------------------------------------------------------
    Cell("folder away, new in it", DIR, remove("d"), write("d/z", TWO), {TWO},
         {A, B}, ["d", "d/z"]),
    Cell("new in it, folder away", DIR, write("d/z", ONE), remove("d"), {ONE},
         {A, B}, ["d", "d/z"]),
    Cell("folder away, edit in it", DIR, remove("d"), write("d/x", TWO),
         {TWO}, {A, B}, ["d", "d/x"]),
    Cell("edit in it, folder away", DIR, write("d/x", ONE), remove("d"),
         {ONE}, {A, B}, ["d", "d/x"]),
    Cell("folder renamed, new in it", DIR, move("d", "e"), write("d/z", TWO),
         {A, B, TWO}, set(), ["e", "e/x", "e/y", "e/z"]),
    Cell("new in it, folder renamed", DIR, write("d/z", ONE), move("d", "e"),
         {A, B, ONE}, set(), ["e", "e/x", "e/y", "e/z"]),
    Cell("folder renamed twice", DIR, move("d", "e"), move("d", "f"), {A, B},
         set(), ["f", "f/x", "f/y"]),
    Cell("folder renamed, away", DIR, move("d", "e"), remove("d"), {A, B},
         set(), ["e", "e/x", "e/y"]),
    Cell("folder away, renamed", DIR, remove("d"), move("d", "e"), {A, B},
         set(), ["e", "e/x", "e/y"]),
    Cell("folder in a folder moved, away", write("d/e/x", A), move("d/e", "e"),
         remove("d"), {A}, set(), ["e", "e/x"]),
    Cell("folder away, in it one moved", write("d/e/x", A), remove("d"),
         move("d/e", "e"), {A}, set(), ["e", "e/x"]),
    Cell("into a folder that went", seq(DIR, F), remove("d"),
         move("f.txt", "d/f.txt"), {BASE}, {A, B}, ["d", "d/f.txt"]),
    Cell("a folder that went, into it", seq(DIR, F),
         move("f.txt", "d/f.txt"), remove("d"), {BASE}, {A, B},
         ["d", "d/f.txt"]),
    Cell("out of a folder that went", DIR, remove("d"), move("d/x", "x"),
         {A}, {B}, ["x"]),
    Cell("a folder that went, out of it", DIR, move("d/x", "x"), remove("d"),
         {A}, {B}, ["x"]),
    Cell("folder replaced by a file, edit", DIR,
         seq(remove("d"), write("d", ONE)), write("d/x", TWO), {ONE, TWO},
         {A}),
    Cell("edit, folder replaced by a file", DIR, write("d/x", ONE),
         seq(remove("d"), write("d", TWO)), {ONE, TWO}, {A, B}),
    Cell("file replaced by a folder, edit", F,
         seq(remove("f.txt"), write("f.txt/x", ONE)), write("f.txt", TWO),
         {ONE, TWO}, {BASE}),
    Cell("edit, file replaced by a folder", F, write("f.txt", ONE),
         seq(remove("f.txt"), write("f.txt/x", TWO)), {ONE, TWO}, {BASE}),
    Cell("ring of two", TWO_DIRS, move("a", "b/a"), move("b", "a/b"), {A, B},
         set()),
    Cell("ring of three", seq(TWO_DIRS, write("c/in c", BASE)),
         seq(move("a", "b/a"), move("b", "c/b")), move("c", "a/c"),
         {A, B, BASE}, set()),
    Cell("turned over", write("a/b/f", A),
         seq(move("a/b", "b"), move("a", "b/a")), write("a/b/g", TWO),
         {A, TWO}, set()),
    Cell("turned over on both", write("a/b/f", A),
         seq(move("a/b", "b"), move("a", "b/a")),
         seq(move("a/b", "b"), move("a", "b/a")), {A}, set()),
    Cell("deep, deeper away", write("a/b/c/d/f", A), remove("a/b"),
         write("a/b/c/d/g", TWO), {TWO}, {A}),
]
