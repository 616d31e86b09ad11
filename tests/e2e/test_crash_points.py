"""Goal: death at a boundary tears nothing apart.

The program has places with names (net/crashpoint.h), each between two things
that must not part. Here it dies at every one of them, in what people do and in
what it does by itself, starts again, and must have kept what it promised:
nothing acknowledged is lost, each file is there once, whole, here and on the
server, and the server never got a version that was none."""

import contextlib
import os
import pathlib
import signal

import pytest

from kit import crash, proc, promises, trees

MiB = 2**20
FULL = crash.environment_is_full()
# `make test` takes every so many-th place of a scenario.
ONE_OF = 4

pytestmark = pytest.mark.skipif(bool(crash.why_not()),
                                reason=str(crash.why_not()))


# ---- what happens -----------------------------------------------------------
# Each is a generator: up to its yield all is prepared and sent; then the
# program is told where to die. `tag` makes names of this one turn. What it
# gives back are names whose versions on the server are looked at.

SCENARIOS = {}


def dies_at(*points):
    """The scenario passes these places."""
    def add(function):
        SCENARIOS[function.__name__] = (function, points)
        return function
    return add


@dies_at("created", "content-made", "write-begins", "bytes-written",
         "content-saved", "attributes-saved", "flushed", "commit", "committed",
         "content-flushed", "content-settled", "sync-saved", "sync-settled",
         "sync-durable", "log-sync", "attempts-ready", "attempts-durable",
         "upload-answered", "upload-verified", "upload-noted", "node-clean")
def new_file(p, tag):
    yield
    p.does.write(tag, trees.payload(tag, 9000))
    return [tag]


@dies_at("truncated", "content-row-dropped", "content-file-removed",
         "attempts-durable", "upload-answered", "upload-noted", "flushed")
def replaced(p, tag):
    p.does.write(tag, b"old" * 3000)
    yield
    p.does.write(tag, trees.payload(tag, 7000))
    return [tag]


@dies_at("generation-opened", "write-begins", "bytes-written", "flushed",
         "attributes-saved", "content-saved", "upload-answered")
def changed_in_place(p, tag):
    p.does.write(tag, trees.payload(tag, 150_000))
    yield
    p.does.edit(tag, 70_000, b"x" * 4000)
    p.does.edit(tag, 149_000, b"y" * 4000)
    return [tag]


@dies_at("size-changed", "blocks-changed")
def cut_and_punched(p, tag):
    p.does.write(tag, trees.payload(tag, 150_000))
    yield
    p.does.punch(tag, 8192, 65536)
    p.does.truncate(tag, 100_000)
    p.does.truncate(tag, 200_000)
    return [tag]


@dies_at("fsync-settled", "fsync-durable", "content-flushed",
         "content-settled")
def synced(p, tag):
    p.does.write(tag, b"before")
    yield
    p.does.write(tag, trees.payload(tag, 3000), fsync=True)
    p.does.edit(tag, 100, b"more", fsync=True)
    return [tag]


@dies_at("renamed", "attempts-durable", "content-saved", "item-adopted",
         "upload-answered", "upload-verified", "upload-noted",
         "node-forgotten", "commit", "committed")
def saved_as_editors_do(p, tag):
    p.does.write(tag, b"the former " * 300)
    yield
    p.does.write(tag + "~", trees.payload(tag, 5000))
    p.does.rename(tag + "~", tag)
    return [tag]


@dies_at("renamed", "errand-noted", "move-answered", "move-noted",
         "node-clean", "sync-durable")
def renamed(p, tag):
    p.does.write(tag, trees.payload(tag, 500))
    p.does.set_times(tag, 1_500_000_000_123_456_789, 0o640)
    yield
    p.does.rename(tag, tag + "-new")
    return [tag + "-new"]


@dies_at("renamed", "move-answered", "move-noted", "delete-answered",
         "node-forgotten")
