import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rig  # noqa: E402

KINDS = ("personal", "personal-migrated", "business")


@pytest.fixture(params=KINDS)
def any_kind(request):
    """Every kind of drive in turn."""
    server = rig.Graphd(kind=request.param)
    yield server
    assert server.stop() in (0, None)


@pytest.fixture
def business():
    server = rig.Graphd(kind="business")
    yield server
    assert server.stop() in (0, None)


@pytest.fixture
def personal():
    server = rig.Graphd(kind="personal")
    yield server
    assert server.stop() in (0, None)
