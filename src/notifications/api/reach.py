"""What each scope can reach, and what it can be turned into: the one table that routes are held to.

A test gives every route every single scope and compares. A route, scope or URL without an entry
fails it. docs/reference/scopes.md is made from here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reach:
    """What a key with one scope reaches. routes: by name; a scope without any adds to others.

    allows: what it is for. becomes: all that it can be turned into.
    """

    allows: str
    becomes: str
    routes: frozenset[str] = frozenset()


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


REACH: dict[str, Reach] = {
    "notifications:send": Reach(
        (
            "Write to anybody, by any published template or, scheduled, in words of one's own, "
            "from any verified sender."
        ),
        (
            "A simulation shows what a template says of a person: names and addresses, if its "
            "author put them there."
        ),
        _named(
            """
            send_notification send_bulk simulate_notification cancel_notification
            move_notification cancel_job
            schedule_notification cancel_scheduled cancel_scheduled_alias list_schedules
            get_schedule cancel_schedule
            """
        ),
    ),
    "notifications:read": Reach(
        (
            "Read states, decisions, attempts and counts of every notification, and categories. "
            "Never its text."
        ),
        "Who was told what, and when.",
        _named(
            """
            list_notifications get_notification job_members
            notification_status explain_notification job_progress schedule_status
            list_categories get_category
            """
        ),
    ),
    "notifications:address": Reach(
        (
            "With `notifications:send`: write to an address that is no user. With "
            "`providers:write`: words of one's own in a provider's test."
        ),
        "Nothing alone.",
    ),
    "priority:critical": Reach(
        (
            "With a scope that sends, or `templates:write` for a template's default: the lane "
            "that overtakes all others, also past switched-off channels and categories."
        ),
        "Nothing alone.",
    ),
    "preferences:bypass": Reach(
        "With `notifications:send`: past a person's wishes, written down with its actor.",
        "Nothing alone.",
    ),
    "preferences:read": Reach(
        "Read anybody's wishes and consents.",
        "Nothing more.",
        _named(
            """
            get_preferences list_consents
            """
        ),
    ),
    "preferences:write": Reach(
        "Change anybody's wishes, record consents, open their preference page for an hour.",
        "Whom messages reach: everybody's wishes can be switched on or off.",
        _named(
            """
            change_preferences link_to_preferences record_consent ask_for_consent
            """
        ),
    ),
    "categories:write": Reach(
        "Make, change and delete categories.",
        (
            "What a category asks before it is sent: its legal basis, its defaults and caps, what "
            "becomes of doubt."
        ),
        _named(
            """
            make_category change_category delete_category
            """
        ),
    ),
    "templates:read": Reach(
        "Read, check and preview templates, with an example person.",
        "Nothing more.",
        _named(
            """
            validate_new_template preview_template validate_template list_templates
            get_template list_template_versions diff_template get_template_usage
            """
        ),
    ),
    "templates:write": Reach(
        "Write and publish templates.",
        (
            "The words of everybody's messages, and what they show of their readers to their "
            "readers. Priority 1 as a default needs `priority:critical`."
        ),
        _named(
            """
            create_template change_template delete_template publish_template
            roll_back_template
            """
        ),
    ),
    "users:read": Reach(
        (
            "Read people, contact points, groups, relations, suppressed addresses, saved "
            "segments; count and preview audiences."
        ),
        "Nothing more. Devices' tokens are not shown.",
        _named(
            """
            list_users get_user list_devices list_groups get_group list_members
            list_subjects get_subject list_enrollments list_tutor_assignments
            list_parent_links list_suppressions count_audience preview_audience
            list_segments get_segment
            """
        ),
    ),
    "users:write": Reach(
        (
            "Make, change and remove people who are no staff, their contact points, devices, "
            "groups and relations; suppress addresses."
        ),
        (
            "What is meant for a person: whoever writes an address has their messages sent there. "
            "Never a member of staff, and never a login."
        ),
        _named(
            """
            put_users put_user delete_user register_device forget_device
            begin_verification confirm_verification telegram_link create_group
            change_group delete_group change_members set_members create_subject
            change_subject delete_subject add_enrollments delete_enrollments
            add_tutor_assignments delete_tutor_assignments add_parent_links
            delete_parent_links add_suppressions delete_suppression
            """
        ),
    ),
    "segments:write": Reach(
        "Write saved segments.",
        "Who is meant by whatever names a segment, from its next run on.",
        _named(
            """
            create_segment replace_segment delete_segment
            """
        ),
    ),
    "providers:write": Reach(
        "See accounts without their secrets, store others, try them with a test, close breakers.",
        (
            "Messages as the vendor's account sees them: another account's owner reads what it "
            "carries, and reports what became of it, where the environment has no secret for "
            "callbacks. Never code, a host, a file, a guard, or a secret of the environment's."
        ),
        _named(
            """
            list_providers put_provider delete_provider send_test list_breakers
            close_breaker
            """
        ),
    ),
    "webhooks:write": Reach(
        "Set endpoints on the open internet, replay and try them, see deliveries.",
        "What became of every message, as it happens. Never its text or address.",
        _named(
            """
            list_webhooks create_webhook get_webhook replace_webhook delete_webhook
            rotate_webhook test_webhook list_webhook_deliveries replay_webhook
            """
        ),
    ),
    "broadcasts": Reach(
        "Make, send and steer broadcasts; see their recipients with names and addresses.",
        (
            "Words of one's own to anybody, and names and addresses of whoever is made a "
            "recipient. Never an approval: that is a person's, and of nobody who had a hand in "
            "it."
        ),
        _named(
            """
            list_broadcasts create_broadcast simulate_broadcast_body get_broadcast
            change_broadcast delete_broadcast simulate_broadcast send_broadcast
            broadcast_progress broadcast_recipients export_broadcast_recipients
            cancel_broadcast retry_broadcast retry_recipients test_broadcast
            duplicate_broadcast pause_broadcast resume_broadcast approve_broadcast reject_broadcast
            """
        ),
    ),
    "operations": Reach(
        "Kill switches, dead letters, what was set aside, callbacks, answers to SMS.",
        "Silence for everybody, or a second try; what people answered by SMS.",
        _named(
            """
            list_callbacks list_inbound_sms list_stops stop lift_stop list_dead_letters
            replay_dead_letters discard_dead_letters replay_matching_dead_letters
            discard_matching_dead_letters settle_dead_letters list_set_aside
            resume_set_aside
            """
        ),
    ),
    "api-keys:write": Reach(
        "See keys without their texts; make, renew and end keys.",
        (
            "Never a scope that the key itself lacks, a live key for a test key, or a key of a "
            "member of staff."
        ),
        _named(
            """
            list_api_keys issue_api_key rotate_api_key revoke_api_key
            """
        ),
    ),
}

PEOPLE = _named(
    """
    list_notifications get_notification move_notification job_members cancel_job
    send_notification send_bulk simulate_notification notification_status
    explain_notification cancel_notification job_progress schedule_notification
    cancel_scheduled cancel_scheduled_alias schedule_status list_schedules get_schedule
    cancel_schedule get_preferences change_preferences link_to_preferences list_consents
    record_consent ask_for_consent get_user list_devices register_device forget_device
    begin_verification confirm_verification telegram_link list_categories get_category
    """
)
"""What a person reaches with their own token: for themselves alone."""

PUBLIC: dict[str, str] = {
    "log_in": "a name and a password",
    "refresh_token": "a refresh token",
    "unsubscribe": "a signed link",
    "vapid_key": "nothing: the key is public",
    "telegram_update": "the secret header that only Telegram knows",
    "take_callback": "the vendor's own signature or password",
    "live": "nothing",
    "ready": "nothing",
    "health": "nothing; why something is stopped is shown to staff, and to `operations`",
}
"""What everybody reaches, and what they must show."""

DOORS: dict[str, str] = {
    "": "everybody: a landing page",
    "carillon-sw.js": "everybody: a script for browsers",
    "metrics": "everybody who reaches the port: counts, and no names",
    "outbox": "staff, or this machine alone where nothing is production",
    "outbox/<int:number>/html": "the same",
    "preferences": "whoever is logged in, for themselves",
    "preferences/<str:token>": "whoever holds the signed link",
    "confirm/<str:token>": "whoever holds the signed link",
    "inbound/<str:provider>": "the vendor, by its signature",
    "sms/twilio": "Twilio, by its signature",
    "unsubscribe/<str:token>": "whoever holds the signed link",
    "api/schema": "everybody: the OpenAPI document",
    "api/docs": "everybody: the same to read",
    "admin/login/": "everybody: staff sign in there, throttled",
    "admin/": "staff, by session",
}
"""Other URLs, which no scope opens, and who may."""
