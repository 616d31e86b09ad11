"""Goal: the live check works before somebody gives it an account: the same
entry, with graphd as the service. It takes away what it made, and nothing
else; what it prints may be shown to anybody."""

import os
import re
import subprocess
import sys

import pytest

from kit import graphd as kit_graphd
from kit import proc, program, secrets

FULL = bool(os.environ.get("NMB_TEST_FULL"))
RUN = proc.ROOT / "tests/live/run"


class TappedGraphd(kit_graphd.Graphd):
    """Writes down what was said, for the secrets in it."""

    def command(self):
        return [*super().command(), "--tap", str(self.base / "tap")]


@pytest.fixture
def service(base, config):
    server = TappedGraphd(base / "graphd", config)
    server.start()
    yield server
    server.stop()


def live(service, base, *args, timeout=100, **env):
    service.login(mode="approve", interval_s=0)
    done = subprocess.run(
        [sys.executable, str(RUN), "--client-id", program.CLIENT_ID,
         "--account", service.account, "--out", str(base / "table"), *args],
        env={**os.environ, **service.client_env(), "TMPDIR": str(base),
             "NMB_TEST_BIN": str(program.BINARY), "NMB_TEST_SLOW": "2", **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, timeout=proc.patience(timeout), check=False,
        preexec_fn=proc.die_with_parent)
    return done.returncode, done.stdout


def rows_of(text):
    """{id: (answer, evidence)}"""
    rows = [re.split(r" (?<!\\)\| ", line.strip("| \n"))
            for line in text.splitlines() if re.match(r"\| [1A]", line)]
    return {row[0]: (row[2], row[4]) for row in rows}


def tree(service):
    """What is there, all of it, with ids and times; but the root."""
    return {p: i for p, i in service.tree(folder="").items() if p}


@pytest.mark.configs("personal", "migrated", "work")
def test_probes(service, base):
    service.put("mine", b"mine", folder="")
    service.put("letters/one", b"one", folder="nmbackupfs")
    before = tree(service)
    rc, said = live(service, base, "--no-suite")
    assert rc == 0, said
    assert tree(service) == before
    rows = rows_of((base / "table").read_text())
    assert len(rows) == len(set(rows)) >= 20
    assert {i for i, row in rows.items() if row[0] == "not tried"} == \
        {"16.5", "16.7", "16.15"}
    assert not [row for row in rows.values() if row[0] == "no answer"], rows
    assert rows["A4.1"][0] == rows["A4.2"][0] == "yes"
    assert "case" in rows["A4.3"][0]
    # Nothing of it is left here, and nothing in it is private.
    assert os.listdir(base).count("table") == 1
    assert not [n for n in os.listdir(base) if n.startswith("nmb-live-")]
    found = secrets.Secrets()
    found.add_tap(base / "graphd/tap")
    assert "token" in found.kinds()
    text = said.replace("\n", " ").encode()
    codes = [w for w in found.in_bytes(text) if w != "token"]
    assert not codes
    assert not any(t in text for t, what in found.found.items()
                   if what == "token" and len(t) > 20)
    leaks = service.stats()["auth_leaks"]
    assert leaks == 0


@pytest.mark.configs("personal", "work")
def test_suite(service, base):
    """A test in a plain folder and two in vaults; all of them in full runs."""
    some = "deep_and_empty or mtime_goes or second_machine_added"
    rc, said = live(service, base, "--no-probes",
                    *([] if FULL else ["-k", some]), timeout=600)
    assert rc == 0, said[-6000:]
    assert "passed" in said and "skipped" not in said
    assert tree(service) == {}


@pytest.mark.configs("personal")
@pytest.mark.parametrize("renamed", [False, True])
def test_ends_in_order(service, base, renamed):
    """Interrupted in the middle, it takes its folder away all the same; but not
    one that somebody gave a name of his own meanwhile."""
    service.login(mode="approve", interval_s=0)
    service.fault({"class": "batch"}, times=0, stall_ms=60_000)
    process = subprocess.Popen(
        [sys.executable, str(RUN), "--client-id", program.CLIENT_ID,
         "--no-suite"],
        env={**os.environ, **service.client_env(), "TMPDIR": str(base),
             "NMB_TEST_BIN": str(program.BINARY)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        stderr=subprocess.STDOUT, preexec_fn=proc.die_with_parent)
    service.wait_fault()
    (made,) = [p for p in tree(service) if "/" not in p]
    assert made.startswith("nmbackupfs-live-")
    if renamed:
        service.rename(made, "my photos", folder="")
    process.terminate()
    said = process.communicate(timeout=proc.patience(30))[0]
    assert process.returncode == 1
    assert ("was not deleted" in said) == renamed
    assert bool(tree(service)) == renamed


@pytest.mark.configs("personal")
def test_refused_sign_in(service, base):
    service.login(mode="decline", interval_s=0)
    done = subprocess.run(
        [sys.executable, str(RUN), "--client-id", program.CLIENT_ID],
        env={**os.environ, **service.client_env(), "TMPDIR": str(base),
             "NMB_TEST_BIN": str(program.BINARY)}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
        timeout=proc.patience(60))
    assert done.returncode == 1
    assert tree(service) == {}
