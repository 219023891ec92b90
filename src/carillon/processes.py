"""The set-up that all processes of the service share."""

from __future__ import annotations

import os
from pathlib import Path

from carillon.settings.environment import SettingsError, read_environment


def store_metrics_in_files() -> None:
    """Makes prometheus-client store its figures in files, so that all processes can be summed.

    Call it before any import of prometheus_client.
    """
    try:
        folder = read_environment().data_dir.resolve() / "metrics"
    except SettingsError:
        return  # the loader of the settings reports the error properly
    folder.mkdir(parents=True, exist_ok=True)
    _forget_dead(folder)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(folder))


def _forget_dead(folder: Path) -> None:
    """Deletes the gauges of processes that were killed: their sockets are closed."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            file.unlink(missing_ok=True)
