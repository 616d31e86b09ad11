"""Microsoft's own sign-in library against graphd: device flow and refresh."""

import importlib.util
import json
import pathlib
import sys

import pytest

SCRIPT = pathlib.Path(__file__).with_name("signin_msal.py")
CLIENT_ID = "11111111-2222-3333-4444-555555555555"

pytestmark = pytest.mark.parametrize(
    "graphd", [pytest.param(("personal",), id="personal")], indirect=True)


@pytest.fixture
def sign_in(world, graphd):
    if not importlib.util.find_spec("msal"):
        pytest.skip("python3-msal is not installed")

    def run(tenant, **settings):
        graphd.control("set", {"login": settings})
        done = world.run([sys.executable, SCRIPT,
                          f"https://login.microsoftonline.com/{tenant}",
                          CLIENT_ID])
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run


@pytest.mark.parametrize("tenant", ["common", "consumers", "organizations"])
def test_device_flow_and_refresh(sign_in, tenant):
    got = sign_in(tenant, mode="approve", after_polls=2, interval_s=1)
    assert got["flow"]["user_code"] in got["flow"]["message"]
    assert got["first"]["access_token"]
    assert got["accounts"][0]["username"].startswith("ann@")
    assert got["second"]["access_token"] != got["first"]["access_token"]


@pytest.mark.parametrize("settings, error", [
    ({"mode": "decline"}, "authorization_declined"),
    ({"mode": "expire"}, "expired_token"),
    ({"mode": "refuse", "refuse_code": 53003}, "invalid_grant"),
    ({"public_client": False}, "invalid_client"),
])
def test_refusals(sign_in, settings, error):
    got = sign_in("consumers", interval_s=1, **settings)
    assert got["first"]["error"] == error
