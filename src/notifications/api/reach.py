"""What each scope can reach, and what it can be used for beyond its purpose.

A test calls each route with each scope and compares. docs/reference/scopes.md is made from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from notifications.domain.analytics.reports import REPORTS


@dataclass(frozen=True, slots=True)
class ScopeReach:
    """What an API key with one scope reaches."""

    #: The purpose of the scope.
    allows: str
    #: Everything that the scope can be used for.
    becomes: str
    #: The names of the routes; a scope without routes adds to other scopes.
    routes: frozenset[str] = frozenset()


def _named(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CAMPAIGN_ROUTES = _named(
    """
    create_campaign change_campaign delete_campaign count_campaign test_campaign
    schedule_campaign launch_campaign pause_campaign resume_campaign cancel_campaign
    approve_campaign reject_campaign duplicate_campaign create_series change_series delete_series
    launch_series pause_series resume_series end_series approve_series reject_series
    """
)
SCOPE_REACH: dict[str, ScopeReach] = {
    "notifications:send": ScopeReach(
        (
            "Send to any user, by any published template or, scheduled or to a room, with a text "
            "of its own, from any verified sender."
        ),
        (
            "A simulation shows what a template says of a user: names and addresses, if its "
            "author included them. It retracts and amends in inboxes what the same key sent."
        ),
        _named(
            """
            send_notification send_bulk simulate_notification cancel_notification move_notification
            retract_notification cancel_job schedule_notification cancel_scheduled
            cancel_scheduled_alias list_schedules get_schedule cancel_schedule notify_room
            """
        ),
    ),
    "notifications:read": ScopeReach(
        (
            "Read states, decisions, attempts and counts of every notification, and categories. "
            "Never its text."
        ),
        "Who was notified of what, and when.",
        _named(
            """
            list_notifications get_notification job_members notification_status explain_notification
            job_progress schedule_status list_categories get_category notification_receipt
            """
        ),
    ),
    "notifications:address": ScopeReach(
        (
            "With `notifications:send`: send to an address that is no user. With "
            "`providers:write`: a text of its own in a provider's test."
        ),
        "Nothing alone.",
    ),
    "priority:critical": ScopeReach(
        (
            "With a scope that sends, or `templates:write` for a template's default: the lane "
            "that overtakes all others, also past switched-off channels and categories."
        ),
        "Nothing alone.",
    ),
    "preferences:bypass": ScopeReach(
        "With `notifications:send`: past a user's preferences, recorded with the actor.",
        "Nothing alone.",
    ),
    "preferences:read": ScopeReach(
        "Read any user's preferences and consents.",
        "Nothing more.",
        _named("get_preferences list_consents consent_receipt"),
    ),
    "preferences:write": ScopeReach(
        "Change any user's preferences, record consents, get links to preference centres.",
        "Control over whom messages reach: all preferences can be switched on or off.",
        _named("change_preferences link_to_preferences record_consent ask_for_consent"),
    ),
    "categories:write": ScopeReach(
        "Make, change and delete categories.",
        (
            "Control over what a category requires: its legal basis, its defaults and caps, and "
            "what happens to uncertain messages."
        ),
        _named("make_category change_category delete_category"),
    ),
    "templates:read": ScopeReach(
        "Read, check and preview templates, with an example user.",
        "Nothing more.",
        _named(
            """
            validate_new_template preview_template validate_template list_templates
            get_template list_template_versions diff_template get_template_usage
            list_ab_tests get_ab_test
            """
        ),
    ),
    "templates:write": ScopeReach(
        (
            "Write, publish and test templates, except those of the service's own mails "
            "(`system.`). With `broadcasts`: end the A/B test of a campaign."
        ),
        (
            "Control over the texts of all other messages, and over what they show their readers "
            "about themselves. Priority 1 as a default needs `priority:critical`."
        ),
        _named(
            """
            create_template change_template delete_template publish_template
            roll_back_template create_ab_test change_ab_test delete_ab_test start_ab_test
            pause_ab_test stop_ab_test declare_ab_test
            """
        ),
    ),
    "users:read": ScopeReach(
        (
            "Read users, contact points, groups, relations, suppressed addresses, saved "
            "segments, mailing lists; count and preview audiences; see who is connected."
        ),
        "Nothing more. Devices' tokens are not shown.",
        _named(
            """
            list_users get_user list_devices list_groups get_group list_members list_subjects
            get_subject list_enrollments list_tutor_assignments list_parent_links list_suppressions
            count_audience preview_audience list_segments get_segment list_lists get_list
            list_subscribers export_subscribers room_presence
            """
        ),
    ),
    "users:write": ScopeReach(
        (
            "Make and change users who are not staff, their contact points, devices, "
            "groups and relations; suppress addresses."
        ),
        (
            "A user's messages: a caller that writes an address has the messages sent there. Never "
            "those of a member of staff, and never a login."
        ),
        _named(
            """
            put_users put_user register_device forget_device begin_verification confirm_verification
            telegram_link create_group change_group delete_group change_members set_members
            create_subject change_subject delete_subject add_enrollments delete_enrollments
            add_tutor_assignments delete_tutor_assignments add_parent_links delete_parent_links
            add_suppressions delete_suppression revoke_tokens
            """
        ),
    ),
    "segments:write": ScopeReach(
        "Write saved segments.",
        "Control over the users of everything that names a segment, from its next run on.",
        _named("create_segment replace_segment delete_segment"),
    ),
    "lists:write": ScopeReach(
        "Write mailing lists; put users on them, with evidence of consent, and take them off.",
        "Control over whom a list's mails reach: the evidence is the caller's own text. Consents "
        "for other mails only with `preferences:write`, users by email with `users:read`.",
        _named(
            """
            create_list change_list delete_list subscribe_to_list unsubscribe_from_list
            import_into_list
            """
        ),
    ),
    "providers:write": ScopeReach(
        "See accounts without their secrets, store others, send a test, close breakers.",
        (
            "Messages as the vendor's account sees them: another account's owner reads what it "
            "carries, links to a user's data among it, and sends receipts for it, where the "
            "environment has no secret for callbacks. Never code, a host, a file, a safeguard, or "
            "a secret of the environment."
        ),
        _named(
            """
            list_providers put_provider delete_provider send_test list_breakers close_breaker
            """
        ),
    ),
    "webhooks:write": ScopeReach(
        "Set endpoints on the open internet, replay and test them, see deliveries.",
        "The result of every message, as it happens. Never its text or address.",
        _named(
            """
            list_webhooks create_webhook get_webhook replace_webhook delete_webhook rotate_webhook
            test_webhook list_webhook_deliveries replay_webhook
            """
        ),
    ),
    "broadcasts": ScopeReach(
        "Write, send and control broadcasts, campaigns and series; see recipients' addresses.",
        (
            "A text of its own to any user, and the names and addresses of all recipients. Never "
            "an approval: a person gives it, who neither wrote, changed nor sent it."
        ),
        _named(
            """
            list_broadcasts create_broadcast simulate_broadcast_body get_broadcast change_broadcast
            delete_broadcast simulate_broadcast send_broadcast broadcast_progress
            broadcast_recipients export_broadcast_recipients cancel_broadcast retry_broadcast
            retry_recipients test_broadcast duplicate_broadcast pause_broadcast resume_broadcast
            approve_broadcast reject_broadcast list_campaigns get_campaign campaign_progress
            campaign_report campaign_recipients list_series get_series series_report
            series_enrollments
            """
        )
        | _CAMPAIGN_ROUTES,
    ),
    "analytics:read": ScopeReach(
        "Read metrics, reports and goals.",
        "How many messages were sent, opened and clicked, by template and provider. Never by whom.",
        _named("get_metrics list_goals get_ab_test_results preview_ab_test_plan")
        | {f"{kind}report_{name}" for name in REPORTS for kind in ("get_", "export_")},
    ),
    "analytics:write": ScopeReach(
        "Write goals, report events and conversions of any user.",
        "Control over a goal's counts. It reads what a user engaged with last, and who is no user.",
        _named("create_goal report_events report_conversion"),
    ),
    "audit:read": ScopeReach(
        "Read and export the audit log, with proofs.",
        (
            "Who changed what, from which address; the values before and after, which include "
            "users' names and addresses. Never a secret."
        ),
        _named(
            """
            list_audit export_audit export_audit_csv audit_proof audit_checkpoint audit_consistency
            """
        ),
    ),
    "privacy:erase": ScopeReach(
        "Erase users who are not staff, and addresses, and read certificates.",
        "The loss of any user's data and of their waiting messages, which nothing restores.",
        _named("erase_user delete_user erase_address get_certificate"),
    ),
    "privacy:export": ScopeReach(
        "Export everything that is stored about a user who is not staff, and download it.",
        (
            "Any user's data: names, addresses, messages. Never a token, a code, a signed link or"
            " the text of a security message, so no sign-in as the user."
        ),
        _named("request_export get_export export_json export_html"),
    ),
    "privacy:hold": ScopeReach(
        "Place and end legal holds.",
        "A hold delays every erasure of its user; its end lets a waiting erasure go on.",
        _named("list_holds place_hold end_hold"),
    ),
    "operations": ScopeReach(
        "Kill switches, dead letters, failed items, callbacks, received SMS.",
        "No notifications for any user, or repeated ones; the texts of received SMS.",
        _named(
            """
            list_callbacks list_inbound_sms list_stops stop lift_stop list_dead_letters
            replay_dead_letters discard_dead_letters replay_matching_dead_letters
            discard_matching_dead_letters settle_dead_letters list_set_aside resume_set_aside
            """
        ),
    ),
    "api-keys:write": ScopeReach(
        "See keys without their texts; make, renew and end keys.",
        (
            "Never a scope that the key itself lacks, addresses outside of its own, a live key "
            "for a test key, or a key of a member of staff."
        ),
        _named(
            """
            list_api_keys issue_api_key rotate_api_key set_api_key_addresses end_api_key
            revoke_api_key
            """
        ),
    ),
    "staff:write": ScopeReach(
        "See, invite and sign out staff, give and end roles, write groups of staff.",
        (
            "Never a role with rights that the key itself lacks, nor a change of a member who has "
            "such a role. With every scope: other admins."
        ),
        _named(
            """
            list_staff get_staff_member set_staff_role list_staff_groups create_staff_group
            get_staff_group change_staff_group delete_staff_group list_staff_group_members
            set_staff_group_members list_invitations invite_staff revoke_invitation log_out
            list_sign_ins end_sign_in
            """
        ),
    ),
}

PERSON_ROUTES = _named(
    """
    get_inbox count_unread read_in_inbox unread_in_inbox archive_in_inbox unarchive_in_inbox
    unsnooze_in_inbox snooze_in_inbox read_all_in_inbox act_on_inbox note_seen issue_ticket
    """
)
"""The routes of a user's own inbox: no key and no role opens them for another user."""

