"""The documented NotificationMetrics adds figures to /metrics."""

from __future__ import annotations

from notifications.infra.telemetry import REGISTRY, NotificationMetrics


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_figures_of_the_platform_appear_with_those_of_the_pipeline():
    labels = {"channel": "email", "template": "t.metrics", "status": "success"}
    before = value("notifications_sent_total", **labels)
    metrics = NotificationMetrics()

    metrics.record_notification_sent("email", "t.metrics", success=True)
    metrics.record_notification_sent("email", "t.metrics", success=False)
    metrics.record_processing_time("email", "delivery", 0.2)
    metrics.update_queue_size("high", 7)
    metrics.record_template_render_time("t.metrics", 0.001)

    assert value("notifications_sent_total", **labels) == before + 1
    assert value("notification_reported_queue_size", priority="high") == 7
    stage = {"channel": "email", "stage": "delivery"}
    assert value("notification_processing_duration_seconds_count", **stage) >= 1
    assert value("template_render_duration_seconds_count", template_id="t.metrics") >= 1
