"""Goal: what was is found again: versions, states of a tree, what was deleted.

What the service keeps, and what this device noted of it, bring back a file or
a tree as it was; what can't be had any more is said, file by file."""

import json
import os

import pytest

from kit import trees

both = pytest.mark.configs("personal", "work", "personal-vault",
                           "work-60-vault")
pytestmark = both

MIB = 2**20


def put(machine, path, *args):
    return machine.run("put", path, *args, check=0).stdout.strip()


# -- versions ------------------------------------------------------------------

def test_versions_of_a_file(signed_in, base, config):
    sizes = (3, 70_000, 0, 9)
    for size in sizes:
        trees.write(base / "f", trees.payload("v", size))
        item_id = put(signed_in, base / "f", "--as", "d/f")
    lines = signed_in.run("versions", "d/f", check=0).stdout.splitlines()
    # Business makes a version of its own of a time that is set afterwards.
    got = [int(line.split()[2]) for line in lines]
    assert [s for i, s in enumerate(got) if not i or got[i - 1] != s] == \
        list(reversed(sizes))
    assert [line.split()[3:] for line in lines] == \
        [["current"]] + [[]] * (len(lines) - 1)
    said = json.loads(signed_in.run("versions", item_id, "--json",
                                    check=0).stdout)
    assert said["item"] == item_id and said["name"] == "f"
    assert [v["size"] for v in said["versions"]] == got
    assert [v["id"] for v in said["versions"]] == \
        [line.split()[1] for line in lines]
    assert [v["current"] for v in said["versions"]][:2] == [True, False]
    if "vault" in config:
        assert said["versions"][0]["stored_size"] > got[0]
    # Below the mount too, whether it is there or not.
    mount = signed_in.mount()
    again = signed_in.run("versions", mount / "d/f", check=0)
    assert again.stdout.splitlines() == lines


def test_versions_over_pages(signed_in, base, graphd):
    graphd.quirk(page_size=3)
    for i in range(8):
        trees.write(base / "f", b"x" * i)
        put(signed_in, base / "f")
    said = json.loads(signed_in.run("versions", "f", "--json", check=0).stdout)
    sizes = [v["size"] for v in said["versions"]]
    assert sorted(set(sizes), reverse=True) == list(range(7, -1, -1))
    assert sizes == sorted(sizes, reverse=True)
    assert [v["current"] for v in said["versions"]].count(True) == 1


def test_versions_of_what_has_none(signed_in, base):
    trees.write(base / "f", b"f")
    put(signed_in, base / "f", "--as", "d/f")
    done = signed_in.run("versions", "d", check=1)
    assert "is a folder" in done.stderr and "--at TIME" in done.stderr
    done = signed_in.run("versions", "nothing", check=1)
    assert "no file of that name" in done.stderr
    signed_in.run("versions", check=2)
    signed_in.run("versions", "a", "b", check=2)
