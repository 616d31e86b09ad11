"""Goal: kill -9 at any moment, under load, as often as one likes, loses
nothing that a program was told.

Programs work without a pause; the mount is killed at random moments, or at a
random one of the places with a name, started again, and held to each of their
records. `make soak` does that for as long as there is time:

    NMB_TEST_KILLS=1000 NMB_TEST_SEED=7 pytest tests/e2e/test_kills.py"""

import os
import time

import pytest

from kit import crash, storm

FULL = crash.environment_is_full()
KILLS = int(os.environ.get("NMB_TEST_KILLS") or (60 if FULL else 20))
SECONDS = float(os.environ.get("NMB_TEST_KILL_S") or 0)  # at least so long
SETTLE_EVERY = 20

pytestmark = [
    pytest.mark.skipif(bool(crash.why_not()), reason=str(crash.why_not())),
    pytest.mark.timeout(KILLS * 10 + SECONDS * 3 + 120),
]


@pytest.mark.fault(1, 2, 3)
@pytest.mark.configs("personal", "personal-vault")
def test_killed_again_and_again(signed_in, graphd, config, request):
    seed = int(os.environ.get("NMB_TEST_SEED") or 1)
    patient = crash.Patient(signed_in, graphd)
    try:
        s = storm.Storm(patient, seed)
        end = time.monotonic() + SECONDS
        while s.kills < KILLS or time.monotonic() < end:
            s.life()
            if s.kills % SETTLE_EVERY == 0:
                s.settle()
        s.settle()
        print(f"seed {seed}: {s.kills} kills, {s.calls} calls that returned,"
              f" {s.checks} times looked at, 0 lost")
        assert s.calls > s.kills and s.checks > s.kills / 4
    finally:
        patient.kill()
