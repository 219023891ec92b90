"""The documented names of the Python and Celery surface, with their arguments.

Names of what is not built yet stand in LATER: the one who builds it moves them to NAMES.
"""

from __future__ import annotations


def _of(owner: str, words: str) -> list[str]:
    return [f"{owner}.{word}" for word in words.split()]


NAMES: dict[str, dict[str, str | None]] = {
    "notifications.queue": {
        "Priority": "value",
        "NotificationMessage": "priority, user_id, channel, template_id, payload, scheduled_at,"
        " attempts=0, max_attempts=3, id=...",
        "PriorityNotificationQueue": "",
        "PriorityNotificationQueue.push": "message",
        "PriorityNotificationQueue.pop": "",
        "PriorityNotificationQueue.remove_message": "message_id",
    },
    "notifications.delivery.retry": {
        "ExponentialBackoffRetry": "max_retries=3, base_delay=1.0, max_delay=300.0, jitter=True",
        "ExponentialBackoffRetry.calculate_delay": "attempt",
        "ExponentialBackoffRetry.retry_with_backoff": "func, *args, **kwargs",
    },
    "notifications.delivery": {
        "CircuitBreaker": "failure_threshold=5, timeout=60, expected_exception=Exception",
        "CircuitBreaker.call": "func, *args, **kwargs",
        "CircuitBreaker.state": None,
        "AsyncRateLimiter": "rate, period",
        "AsyncRateLimiter.acquire": "",
        "AsyncRateLimiter.acquire_batch": "count",
    },
    "notifications.realtime.consumers": {
        "NotificationConsumer": "",
        "NotificationConsumer.as_asgi": "",
    },
    "notifications.services": {
        "NotificationDeliveryEngine": "",
        "NotificationDeliveryEngine.deliver_message": "message",
        "DeliveryResult": "success, message_id=None, error=None, retry=False,"
        " provider_response=None",
        "NotificationChannelProvider.send": "recipient, message",
        "NotificationChannelProvider.validate_recipient": "recipient",
        "FCMPushProvider": "server_key",
        "FCMPushProvider.send": "recipient, message",
        "AWSSESEmailProvider": "aws_access_key, aws_secret_key, region",
        "AWSSESEmailProvider.send": "recipient, message",
        "TwilioSMSProvider": "account_sid, auth_token, from_number",
        "TwilioSMSProvider.send": "recipient, message",
        "UserPreferenceService": "",
        "UserPreferenceService.get_user_preferences": "user",
        "UserPreferenceService.should_send_notification": "user, channel, category=None,"
        " priority=3",
        "UserPreferenceService.invalidate_user_preferences": "user",
        "ABTestingService": "",
        "ABTestingService.assign_variant": "user, ab_test",
        "ABTestingService.get_test_content": "ab_test, variant",
        "ABTestingService.calculate_test_results": "ab_test",
        "WebSocketNotificationService": "",
        "WebSocketNotificationService.send_realtime_notification": "user, notification_data",
        "WebSocketNotificationService.send_room_notification": "room_name, notification_data,"
        " exclude_users=None",
        "WebSocketNotificationService.is_user_online": "user_id",
        "WebSocketNotificationService.get_online_users_in_room": "room_name",
    },
    "notifications.rendering": {
        "NotificationTemplateEngine": "",
        "NotificationTemplateEngine.render_template": "template_content, context",
        "NotificationTemplateEngine.validate_template": "template_content, required_vars",
        "CachedTemplateEngine": "",
        "CachedTemplateEngine.render_template_cached": "template_id, template_content, context",
        "CachedTemplateEngine.precompile_templates": "",
        "TemplateTrie": "",
        "TemplateTrie.insert": "path, template_id",
        "TemplateTrie.find_template": "path",
        "PersonalizationService": "",
        "PersonalizationService.build_user_context": "user, extra_context=None",
    },
    "notifications.infra.telemetry": {
        "NotificationMetrics": "",
        "NotificationMetrics.record_notification_sent": "channel, template, success",
        "NotificationMetrics.record_processing_time": "channel, stage, duration",
        "NotificationMetrics.update_queue_size": "priority, size",
        "NotificationMetrics.record_template_render_time": "template_id, duration",
    },
    "notifications.services.broadcast": {
        "BroadcastService": "",
        "BroadcastService.get_progress": "broadcast_id",
        "BroadcastService.cancel_broadcast": "broadcast_id",
        "BroadcastService.retry_failed": "broadcast_id, max_retries=3",
        "BroadcastService.update_progress": "broadcast_id, sent_count, failed_count",
        "BroadcastService.send_to_group_batch": "broadcast_id, target_group, target_filter=None,"
        " batch_size=100",
        "BroadcastService.send_to_role_batch": "broadcast_id, role, batch_size=100",
        "BroadcastService.send_to_custom_list_batch": "broadcast_id, user_ids, batch_size=100",
        "BroadcastService.create_batch_recipients": "broadcast_id, recipient_ids, batch_size=1000",
        "BroadcastService.get_batch_status": "broadcast_id",
    },
    "notifications.broadcast_batch": {
        "BroadcastBatchProcessor.BATCH_SIZE": None,
        "BroadcastBatchProcessor.SEND_BATCH_SIZE": None,
        "BroadcastBatchProcessor.MAX_RETRIES": None,
        "BroadcastBatchProcessor.RETRY_DELAYS": None,
        "BroadcastBatchProcessor.create_broadcast_recipients_batch": "broadcast_id, recipient_ids,"
        " batch_size=None",
        "BroadcastBatchProcessor.send_to_group_batch": "broadcast_id, target_group,"
        " target_filter=None, batch_size=None",
        "BroadcastBatchProcessor.send_to_role_batch": "broadcast_id, role, batch_size=None",
        "BroadcastBatchProcessor.send_to_custom_list_batch": "broadcast_id, user_ids,"
        " batch_size=None",
        "BroadcastBatchProcessor.retry_failed_batch": "broadcast_id, max_retries=None,"
        " batch_size=None",
        "BroadcastBatchProcessor.get_batch_status": "broadcast_id",
    },
    "notifications.broadcast_views": {
        **dict.fromkeys(
            _of(
                "BroadcastViewSet",
                "list create retrieve progress cancel retry recipients pause resume",
            )
        ),
        "_get_recipients_by_group": "target_group, target_filter=None",
        "_create_broadcast_recipients": "broadcast, users",
        "_send_telegram_broadcasts": "broadcast",
    },
    "notifications.broadcast_urls": {"urlpatterns": None},
    "notifications.serializers": dict.fromkeys(
        (
            "BroadcastListSerializer",
            "BroadcastDetailSerializer",
            "CreateBroadcastSerializer",
            "BroadcastRecipientSerializer",
            "ScheduleNotificationSerializer",
            "ScheduleNotificationResponseSerializer",
            "NotificationScheduleStatusSerializer",
            "CancelScheduledNotificationSerializer",
        )
    ),
    "notifications.scheduler": {
        "NotificationScheduler": "",
        "NotificationScheduler.schedule_notification": "recipients, title, message, scheduled_at,"
        " notif_type='system', priority='normal', data=None",
        "NotificationScheduler.cancel_scheduled": "notification_id",
        "NotificationScheduler.get_pending_notifications": "limit",
        "NotificationScheduler.send_scheduled_notification": "notification_id",
        "NotificationScheduler.retry_failed": "notification_id, delay_minutes",
        "NotificationScheduler.get_schedule_status": "notification_id",
    },
    "notifications.privacy": {
        "SecureNotificationData": "",
        "SecureNotificationData.encrypt_pii": "data",
        "SecureNotificationData.decrypt_pii": "data",
        "SecureNotificationData.sanitize_logs": "message",
        "SecureAuditLogger": "",
        "SecureAuditLogger.log_notification_sent": "notification, result, request_user",
        "SecureAuditLogger.log_preference_change": "user, changes, request_ip",
    },
    "notifications.models": dict.fromkeys(
        [
            *("Broadcast", "BroadcastRecipient", "NotificationTemplate", "DeliveryAttempt"),
            *("UserNotificationPreference", "NotificationCategoryPreference"),
            *_of(
                "Notification",
                "recipient title message data type is_sent sent_at is_read"
                " scheduled_at scheduled_status created_at",
            ),
            *_of(
                "NotificationMessage",
                "user template channel priority title body data scheduled_at sent_at"
                " delivered_at attempts max_attempts last_error status created_at",
            ),
        ]
    ),
}
"""module -> name -> its arguments as they are documented; None for what is not called.
`name=...` has some default."""

