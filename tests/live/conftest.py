"""Fixtures of the same names as in tests/e2e, over a real account.

`run` has signed in and made the folder; each test gets a folder of its own in
it, and a machine that has a copy of the sign-in. Nothing here steers the
service, so only tests that don't are in test_suite.py."""

import itertools
import os
import pathlib
import shutil
import sys

import pytest

E2E = pathlib.Path(__file__).resolve().parents[1] / "e2e"
sys.path[:0] = [str(E2E)]

from kit import proc, program  # noqa: E402

for _name in ("backup", "put_get", "vault", "vault_commands"):
    pytest.register_assert_rewrite(f"test_{_name}")

LIVE = os.environ.get("NMB_LIVE_DIR")
KIND = os.environ.get("NMB_LIVE_KIND", "personal")
# The hosts, if they are not the real ones.
HOSTS = ("NMBACKUPFS_GRAPH_URL", "NMBACKUPFS_LOGIN_URL", "NMBACKUPFS_CA_FILE")
folders = itertools.count(1)


def pytest_configure(config):
    config.addinivalue_line("markers", "configs(*names): see tests/e2e")
    config.addinivalue_line("markers", "mount_options(*args): flags for mnt")
    config.addinivalue_line("markers", "plain(why): not in a vault")
    config.addinivalue_line("markers", "fault(*rows): see tests/e2e")
    proc.become_subreaper()
    proc.take_interrupts()


def _configs(metafunc):
    """Those of the test, or of the module that it was taken from."""
    marks = getattr(sys.modules[metafunc.function.__module__], "pytestmark", [])
    marks = [*metafunc.definition.iter_markers(),
             *(marks if isinstance(marks, list) else [marks])]
    return next((m.args for m in marks if m.name == "configs"), ())


def pytest_generate_tests(metafunc):
    """In a plain folder and in a vault, where a test is for them."""
    if "config" not in metafunc.fixturenames:
        return
    own = _configs(metafunc) or ("plain", "vault")
    ways = []
    if not all("vault" in c for c in own):
        ways.append(KIND)
    if any("vault" in c for c in own) and \
            not metafunc.definition.get_closest_marker("plain"):
        ways.append(f"{KIND}-vault")
    metafunc.parametrize("config", ways, scope="function")


def pytest_collection_modifyitems(config, items):
    if not LIVE:
        for item in items:
            item.add_marker(pytest.mark.skip(reason="run by tests/live/run"))


class Account:
    """What tests/e2e calls graphd, without the strings that steer it."""

    def __init__(self, base):
        self.account = os.environ.get("NMBACKUPFS_ACCOUNT", "personal")
        self.log = base / "account.log"
        self.recovery_key = None

    @staticmethod
    def client_env():
        return {n: os.environ[n] for n in HOSTS if n in os.environ}


class Machine(program.Machine):
    folder = None

    def sign_in(self):
        """What `run` has: one sign-in, which programs share."""
        keys = self.config / "nmbackupfs/default.keys"
        keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in (pathlib.Path(LIVE) / "config/nmbackupfs/default.keys"
                     ).iterdir():
            if path.is_file():
                shutil.copy2(path, keys / path.name)
        self.env["NMBACKUPFS_FOLDER"] = self.folder
        self.env["NMBACKUPFS_CLIENT_ID"] = os.environ["NMBACKUPFS_CLIENT_ID"]
        self.env["NMBACKUPFS_POLL_INTERVAL"] = "5s"


def _guard(computer):
    try:
        yield computer
    finally:
        computer.clean_up()
    spoken = computer.sanitizer_reports()
    assert not spoken, spoken


@pytest.fixture
def base(tmp_path):
    yield tmp_path
    proc.unmount_all(tmp_path)


@pytest.fixture
def graphd(base):
    return Account(base)


@pytest.fixture
def folder_name():
    return f"{os.environ['NMB_LIVE_FOLDER']}/test {next(folders)}"


@pytest.fixture
def machine(base, graphd, config, folder_name):
    computer = Machine(base, graphd, vault="vault" in config)
    computer.folder = folder_name
    yield from _guard(computer)


@pytest.fixture
def signed_in(machine):
    machine.sign_in()
    return machine


@pytest.fixture
def second_machine(base, graphd, config, folder_name):
    computer = Machine(base / "second", graphd, vault="vault" in config)
    computer.folder = folder_name
    computer.sign_in()
    yield from _guard(computer)


@pytest.fixture
def mnt(signed_in, request):
    node = request.node.get_closest_marker("mount_options")
    mount = signed_in.mount(*(node.args if node else ()))
    mount.wait_listed()
    return mount
