"""Goal: a tree of small files comes back without two round trips for each;
what is read here and there costs what it costs.

No clocks: what was asked of the service says whether it was ahead."""

import os
import shutil

import pytest

from kit import trees

pytestmark = pytest.mark.configs("personal-60", "work")
SIZE = 2000


def fill(graphd, folders, each):
    """Another device's; the content of every file."""
    data = {f"d{d}/f{i:03d}": trees.payload((d, i), SIZE)
            for d in range(folders) for i in range(each)}
    for path, content in data.items():
        graphd.put(path, content)
    return data


def in_order(mnt, folder):
    """As a listing has them."""
    with os.scandir(mnt / folder) as entries:
        return [f"{folder}/{e.name}" for e in entries]


def read_all(mnt, paths, data):
    for path in paths:
        assert (mnt / path).read_bytes() == data[path], path


@pytest.mark.parametrize("order", ["listed", "by name"])
def test_one_after_another(signed_in, graphd, order):
    data = fill(graphd, 2, 60)
    mnt = signed_in.mount()
    paths = in_order(mnt, "d0") + in_order(mnt, "d1")
    assert sorted(paths) == sorted(data)
    if order == "by name":
        paths.sort()
    before = graphd.total_requests()
    batches = graphd.requests().get("batch", 0)
    read_all(mnt, paths, data)
    assert graphd.requests()["batch"] > batches, "one URL at a time"
    assert graphd.total_requests() - before < 1.5 * len(data)
    assert graphd.bytes_down() < 1.1 * len(data) * SIZE


def test_one_large_file(signed_in, graphd):
    """Read to its end in few requests, no byte of it fetched twice."""
    size = 24 * 2**20
    graphd.put_made("large", size, 1)
    mnt = signed_in.mount()
    path = mnt / "large"
    with open(path, "rb", buffering=0) as f:
        assert sum(len(b) for b in iter(lambda: f.read(2**17), b"")) == size
    assert graphd.requests()["download"] <= 20
    assert graphd.bytes_down() == size
    assert trees.sha(path) == trees.digest(graphd.made(size, 1))[1]


def test_here_and_there(signed_in, graphd):
    """Nothing is fetched that nobody reads."""
    data = fill(graphd, 1, 120)
    mnt = signed_in.mount()
    paths = in_order(mnt, "d0")
    chosen = [paths[(37 * i) % len(paths)] for i in range(25)]
    read_all(mnt, chosen, data)
    graphd.wait_idle(400)
    assert graphd.bytes_down() == len(chosen) * SIZE


def test_ends_when_the_order_does(signed_in, graphd):
    data = fill(graphd, 1, 200)
    mnt = signed_in.mount()
    paths = in_order(mnt, "d0")
    read_all(mnt, paths[:4], data)  # now some more are fetched
    graphd.wait_idle(400)
    ahead = graphd.bytes_down()
    assert 4 * SIZE < ahead <= (4 + 64) * SIZE
    far = [paths[i] for i in range(199, 100, -20)]
    read_all(mnt, far, data)
    graphd.wait_idle(400)
    assert graphd.bytes_down() == ahead + len(far) * SIZE


@pytest.mark.mount_options("--cache-size", "1M")
def test_small_cache(mnt, graphd, base):
    """It pushes nothing out, and everything comes back."""
    for i in range(40):
        graphd.put(f"d/f{i:02d}", trees.payload(i, 100_000))
    graphd.put("end", b"")
    while not (mnt / "end").exists():
        pass
    shutil.copytree(mnt / "d", base / "back")
    for i in range(40):
        assert (base / f"back/f{i:02d}").read_bytes() == \
            trees.payload(i, 100_000)
    assert graphd.bytes_down() < 1.2 * 40 * 100_000


def test_replaced_meanwhile(signed_in, graphd):
    """What was fetched ahead and then replaced is read anew."""
    data = fill(graphd, 1, 40)
    mnt = signed_in.mount()
    paths = in_order(mnt, "d0")
    read_all(mnt, paths[:6], data)
    graphd.wait_idle(400)
    data[paths[8]] = b"another one"
    graphd.put(paths[8], data[paths[8]])
    signed_in.wait_status(lambda s: (mnt / paths[8]).stat().st_size == 11)
    read_all(mnt, paths, data)
