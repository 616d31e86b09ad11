"""When a test can't run here."""

import os

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
