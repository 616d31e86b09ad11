"""Goal: whether files come back is tried, not hoped; and when it was last tried
is known."""

import json
import os
import re
import signal

import pytest

from kit import proc, trees
from test_verify import DIFFERENT, change, make, rot, stored


@pytest.fixture
def tmp(machine, base):
    """Where files are brought back to; nothing stays there."""
    folder = base / "tmp"
    folder.mkdir()
    machine.env["TMPDIR"] = str(folder)
    yield folder
    assert not list(folder.iterdir())


def drill(machine, *args, check=0):
    return json.loads(machine.run("drill", "--json", *args,
                                  check=check).stdout)


def last(machine):
    return json.loads(machine.run("status", "--json").stdout)["last_drill"]


def test_drill(signed_in, graphd, tmp):
    mnt = make(signed_in, [f"d/{i}" for i in range(8)])
    (mnt / "big").write_bytes(trees.payload("big", 5 << 20))
    (mnt / "empty").write_bytes(b"")
    signed_in.flush()
    assert last(signed_in) is None
    assert re.search("^last drill +never", signed_in.run("status").stdout,
                     re.M)
    answer = drill(signed_in, 3)
    assert (answer["outcome"], answer["files"]) == ("passed", 3)
    # Of an empty file there may be nothing here to compare.
    assert answer["compared_with_local"] >= 2
    assert {k: answer[k] for k in last(signed_in)} == last(signed_in)
    text = signed_in.run("drill", check=0).stdout
    assert "10 files" in text and "each as it was sent" in text
    assert re.search("^last drill +20.*10 files, .*each as it was sent$",
                     signed_in.run("status").stdout, re.M)
    mnt.unmount()
    answer = drill(signed_in, 100)
    assert answer["bytes"] == (5 << 20) + 8 * 3000
    assert answer["compared_with_local"] >= 9
    assert last(signed_in)["files"] == 10


def test_what_does_not_come_back(signed_in, graphd, tmp):
    make(signed_in, ["good", "d/rotten", "gone"], mount=False)
    passed = drill(signed_in)["time"]
    rot(graphd, stored(graphd, "d/rotten"))
    change(graphd, "delete", "gone")
    answer = drill(signed_in, check=DIFFERENT)
    assert {f["path"]: f["kind"] for f in answer["findings"]} \
        == {"/d/rotten": "damaged", "/gone": "missing"}
    assert (answer["outcome"], answer["failed"]) == ("failed", 2)
    assert last(signed_in)["last_passed"] == passed
    signed_in.mount().wait_listed()
    text = signed_in.run("status", check=0).stdout
    assert "2 NOT as they were sent" in text
    assert f"the last one that passed: {passed}" in text


def test_against_what_is_here(signed_in, graphd, tmp):
    """What is here is not what was sent: somebody wrote into the state."""
    mnt = make(signed_in, ["f"])
    mnt.unmount()
    [local] = [p for p in (signed_in.state / "nmbackupfs/default/content")
               .rglob("*") if p.is_file()]
    local.write_bytes(bytes(3000))
    answer = drill(signed_in, check=DIFFERENT)
    assert answer["findings"][0]["text"] == "what came back is not what is here"


def test_broken_off(signed_in, graphd, tmp):
    make(signed_in, [f"d/{i}" for i in range(3)], mount=False)
    graphd.fault("download", times=0, delay_ms=1000)
    run = signed_in.popen("drill")
    proc.wait_until(lambda: any(p.is_dir() for p in tmp.iterdir()), 20,
                    "the first file")
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait(proc.patience(20)) == 1
    graphd.clear_faults()
    assert last(signed_in)["outcome"] == "incomplete"
    assert drill(signed_in)["outcome"] == "passed"


def test_nothing_to_restore(signed_in, graphd, tmp):
    assert "nothing was mounted" in signed_in.run("drill", check=1).stderr
    signed_in.mount().wait_listed()
    assert "nothing was confirmed" in signed_in.run("drill", check=1).stderr
    assert last(signed_in) is None
    for wrong in ("0", "-1", "x"):
        signed_in.run("drill", "--", wrong, check=2)