def renamed_over(p, tag):
    p.does.write(tag + "-a", trees.payload(tag, 500))
    p.does.write(tag + "-b", b"is replaced")
    yield
    p.does.rename(tag + "-a", tag + "-b")
    return [tag + "-b"]


@dies_at("renamed", "move-answered", "move-noted")
def exchanged(p, tag):
    for side in "ab":
        p.does.mkdir(f"{tag}-{side}")
        p.does.write(f"{tag}-{side}/in", side.encode() * 400)
    p.does.write(f"{tag}-f", b"f" * 400)
    p.does.write(f"{tag}-g", b"g" * 400)
    yield
    p.does.exchange(f"{tag}-a", f"{tag}-b")
    p.does.exchange(f"{tag}-f", f"{tag}-g")


@dies_at("renamed", "move-answered", "move-noted", "committed")
def folder_renamed(p, tag):
    p.does.mkdir(tag)
    for i in range(20):
        p.does.write(f"{tag}/{i}", b"%d" % i)
    yield
    p.does.write(f"{tag}/late", b"late")
    p.does.rename(tag, tag + "-new")


@dies_at("created", "errand-noted", "folder-answered", "folder-noted", "node-clean",
         "upload-answered")
def folders_made(p, tag):
    yield
    p.does.mkdir(tag)
    p.does.mkdir(tag + "/below")
    p.does.write(tag + "/below/file", trees.payload(tag, 300))


@dies_at("delete-answered")
def removed_after_a_lost_rename(p, tag):
    """The rename had arrived; what was removed since does not come back."""
    p.does.write(tag, b"renamed, and removed")
    p.does.mkdir(tag + "-in")
    p.machine.flush()
    p.arm("move-answered")
    with contextlib.suppress(promises.Died):
        p.does.rename(tag, tag + "-in/new")
    p.wait_death()
    p.mount()
    yield "unsent"
    p.does.unlink(tag + "-in/new")


@dies_at("unlinked", "delete-answered", "delete-noted", "node-forgotten",
         "sync-durable")
def removed(p, tag):
    p.does.mkdir(tag)
    for name in ("", "/a", "/b"):
        p.does.write(f"{tag}{name}" if name else tag + "-f", b"goes")
    yield
    p.does.unlink(tag + "-f")
    p.does.unlink(tag + "/a")
    p.does.unlink(tag + "/b")
    p.does.rmdir(tag)


@dies_at("snapshot-begun", "snapshot-ends", "piece-sealed", "hash-durable",
         "fragment-confirmed", "fragment-noted", "upload-answered",
         "upload-verified", "upload-noted")
def large_file(p, tag):
    yield
    p.does.write(tag, trees.payload(tag, 11 * MiB))
    return [tag]


@dies_at("chunk-set-aside", "upload-answered", "upload-noted")
def changed_while_it_is_sent(p, tag):
    p.does.write(tag, trees.payload(tag, 5 * MiB))
    with p.graphd_slow(4 * MiB):
        p.does.edit(tag, 0, b"first")
        p.graphd.wait_upload()
        yield "unsent"
        p.does.edit(tag, MiB, b"second")
        p.does.edit(tag, 4 * MiB, b"third")
    return [tag]


@dies_at("upload-resumed", "fragment-noted", "upload-noted")
def resumed(p, tag):
    with p.graphd_slow(16 * MiB):
        p.does.write(tag, trees.payload(tag, 25 * MiB))
        proc.wait_until(lambda: p.graphd.session_offset() > 0,
                        what="a fragment")
        p.kill()
    yield "start"
    return [tag]


@dies_at("attempt-looked-for", "attempt-settled")
def answer_came_too_late(p, tag):
    p.arm("upload-answered")
    with contextlib.suppress(promises.Died):
        p.does.write(tag, trees.payload(tag, 3000))
    p.wait_death()
    yield "start"
    return [tag]


