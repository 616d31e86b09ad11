"""Goal: two devices change one thing, each without knowing of the other:
nothing is lost, both show the same in the end, and that is the end of it.

All cells of kit/cells.py lie side by side, each in a folder of its own, so
that a run costs the seconds of one. NMB_TEST_CELL="edit, edit" runs one."""

import contextlib
import os
import re
import signal
import socket
import threading

import pytest

from kit import cells, proc, trees

pytestmark = pytest.mark.configs("personal", "work-vault")
FULL = bool(os.environ.get("NMB_TEST_FULL"))
CONFLICT = re.compile(
    r"(.+) \(conflict (.+) \d{4}-\d\d-\d\d \d{6}(?: \d+)?\)(.*)")
ALIAS = re.compile(r"(.+) \(conflict [0-9a-f]{8}\)(.*)")


@pytest.fixture
def two(signed_in, second_machine, config):
    """Two devices of one folder, both mounted and up to date."""
    for computer in (signed_in, second_machine):
        computer.env["NMBACKUPFS_POLL_INTERVAL"] = "300ms"
    mine = signed_in.mount()
    mine.wait_listed()
    if "vault" in config:
        second_machine.env["NMBACKUPFS_LABEL"] = "second"
        second_machine.run("vault", "join", "--recovery-key",
                           signed_in.recovery_key, check=0)
    theirs = second_machine.mount()
    theirs.wait_listed()
    return (signed_in, mine), (second_machine, theirs)


@contextlib.contextmanager
def asleep(mount):
    """It neither hears nor says anything, and what was done in it stays."""
    mount.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        mount.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def dead(mount):
    """The same, and it has to start from what it left behind."""
    mount.kill()
    yield
    mount.start()
    mount.wait_mounted()


def meet(first, second, graphd, away=asleep):
    """The network is back for both; `first` says its word first."""
    with away(second[1]):
        graphd.start()
        first[0].flush()
    second[0].flush()
    first[0].flush()


def same_view(first, second, timeout=40):
    views = []

    def same():
        views[:] = [trees.describe(m.path) for _, m in (first, second)]
        return views[0] == views[1] and settled(first) and settled(second)
    try:
        proc.wait_until(same, timeout, "one view", every=0.3)
    except AssertionError:
        trees.assert_same(first[1].path, second[1].path)
        raise
    return views[0]


def settled(device):
    s = device[0].status()
    return not s["pending_changes"] and not s["blocked"]


def folder_of(cell):
    return cell.name.replace(", ", " - ")


def looks_like(name, wanted):
    if not isinstance(wanted, cells.Conflict):
        return name == wanted
    own, alias = CONFLICT.fullmatch(name), ALIAS.fullmatch(name)
    if own:
        return own[2] == socket.gethostname() and own[1] + own[3] == wanted
    return bool(alias) and alias[1] + alias[2] == wanted


def complaints(cell, root, vault):
    """What is wrong with the end of a cell."""
    found = {str(p.relative_to(root)): p.is_file() and p.read_bytes()
             for p in sorted(root.rglob("*"))}
    have = {data for data in found.values() if data is not False}
    wrong = [f"lost: {data!r}" for data in cell.left - have]
    wrong += [f"came again: {data!r}" for data in cell.gone & have]
    names = cell.names if vault or cell.plain_names is None \
        else cell.plain_names
    if names is not None:
        left = list(found)
        for wanted in sorted(names, key=lambda n: isinstance(n, cells.Conflict)):
            name = next((n for n in left if looks_like(n, wanted)), None)
            left.remove(name) if name else wrong.append(f"no {wanted!r}")
        wrong += [f"not wanted: {name!r}" for name in left]
    return [f"{cell.name}: {w}; there is {found}" for w in wrong]


def chosen(config):
    one = os.environ.get("NMB_TEST_CELL")
    return [c for c in cells.CELLS if (not one or c.name == one)
            and (c.plain or "vault" in config)]


def quiet(devices, graphd, settling=5):
    """Nobody sends anything any more, though the feed is read on. The last
    answers may still be on their way: a few rounds of it for that."""
    for _ in range(settling):
        before = changing(graphd)
        for _ in range(3):
            graphd.mark()
            graphd.wait_request("delta", more=len(devices))
        after = changing(graphd)
        if after == before:
            return
    assert after == before


