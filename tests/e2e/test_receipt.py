"""Goal: what proves that a file is on the server can be had at any time, and
never says more than is so."""

import hashlib
import json

import pytest

from kit import proc, program, trees

MIB = 2**20


def receipt(machine, *args, check=0):
    done = machine.run("receipt", "--json", *args, check=check)
    answer = json.loads(done.stdout)
    files = {f["path"]: f for f in answer["files"]}
    assert len(files) == len(answer["files"]) == answer["count"]
    return answer, files


def blake2b(data):
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def state_files(machine):
    top = machine.state / "nmbackupfs/default"
    return {p.name: p.read_bytes() for p in top.iterdir() if p.is_file()}


def test_receipt(signed_in, mnt, graphd):
    data = {"d/small": b"small", "d/empty": b"", "d/e/ü ö": b"odd",
            "big": trees.payload("big", 5 * MIB + 17)}
    (mnt / "d/e").mkdir(parents=True)
    for path, content in data.items():
        (mnt / path).write_bytes(content)
    signed_in.flush()
    answer, files = receipt(signed_in)
    assert answer["confirmed"] == answer["count"] == len(data)
    assert answer["sealed"] == (graphd.stored_size(1) > 1)
    for path, content in data.items():
        said = files["/" + path]
        there = graphd.item(path)
        assert said["state"] == "confirmed" and said["confirmed"]
        assert said["plain_hash"] == blake2b(content), path
        assert said["size"] == said["local_size"] == len(content)
        assert said["stored_size"] == graphd.stored_size(len(content))
        assert said["id"] == there["id"]
        if said["stored_size"]:
            assert said["stored_hash"] == there["quickXorHash"]
    # A part of it, by its path in the mount and in the folder.
    assert set(receipt(signed_in, mnt / "d")[1]) \
        == {p for p in files if p.startswith("/d/")}
    assert set(receipt(signed_in, mnt / "big")[1]) == {"/big"}
    text = signed_in.run("receipt", "big", check=0).stdout
    assert blake2b(data["big"]) in text and "1 confirmed" in text
    signed_in.run("receipt", mnt / "none", check=program.FAILED)
    # Without a mount, and nothing is changed by it; a rename keeps the proof.
    (mnt / "big").rename(mnt / "d/BIG")
    signed_in.flush()
    mnt.unmount()
    before = state_files(signed_in)
    moved = receipt(signed_in, "/d/BIG")[1]["/d/BIG"]
    assert moved == {**files["/big"], "path": "/d/BIG"}
    assert state_files(signed_in) == before


@pytest.mark.mount_options("--deadline", "2s")
def test_not_there(signed_in, mnt, graphd):
    (mnt / "old").write_bytes(b"first")
    signed_in.flush()
    graphd.stop()
    (mnt / "old").write_bytes(b"second version")
    (mnt / "new").write_bytes(b"n")
    answer, files = receipt(signed_in, check=program.UNFINISHED)
    assert (answer["older"], answer["missing"]) == (1, 1)
    assert files["/old"]["plain_hash"] == blake2b(b"first")
    assert (files["/old"]["size"], files["/old"]["local_size"]) == (5, 14)
    assert files["/new"]["state"] == "missing"
    assert not files["/new"]["id"] and files["/new"]["confirmed"] is None
    graphd.start()
    signed_in.flush()
    _, files = receipt(signed_in)
    assert files["/old"]["plain_hash"] == blake2b(b"second version")


@pytest.mark.plain("another device puts plain files")
@pytest.mark.mount_options("--poll-interval", "200ms")
def test_another_device(signed_in, mnt, graphd):
    (mnt / "ours").write_bytes(b"ours")
    signed_in.flush()
    graphd.put("theirs", b"theirs")
    graphd.put("ours", b"theirs now")
    proc.wait_until(lambda: (mnt / "theirs").exists()
                    and (mnt / "ours").stat().st_size == 10, 20, "the feed")
    answer, files = receipt(signed_in)
    assert answer["listed"] == 2
    for path in ("theirs", "ours"):
        said = files["/" + path]
        assert said["plain_hash"] is None and said["confirmed"] is None
        assert said["stored_hash"] == graphd.item(path)["quickXorHash"]


@pytest.mark.plain("another device puts plain files")
def test_what_is_not_listed_yet(signed_in, graphd):
    """A machine that does not know all of it yet does not call it all."""
    graphd.put("d/theirs", b"theirs")
    for cls in ("delta", "children"):
        graphd.stall(cls)
    signed_in.mount()
    proc.wait_until(lambda: signed_in.run("receipt").returncode
                    == program.UNFINISHED, 20, "a receipt")
    answer, files = receipt(signed_in, check=program.UNFINISHED)
    assert answer["unlisted_folders"] >= 1 and not files
    graphd.clear_faults()
    graphd.wait_idle()
    proc.wait_until(lambda: signed_in.run("receipt").returncode == 0, 30,
                    "the listing")
    answer, files = receipt(signed_in)
    assert set(files) == {"/d/theirs"}


@pytest.mark.configs("personal", "work-vault")
def test_no_hash_of_a_part(signed_in, graphd):
    """An upload that goes on after a crash reads only the rest: no hash."""
    data = trees.payload("cut", 24 * MIB)
    mnt = signed_in.mount()
    mnt.wait_listed()
    graphd.limit(up=12 * MIB)
    (mnt / "big").write_bytes(data)
    proc.wait_until(lambda: graphd.session_offset() >= 10 * MIB, 30,
                    "a fragment")
    mnt.kill()
    graphd.limit(up=0)
    signed_in.mount()
    signed_in.flush()
    _, files = receipt(signed_in)
    assert files["/big"]["state"] == "confirmed"
    assert files["/big"]["plain_hash"] in (None, blake2b(data))
    assert graphd.read("big") == data