@dies_at("errand-dropped")
def rename_never_left(p, tag):
    p.does.write(tag, b"renamed")
    p.machine.flush()
    p.arm("errand-noted")
    with contextlib.suppress(promises.Died):
        p.does.rename(tag, tag + "-new")
    p.wait_death()
    yield "start"
    return [tag + "-new"]


@dies_at("upload-given-up")
def session_is_gone(p, tag):
    fault = p.graphd.fault("fragment", expire="session")
    yield
    p.does.write(tag, trees.payload(tag, 12 * MiB))
    p.graphd.wait_fault(fault)
    return [tag]


@dies_at("upload-uncommitted", "upload-answered", "upload-noted")
def tags_move(p, tag):
    """On such a drive an upload is committed after one more look."""
    p.does.write(tag, b"1" * 1000)
    p.machine.flush()
    for kind in ("session", "put"):
        p.graphd.fault(kind, times=2, bump_tag=True)
    yield
    p.does.write(tag, trees.payload(tag, 2000))
    return [tag]


@dies_at("chunk-arrived", "chunk-map-saved", "content-evicted",
         "content-row-dropped", "content-file-removed")
def read_again(p, tag):
    p.does.write(tag, trees.payload(tag, 17 * MiB))
    p.does.write(tag + "-2", trees.payload(tag, 17 * MiB))
    p.machine.flush()
    proc.wait_until(lambda: p.cached() < 24 * MiB, what="eviction")
    p.does.times.clear()  # written past the page cache, so near the limit
    yield
    for name in (tag, tag + "-2"):
        with p.may_die():
            assert (p.mnt / name).read_bytes() == p.does.files[name]


@dies_at("page-came", "page-applied", "item-merged", "round-settled",
         "round-noted", "committed")
def changed_elsewhere(p, tag):
    p.does.mkdir(tag)
    p.does.write(tag + "/a", b"a" * 900)
    p.does.write(tag + "/b", b"b" * 900)
    yield
    p.graphd.rename(tag + "/a", tag + "/moved")
    p.graphd.delete(tag + "/b")
    p.does.files[tag + "/moved"] = p.does.files.pop(tag + "/a")
    del p.does.files[tag + "/b"]
    p.does.times.clear()
    p.waits_for_others = True


@dies_at("feed-starts-anew", "page-applied", "round-settled", "round-noted")
def feed_is_gone(p, tag):
    p.does.write(tag, b"is there")
    yield
    p.graphd.delta_gone()


@dies_at("run-noted", "incarnation-written", "incarnation-renamed",
         "recovery-decided", "recovery-committed", "scan-rows-seen",
         "scan-files-seen", "commit", "committed")
def started_after_a_kill(p, tag):
    p.does.write(tag, trees.payload(tag, 2000))
    p.kill()
    yield "start"
    return [tag]


@dies_at("home-found", "migrated", "run-noted", "incarnation-written",
         "incarnation-renamed", "page-applied", "round-noted")
def first_start(p, tag):
    p.does.mkdir(tag)
    p.does.write(tag + "/file", b"is on the server")
    p.machine.flush()
    p.kill()
    p.machine.wipe()
    p.does.times.clear()
    yield "start"
    return [tag + "/file"]


@dies_at("quarantine-moves", "quarantine-moved")
def stranger_in_the_cache(p, tag):
    p.does.write(tag, b"file")
    p.kill()
    shard = p.state / "content/7f"
    shard.mkdir(exist_ok=True)
    (shard / tag).write_bytes(b"who am I")
    yield "start"
    assert [f for f in (p.state / "quarantine").iterdir()
            if tag in f.name and f.read_bytes() == b"who am I"]


@dies_at("state-set-aside", "migrated")
def damaged_state(p, tag):
    p.does.write(tag, b"on the server")
    p.machine.flush()
    p.kill()
    for extra in ("-wal", "-shm"):
        (p.state / f"state.db{extra}").unlink(missing_ok=True)
    (p.state / "state.db").write_bytes(b"not a database" * 1000)
    p.does.times.clear()  # the server keeps them more coarsely
    yield "start"
    return [tag]