def changing(graphd):
    return {k: n for k, n in graphd.requests().items()
            if k in ("put", "patch", "delete", "mkdir", "session", "fragment")}


def contents_there(graphd):
    """By id: in a vault two may have one plain name."""
    return sorted(trees.digest(data) for data in graphd.all_contents())


def contents_here(root):
    return sorted(trees.digest(b"" if p.is_symlink() else p.read_bytes())
                  for p in root.rglob("*") if p.is_symlink() or p.is_file())


@pytest.mark.fault(61, 62, 64)
@pytest.mark.parametrize("loser", ["second", "first"])
@pytest.mark.parametrize("away", [asleep, dead][:2 if FULL else 1])
def test_cells(two, graphd, config, loser, away):
    devices = two if loser == "second" else two[::-1]
    first, second = devices
    for cell in chosen(config):
        (first[1] / folder_of(cell)).mkdir()
        cell.base(first[1] / folder_of(cell))
    first[0].flush()
    same_view(first, second)
    graphd.stop()
    for cell in chosen(config):
        cell.first(first[1] / folder_of(cell))
        cell.second(second[1] / folder_of(cell))
    meet(first, second, graphd, away)
    same_view(first, second)
    wrong = [w for cell in chosen(config) for w in
             complaints(cell, first[1] / folder_of(cell), "vault" in config)]
    assert not wrong, "\n".join(wrong)
    assert contents_there(graphd) == contents_here(first[1].path)
    quiet(devices, graphd)


# ---- names that are one name to the service ---------------------------------

TWINS = [("caf\u00e9", "cafe\u0301"), ("Name.txt", "name.TXT"), ("dir", "DIR")]
PERSONAL_TWINS = [("\u00e6on", "aeon")]


@pytest.mark.fault(65)
@pytest.mark.configs("personal", "work-vault")
def test_equal_to_the_service_alone(two, graphd, config):
    """Of two names that differ here and not there the second is blocked in a
    plain folder, until a person renames one of them; in a vault both exist."""
    first, second = two
    twins = TWINS + (PERSONAL_TWINS if config.startswith("personal") else [])
    graphd.stop()
    for i, (one, other) in enumerate(twins):
        for mount, name in ((first[1], one), (second[1], other)):
            path = mount / name
            if name.lower() == "dir":
                path.mkdir()
                path = path / "in it"
            path.write_bytes(name.encode())
    with asleep(second[1]):
        graphd.start()
        first[0].flush()
    if "vault" in config:
        second[0].flush()
        names = same_view(first, second)
        assert {n for pair in twins for n in pair} <= set(names)
        assert all("conflict" not in n for n in names)
        return
    second[0].wait_status(lambda s: len(s["blocked"]) == len(twins), 30,
                          "the blocked ones")
    assert second[0].run("flush", "--timeout", 20).returncode == 5
    for row in second[0].status()["blocked"]:
        assert "rename one of them" in row["reason"]
    for one, other in twins:
        assert content(second[1] / other) == other.encode()
        assert one.encode() in [content(p) for p in second[1].path.iterdir()]
        os.rename(second[1] / other, second[1] / ("other " + other))
    second[0].flush()
    names = same_view(first, second)
    for one, other in twins:
        there = "other " + other
        assert one in names and there in names
        assert content(first[1] / one) == one.encode()
        assert content(first[1] / there) == other.encode()
    quiet(two, graphd)


def content(path):
    return (path / "in it" if path.is_dir() else path).read_bytes()


