"""Fixtures: graphd -> machine -> signed_in -> mnt, each on the one before.

Every test that uses them ends with the same three questions: did graphd see
a request that facts about the service forbid, did a credential travel where
it must not, did a sanitizer speak. After a failure the report ends with the
tails of both logs.

A configuration is the account kind; then, if there are any, the latency of
every request in ms, "vault" for a sealed folder, "h2" for HTTP/2 and TLS.

    (no marker)                                for all: DEFAULT_CONFIGS
    @pytest.mark.configs("personal", "work")   about these kinds of account
    @pytest.mark.configs("personal-vault")     about vaults
    @pytest.mark.plain("why")                  about plain folders
    NMB_TEST_CONFIGS="personal work-300-vault-h2"  other ones, where a test is
                                               for them
    NMB_TEST_CONFIGS=all                       the 24; a test whose marker names
                                               one is not run again in others
    NMB_TEST_SHARE=3                           a third of what would run, picked
                                               by name: another in each of them

`make test` has to end in time: a test runs in one of its configurations, picked
by its name, and of many variants of one test a few are taken. NMB_TEST_FULL=1
(check-all) runs all."""

import itertools
import os
import pathlib
import sys
import zlib

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from kit import graphd as kit_graphd  # noqa: E402
from kit import proc, program, sealed  # noqa: E402

FULL = bool(os.environ.get("NMB_TEST_FULL"))
MOST_VARIANTS = 6
SHARE = int(os.environ.get("NMB_TEST_SHARE") or 1)
DEFAULT_CONFIGS = ("personal", "work-60", "personal-60-vault-h2",
                   "work-vault")
ALL_CONFIGS = ["-".join(filter(None, parts)) for parts in itertools.product(
    ("personal", "work"), ("", "60", "300"), ("", "vault"), ("", "h2"))]
TOTAL = {}
# Parts that can't be set up on this machine.
MISSING = {}
if kit_graphd.front.why_not():
    MISSING["h2"] = kit_graphd.front.why_not()


def pytest_configure(config):
    config.addinivalue_line("markers", "configs(*names): see conftest.py")
    config.addinivalue_line("markers", "mount_options(*args): flags for mnt")
    config.addinivalue_line("markers", "plain(why): not in a vault")
    config.addinivalue_line("markers", "fault(*rows): proves rows of README.md")
    proc.become_subreaper()
    proc.take_interrupts()


def _kind(config):
    return config.partition("-")[0]


def _is_vault(config):
    return "vault" in config.split("-")


def _configs(test):
    """Those a test runs in: what is asked for, as far as it is about that."""
    marker = test.get_closest_marker("configs")
    own = marker.args if marker else DEFAULT_CONFIGS
    asked = os.environ.get("NMB_TEST_CONFIGS", "").split()
    if asked == ["all"]:
        asked = ALL_CONFIGS if len(own) > 1 else []
    elif not asked:
        asked = own
    fit = [c for c in asked if _kind(c) in map(_kind, own)]
    if all(map(_is_vault, own)):
        fit = [c for c in fit if _is_vault(c)]
    if test.get_closest_marker("plain"):
        fit = [c for c in fit if not _is_vault(c)]
    if fit and asked == own and not FULL:
        fit = [fit[zlib.crc32(test.name.encode()) % len(fit)]]
    return fit


def _is_asked(item):
    """Not without a configuration, and of the share that is to run."""
    empty = item.get_closest_marker("skip")
    if empty and "empty parameter set" in empty.kwargs.get("reason", ""):
        return False
    return zlib.crc32(item.nodeid.encode()) % SHARE == 0


def _some(variants):
    """A few of the variants of one test in one configuration, evenly spread."""
    if FULL or len(variants) <= MOST_VARIANTS:
        return variants
    return [variants[i * len(variants) // MOST_VARIANTS]
            for i in range(MOST_VARIANTS)]


def pytest_collection_modifyitems(config, items):
    variants = {}
    here = pathlib.Path(__file__).resolve().parent
    for item in items:
        if here not in item.path.parents:
            variants[item] = [item]
        elif _is_asked(item):
            name = getattr(item, "originalname", item.name)
            values = getattr(item, "callspec", None)
            in_config = values and values.params.get("config")
            variants.setdefault((item.path, name, in_config), []).append(item)
    kept = {item for group in variants.values() for item in _some(group)}
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = [i for i in items if i in kept]


def pytest_generate_tests(metafunc):
    if "config" not in metafunc.fixturenames:
        return
    metafunc.parametrize("config", _configs(metafunc.definition),
                         scope="function")


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    setattr(item, f"report_{report.when}", report)
    if report.failed:
        for name in ("machine", "graphd"):
            owner = item.funcargs.get(name)
            if owner is not None:
                report.sections.append(
                    (f"log of {name}", proc.tail(owner.log, 60)))


# What graphd saw over all tests, of all workers.

def count_up(config, more):
    for name, n in more.items():
        TOTAL[name] = TOTAL.get(name, 0) + n
    if hasattr(config, "workeroutput"):
        config.workeroutput["graphd"] = TOTAL


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    count_up(node.config, getattr(node, "workeroutput", {}).get("graphd", {}))


def pytest_terminal_summary(terminalreporter):
    if TOTAL:
        terminalreporter.write_line(
            "graphd saw {requests} requests in {servers} tests: {auth_leaks}"
            " Authorization leaks, {forbidden} requests that facts forbid"
            .format(**TOTAL))


@pytest.fixture
def base(tmp_path):
    """A short path: socket names must fit into 108 bytes."""
    yield tmp_path
    proc.unmount_all(tmp_path)


@pytest.fixture
def graphd(base, config, request):
    kind, *parts = config.split("-")
    for part in MISSING.keys() & parts:
        pytest.skip(MISSING[part])
    latency = sum(int(p) for p in parts if p.isdigit())
    made = sealed.SealedGraphd if "vault" in parts else kit_graphd.Graphd
    server = made(base / "graphd", kind, latency, "h2" in parts)
    server.start()
    try:
        yield server
        server.assert_alive()
        server.assert_clean()
    finally:
        server.stop()
        count_up(request.config, server.summary())


@pytest.fixture(scope="session")
def can_mount():
    if "MOUNTPOINT" not in program.help_text():
        pytest.skip("this build of the program can't mount yet")


@pytest.fixture
def machine(can_mount, base, graphd, config):
    computer = program.Machine(base, graphd, vault="vault" in config)
    graphd.recovery_key = computer.recovery_key
    yield from _guard(computer)


@pytest.fixture
def second_machine(base, graphd, config):
    """Another computer of the same person; in a vault not a member yet."""
    computer = program.Machine(base / "second", graphd, vault="vault" in config)
    computer.sign_in()
    yield from _guard(computer)


def _guard(computer):
    try:
        yield computer
    finally:
        hung = [m.hung for m in computer.mounts if m.hung]
        computer.clean_up()
    assert not hung, "the mount hung and was killed:\n" + "\n".join(hung)
    spoken = computer.sanitizer_reports()
    assert not spoken, spoken


@pytest.fixture
def signed_in(machine):
    machine.sign_in()
    return machine


@pytest.fixture
def mnt(signed_in, request):
    """A mount that the network may leave: its folder was listed."""
    marker = request.node.get_closest_marker("mount_options")
    mount = signed_in.mount(*(marker.args if marker else ()))
    mount.wait_listed()
    return mount