@dies_at("clean-end-noted")
def ended(p, tag):
    p.does.write(tag, b"is sent before the end")
    yield
    p.mnt.unmount(wait=False)
    return [tag]


@dies_at("tokens-came", "secret-written")
def tokens_come(p, tag):
    yield from _needs_tokens(p, tag)


@dies_at("secret-renamed", "tokens-stored")
def tokens_rotated(p, tag):
    """The service takes no refresh token twice: the new one must be there."""
    p.graphd.login(strict_rotation=True)
    yield from _needs_tokens(p, tag)


def _needs_tokens(p, tag):
    p.does.write(tag, b"before")
    yield
    p.graphd.expire("access")
    p.does.write(tag + "-2", b"needs a new token")


# ---- vaults: made, and given another member ---------------------------------

VAULT_MADE = ("vault-begun", "vault-made", "identity-kept", "pin-kept")
VAULT_CHANGED = ("descriptor-kept", "descriptor-next", "descriptor-replaced")
NEW_MEMBER = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


# ---- and the death of it ----------------------------------------------------

def die(p, scenario, point, tag, n=1):
    """One turn: prepare, die there, start again, check."""
    turn = scenario(p, tag)
    how = next(turn)
    if not how:
        p.machine.flush()
    p.arm(point, n)
    names = ()
    if how == "start":
        p.mount(wait=False)
    else:
        names = end_of(turn, p)
    at = p.wait_death()
    assert at == point
    p.recover(names or ())
    if how == "start":
        p.check_content(end_of(turn, p) or ())


def end_of(turn, p):
    """Runs it to its end, or to its death."""
    try:
        next(turn)
    except StopIteration as e:
        return e.value
    except promises.Died:
        proc.wait_until(p.has_died, what="its death")
    return ()


@pytest.fixture
def patient(signed_in, graphd):
    p = crash.Patient(signed_in, graphd)
    yield p
    p.kill()


def chosen(name):
    points = SCENARIOS[name][1]
    salt = sum(name.encode()) % min(ONE_OF, len(points))
    return crash.share(points, FULL, ONE_OF, salt)


@pytest.mark.fault(1, 2, 3, 5, 6, 7, 8, 46)
@pytest.mark.configs("personal", "personal-vault")
@pytest.mark.parametrize("name", SCENARIOS)
def test_death_at(patient, name, config):
    scenario, _ = SCENARIOS[name]
    options = {"read_again": ("--cache-size", "24M")}.get(name, ())
    patient.mount(*options)
    for turn, point in enumerate(chosen(name)):
        die(patient, scenario, point, f"{name}-{turn}")


@pytest.mark.configs("personal-vault")
@pytest.mark.parametrize("point", VAULT_MADE)
def test_death_while_a_vault_is_made(patient, point):
    """The next start goes on, or makes it anew; then it is a vault like any
    other, and its recovery key opens it."""
    patient.arm(point)
    patient.mount(wait=False)
    assert patient.wait_death() == point
    if point in ("identity-kept", "vault-begun"):  # there is no vault yet
        patient.machine.recovery_key.unlink(missing_ok=True)
    patient.mount()
    patient.does.write("file", b"sealed")
    patient.check_server()
    assert patient.graphd.read("file") == b"sealed"


def members(patient):
    return patient.machine.run("vault", "members", check=0).stdout