LATER: dict[str, list[str]] = {}

TASKS: dict[str, str] = {
    "notifications.broadcast_batch.process_broadcast_batch_async": "broadcast_id, target_group,"
    " target_filter=None",
    "notifications.broadcast_batch.retry_failed_broadcasts_async": "broadcast_id, max_retries=3",
    "notifications.services.broadcast.send_broadcast_async": "broadcast_id, only_failed=False",
    "notifications.services.broadcast.process_scheduled_broadcasts": "",
    "notifications.tasks.send_notification_task": "notification_id",
    "notifications.tasks.process_scheduled_notifications": "",
    "notifications.tasks.retry_failed_notifications": "",
    "notifications.tasks.cleanup_cancelled_notifications": "",
    "notifications.tasks.deliver": "*, lane",
    "notifications.tasks.maintain": "",
}
"""task -> its arguments."""

PERIODIC = {
    "notifications.services.broadcast.process_scheduled_broadcasts",
    "notifications.tasks.process_scheduled_notifications",
    "notifications.tasks.retry_failed_notifications",
    "notifications.tasks.cleanup_cancelled_notifications",
    "notifications.tasks.maintain",
}
RETRIED = {
    "notifications.services.broadcast.send_broadcast_async": 3,
    "notifications.tasks.send_notification_task": 3,
}
"""task -> how often what it sends is repeated."""

CALLS = """
import json
from datetime import timedelta
from directory.models import User
from notifications.infra import clock
from notifications.models import Broadcast
from notifications.scheduler import NotificationScheduler
def broadcast(status):
    return Broadcast.objects.create(target_group="all_students", title="Snow", message="Closed",
                                    channels=["in_app"], status=status).pk
at = clock.now() + timedelta(days=1)
person = User.objects.filter(role="student")[0]
(scheduled,) = NotificationScheduler().schedule_notification([person], "T", "M", at)
ARGUMENTS = {
    "process_broadcast_batch_async": ([broadcast("draft"), "all_students"], {}),
    "retry_failed_broadcasts_async": ([broadcast("completed")], {}),
    "send_broadcast_async": ([broadcast("draft")], {}),
    "send_notification_task": ([scheduled], {}),
    "deliver": ([], {"lane": "default"}),
}
"""
"""Python that makes rows for the tasks, and ARGUMENTS: task, by its last word -> args, kwargs."""
