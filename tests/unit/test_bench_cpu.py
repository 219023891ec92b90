"""The figures of benchmarks: processor time by role, and percentiles of rounded times."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from carillon.bench.harness.cpu import cpu_seconds
from carillon.bench.web.load import _figures

BUSY = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs /proc")
def test_a_role_has_the_time_of_its_descendants_without_that_of_other_roles() -> None:
    words = [sys.executable, "-c", BUSY]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        alone = cpu_seconds({"own": os.getpid()})["own"]
        found = cpu_seconds({"own": os.getpid(), "child": child.pid})
        child.communicate(b"\n")
    assert found["child"] >= 0.15
    assert found["own"] <= alone - found["child"] + 0.1


def test_percentiles_come_from_counts_of_rounded_times() -> None:
    entry = {
        "num_requests": 100,
        "num_failures": 1,
        "max_response_time": 400.04,
        "response_times": {"10": 98, "400": 1, "20": 1},
    }
    assert _figures(entry) == {
        "requests": 100,
        "failed": 1,
        "p50_ms": 10.0,
        "p99_ms": 20.0,
        "max_ms": 400.0,
    }