@pytest.mark.configs("personal-vault")
@pytest.mark.parametrize("point", VAULT_CHANGED)
def test_death_while_a_member_is_added(patient, point):
    """The vault has the new member or not; said again, it has."""
    patient.mount()
    patient.does.write("file", b"sealed")
    patient.machine.flush()
    patient.arm(point)
    done = patient.machine.run("vault", "add", NEW_MEMBER, "--label", "other")
    assert done.returncode == -9 and patient.is_marked()
    patient.disarm()
    listed = members(patient)
    if "other" not in listed:
        patient.machine.run("vault", "add", NEW_MEMBER, "--label", "other",
                            check=0)
        listed = members(patient)
    assert "other" in listed
    patient.does.write("file", b"sealed anew")
    patient.check_server()
    assert patient.graphd.read("file") == b"sealed anew"


# ---- a person decides (test_hold.py) ----------------------------------------

HELD = {"hold-begun": (), "undo-kept": ("undo",), "undo-noted": ("undo",),
        "approved": ("approve",), "deletes-kept": ("undo",)}


@pytest.mark.configs("personal", "personal-vault")
@pytest.mark.parametrize("point", HELD)
def test_death_while_a_person_decides(patient, point):
    """What is held stays held until all of it is done; said again, it is."""
    machine, graphd = patient.machine, patient.graphd
    patient.mount("--hold-after", "20:50%")
    names, wrote = [f"d/{i}" for i in range(30)], []
    (patient.mnt / "d").mkdir()
    for name in names:
        (patient.mnt / name).write_bytes(b"good " + name.encode())
    machine.flush()
    if point == "hold-begun":
        patient.arm(point)
    if point == "deletes-kept":
        graphd.delete("d")
    else:
        with contextlib.suppress(OSError):  # it may die under it
            for name in names:
                with open(patient.mnt / name, "r+b") as f:
                    f.write(b"bad!")
                wrote.append(name)
    if point != "hold-begun":
        machine.wait_status(lambda s: s["held"], what="the hold")
        patient.arm(point, 1 if point in ("approved", "deletes-kept") else 3)
        machine.run(*HELD[point], "--yes", timeout=20)
    assert patient.wait_death() == point
    patient.mnt.start()
    patient.mnt.wait_mounted()
    if point == "approved":
        machine.flush()
        assert all(graphd.read(n).startswith(b"bad!") for n in names)
        return
    machine.run("flush", timeout=80)
    machine.run("undo", "--yes", check=0)
    machine.flush()
    good = {n: b"good " + n.encode() for n in names}
    assert {n: (patient.mnt / n).read_bytes() for n in names
            if (patient.mnt / n).read_bytes() == good[n]}.keys() >= \
        set(names[19:])  # those before may have gone before they were many
    kept = {f.name.split(".")[0]
            for f in machine.state.rglob("quarantine/undo-*/d/*")}
    bad = sum(graphd.read(n).startswith(b"bad!") for n in names)
    # The last one may have been under way.
    assert len(wrote) - bad <= len(kept) <= len(wrote) - bad + 1
    assert set(graphd.files()) == set(names)


@pytest.mark.fault(11)
@pytest.mark.configs("personal")
@pytest.mark.parametrize("point", ["content-settled", "upload-answered",
                                   "page-came", "flushed"])
def test_one_thread_aborts(patient, point):
    """All of it ends: the syncer, the engine, or who answers the kernel."""
    patient.mount()
    patient.arm(point, how="abort")
    with contextlib.suppress(promises.Died):
        patient.does.write("file", b"written " * 1000)
    assert patient.wait_death() == point
    assert patient.mnt.process.returncode == -signal.SIGABRT
    with pytest.raises(OSError):
        os.listdir(patient.mnt.path)
    patient.recover(["file"])


def test_every_place_is_died_at(can_mount):
    """The tables above, and other files of tests, name all places that the
    program has; the tables no other."""
    named = {p for _, points in SCENARIOS.values() for p in points}
    named |= {*VAULT_MADE, *VAULT_CHANGED}
    here = pathlib.Path(__file__).resolve()
    said = "".join(p.read_text() for p in here.parent.glob("test_*.py"))
    assert named <= set(crash.points())
    assert not [p for p in crash.points() if f'"{p}"' not in said]
