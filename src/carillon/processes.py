"""What every process of the service sets up alike, however it is started."""

from __future__ import annotations

import os

from carillon.settings.environment import SettingsError, read_environment


def store_metrics_in_files() -> None:
    """Has prometheus-client keep its figures where every process of the machine can add up.

    To be called before anything imports prometheus_client.
    """
    try:
        folder = read_environment().data_dir.resolve() / "metrics"
    except SettingsError:
        return  # whoever loads the settings tells it properly
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(folder))