USER_ROUTES = (
    _named(
        """
    list_notifications get_notification move_notification job_members cancel_job send_notification
    send_bulk simulate_notification notification_status explain_notification cancel_notification
    job_progress schedule_notification cancel_scheduled cancel_scheduled_alias schedule_status
    list_schedules get_schedule cancel_schedule get_preferences change_preferences
    link_to_preferences list_consents record_consent ask_for_consent get_user list_devices
    register_device forget_device begin_verification confirm_verification telegram_link
    list_categories get_category notification_receipt consent_receipt request_export get_export
    export_json export_html log_out list_sign_ins end_sign_in room_presence subscribe_to_list
    unsubscribe_from_list
    """
    )
    | PERSON_ROUTES
)
"""The routes that a user reaches with their own token, for themselves alone."""

TEST_KEY_ROUTES = (
    _named(
        """
    send_notification send_bulk simulate_notification cancel_notification move_notification
    cancel_job schedule_notification cancel_scheduled cancel_scheduled_alias cancel_schedule
    create_broadcast simulate_broadcast_body change_broadcast delete_broadcast simulate_broadcast
    send_broadcast cancel_broadcast retry_broadcast retry_recipients test_broadcast
    duplicate_broadcast pause_broadcast resume_broadcast approve_broadcast reject_broadcast
    count_audience preview_audience validate_new_template preview_template validate_template
    replay_dead_letters discard_dead_letters replay_matching_dead_letters
    discard_matching_dead_letters settle_dead_letters issue_api_key rotate_api_key
    set_api_key_addresses end_api_key revoke_api_key
    """
    )
    | _CAMPAIGN_ROUTES
)
"""The routes other than GET that a test key reaches. Each changes only tests and test keys."""

NOT_FOR_TEST_KEYS = _named("link_to_preferences telegram_link")
"""The routes that return a link by which one may change what is no test, though a GET does."""


def is_for_test_keys(method: str, name: str) -> bool:
    """Returns whether a test key reaches a route, given its scope."""
    return name not in NOT_FOR_TEST_KEYS and (method == "GET" or name in TEST_KEY_ROUTES)


PUBLIC_ROUTES: dict[str, str] = {
    "log_in": "a name and a password, and a code for those with a second factor",
    "refresh_token": "a refresh token",
    "unsubscribe": "a signed link",
    "vapid_key": "nothing: the key is public",
    "telegram_update": "the secret header that only Telegram knows",
    "take_callback": "the vendor's own signature or password",
    "live": "nothing",
    "ready": "nothing",
    "health": "nothing; the reasons of kill switches are shown with `operations`",
}
"""The routes that anyone reaches, and the proof that each one needs."""