@pytest.mark.configs("personal")
def test_name_taken_by_what_is_not_ours(two, graphd):
    """A notebook of the browser under the names of a file and a folder here:
    it is left alone, ours get other names and are sent."""
    first, second = two
    graphd.stop()
    (first[1] / "n1").write_bytes(b"one")
    (first[1] / "n2").mkdir()
    (first[1] / "n2/x").write_bytes(b"x")
    with asleep(first[1]):
        graphd.start()
        graphd.package("n1")
        graphd.package("n2")
    first[0].flush()
    names = set()
    proc.wait_until(lambda: names.update(os.listdir(first[1].path)) or
                    set(os.listdir(second[1].path)) == names
                    and len(names) == 4, 20, "all on both")
    for name, wanted in (("n1", b"one"), ("n2", b"x")):
        [ours] = [n for n in names if looks_like(n, cells.Conflict(name))]
        path = second[1] / ours
        assert (path / "x" if path.is_dir() else path).read_bytes() == wanted
    with pytest.raises(PermissionError):
        (first[1] / "n1").read_bytes()
    with pytest.raises(PermissionError):
        (first[1] / "n1").unlink()
    assert {"n1", "n2"} <= graphd.names()
    quiet(two, graphd)


@pytest.mark.fault(70)
@pytest.mark.configs("personal")
def test_service_that_numbers_names(two, graphd):
    """Our file is called "f 1.txt" there while it is written here, and another
    "f.txt" lies in its place: each follows its item, and no copy breeds."""
    first, second = two
    (first[1] / "f.txt").write_bytes(b"ours")
    first[0].flush()
    same_view(first, second)
    graphd.stop()
    (first[1] / "f.txt").write_bytes(b"ours, written on")
    with asleep(first[1]):
        graphd.start()
        graphd.rename("f.txt", "f 1.txt")
        graphd.put("f.txt", b"theirs")
    first[0].flush()
    assert sorted(same_view(first, second)) == ["f 1.txt", "f.txt"]
    assert (second[1] / "f 1.txt").read_bytes() == b"ours, written on"
    assert (second[1] / "f.txt").read_bytes() == b"theirs"
    quiet(two, graphd)
    assert len(graphd.files()) == 2


# ---- at the same time -------------------------------------------------------

@pytest.mark.fault(98)
@pytest.mark.configs("personal", "personal-vault")
def test_eight_writers_on_two_machines(two, graphd):
    """Each file is listed once at any time, and all of them in the end."""
    first, second = two
    for _, mount in two:
        mount.wait_listed()
    (first[1] / "d").mkdir()
    first[0].flush()
    same_view(first, second)
    done, doubles = [], []

    def write_some(k):
        mount = two[k % 2][1]
        for i in range(12):
            (mount / f"d/{k}-{i}").write_bytes(b"%d %d" % (k, i))
            if i % 3 == 2:
                os.rename(mount / f"d/{k}-{i}", mount / f"d/{k}-{i} renamed")

    def list_on(mount):
        while not done:
            names = os.listdir(mount / "d")
            if len(set(names)) != len(names):
                doubles.append(names)

    writers = [threading.Thread(target=write_some, args=(k,))
               for k in range(8)]
    readers = [threading.Thread(target=list_on, args=(m,)) for _, m in two]
    for t in writers + readers:
        t.start()
    for t in writers:
        t.join()
    first[0].flush()
    second[0].flush()
    names = same_view(first, second)
    done.append(True)
    for t in readers:
        t.join()
    assert not doubles
    assert len(names) == 1 + 8 * 12
    for k in range(8):
        for i in range(12):
            name = f"d/{k}-{i}" + (" renamed" if i % 3 == 2 else "")
            assert (first[1] / name).read_bytes() == b"%d %d" % (k, i)
    assert len(graphd.files()) == 8 * 12


@pytest.mark.fault(63)
@pytest.mark.configs("work", "personal-vault")
def test_folder_moved_while_a_file_in_it_is_sent(two, graphd):
    """By another device: the file arrives where the folder is now."""
    first, second = two
    (first[1] / "d").mkdir()
    (first[1] / "other").mkdir()
    first[0].flush()
    same_view(first, second)
    graphd.limit(up=400_000)
    data = trees.payload(1, 3_000_000)
    (first[1] / "d/big").write_bytes(data)
    graphd.wait_upload()
    os.rename(second[1] / "d", second[1] / "other/moved")
    graphd.limit(up=0)
    second[0].flush()
    first[0].flush()
    names = same_view(first, second)
    assert sorted(names) == ["other", "other/moved", "other/moved/big"]
    assert trees.digest(graphd.read("other/moved/big")) == trees.digest(data)
