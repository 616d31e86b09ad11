"""Fixtures: a world, graphd in it, a tree of files.

These tests prove that graphd is not our own echo: the clients here were
written by others against the real service, and run unmodified."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import graphd as graphd_module  # noqa: E402
import tree  # noqa: E402
import world as world_module  # noqa: E402


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("interop")


@pytest.fixture
def world(tmp_path):
    reason = world_module.why_not() or graphd_module.why_not()
    if reason:
        pytest.skip(reason)
    with world_module.World(tmp_path / "world") as inside:
        yield inside


@pytest.fixture
def graphd(world, request):
    kind, *options = request.param
    with graphd_module.Graphd(world, kind, *options) as server:
        yield server


@pytest.fixture(scope="session")
def plain_tree(base):
    """What every client takes."""
    return tree.make(base / "plain", 1, tree.NAMES, small=160)


@pytest.fixture(scope="session")
def odd_tree(base):
    """With names that rclone has to map."""
    return tree.make(base / "odd", 2, tree.NAMES + tree.FORBIDDEN, small=140)
