"""Personal data outside the database: memory of processes, Redis, and the log."""

from __future__ import annotations

from collections.abc import Mapping

_UNTIL_REPLACED = "personal: values used last, until others replace them or the process ends"
_SETTINGS = "settings and secrets of the service"
_CODE = "compiled code or names of ours"
_ROWS = "rows that operators wrote"
_LOCALE = "locales, zones and formats"

CACHES: Mapping[str, str] = {
    "directory.imports.import_rows._is_zone": _LOCALE,
    "notifications.api.document.field_docs._classes_of": _CODE,
    "notifications.api.document.field_docs.field_docs": _CODE,
    "notifications.delivery.mail.mime._date": "times of mails, to the second",
    "notifications.delivery.mail.mime._parts": f"{_UNTIL_REPLACED}: files",
    "notifications.delivery.mail.mime._skeleton": "the shape of a mail, without its values",
    "notifications.delivery.mail.mime.mailbox": f"{_UNTIL_REPLACED}: addresses of mails",
    "notifications.delivery.registry.callback_reader": _CODE,
    "notifications.delivery.registry.inbound_reader": _CODE,
    "notifications.delivery.registry.provider_class": _CODE,
    "notifications.delivery.services._rates": _SETTINGS,
    "vendors.certificate_key": _SETTINGS,
    "vendors.read_key": _SETTINGS,
    "vendors.derived_key": _SETTINGS,
    "vendors.private_key": _SETTINGS,
    "notifications.domain.experiments.prior.components": "weights, by the split and plan of a test",
    "notifications.domain.limits.caps_of": _SETTINGS,
    "notifications.domain.tracking.networks._clouds": _CODE,
    "notifications.domain.tracking.networks._scanners": _CODE,
    "notifications.domain.tracking.networks.is_cloud": "networks, without their person",
    "notifications.domain.tracking.networks.scanner_of": "networks, without their person",
    "notifications.domain.wall_clock.zone_named": _LOCALE,
    "notifications.domain.weights._order": _SETTINGS,
    "notifications.domain.weights.read_weights": _SETTINGS,
    "notifications.engine.admission._prices": _SETTINGS,
    "notifications.engine.shared_rows.job_context": f"{_UNTIL_REPLACED}: contexts of bulk calls",
    "notifications.features.access.platform_keys.key_set": _SETTINGS,
    "notifications.features.access.callers.CACHE": "numbers, roles and hashes of callers",
    "notifications.features.inbox.reading._question_marks": _CODE,
    "notifications.features.inbox.reading._since": _CODE,
    "notifications.features.preferences.centre.zone_names": _LOCALE,
    "notifications.infra.audit_keys._keys": _SETTINGS,
    "notifications.infra.crypto._cipher": _SETTINGS,
    "notifications.infra.database.clock_bridge._is_machines_clock": _CODE,
    "notifications.infra.http.client._known_target": f"{_UNTIL_REPLACED}: URLs that are called",
    "notifications.infra.http.client._tls": _SETTINGS,
    "notifications.infra.http.client_address._networks": _SETTINGS,
    "notifications.infra.links._key": _SETTINGS,
    "notifications.infra.links._mark": f"{_UNTIL_REPLACED}: addresses in links",
    "notifications.infra.phone_numbers.country_of": f"{_UNTIL_REPLACED}: phone numbers",
    "notifications.infra.process.identity._place": _CODE,
    "notifications.infra.process.inbox_wakeups._mark_of": _CODE,
    "notifications.infra.tracking.links._secret": _SETTINGS,
    "notifications.models.delivery.attachment.file_cache": f"{_UNTIL_REPLACED}: files",
    "notifications.models.delivery.hot.hot": _CODE,
    "notifications.models.delivery.hot_rows.changeable_from": _CODE,
    "notifications.policy.options.options_of": f"{_UNTIL_REPLACED}: options of sends",
    "notifications.policy.preference_text._defaults": _ROWS,
    "notifications.policy.preference_text.parse_category_choice": "switches, without their person",
    "notifications.policy.preference_text.parse_preferences": "switches, without their person",
    "notifications.policy.preference_text.read_preference_state": "switches, without their person",
    "notifications.queue.batches.statements": _CODE,
    "notifications.recording.outcomes._entry": "times, events and codes of trails",
    "notifications.rendering.engine.compiled_text": _ROWS,
    "notifications.rendering.language.formats._fixed": _LOCALE,
    "notifications.rendering.language.formats._money": _LOCALE,
    "notifications.rendering.language.formats._percent": _LOCALE,
    "notifications.rendering.language.formats.formats_for": _LOCALE,
    "notifications.rendering.language.formats.parse_locale": _LOCALE,
    "notifications.rendering.language.formats.parse_zone": _LOCALE,
    "notifications.rendering.language.sandbox._reachable": _CODE,
    "notifications.rendering.mail.links.tag_of": f"{_UNTIL_REPLACED}: links of mails",
    "notifications.rendering.mail.links.target_of": f"{_UNTIL_REPLACED}: URLs in mails",
    "notifications.rendering.mail.links.url_of_run": f"{_UNTIL_REPLACED}: URLs in mails",
    "notifications.rendering.mail.utm._with_query": f"{_UNTIL_REPLACED}: URLs in mails",
    "notifications.rendering.mail_text.text_of_html": f"{_UNTIL_REPLACED}: texts of mails",
    "notifications.rendering.paths._candidates": _CODE,
    "notifications.rendering.pool.process._versions": _ROWS,
    "notifications.rendering.release.release": _CODE,
    "vault.master._keys_of": _SETTINGS,
    "vault.indexes._hasher": _SETTINGS,
    "directory.addresses._normal_phones": f"{_UNTIL_REPLACED}: phone numbers",
    "notifications.delivery.accounts._reported": "names of providers",
    "notifications.delivery.accounts._stored": _SETTINGS,
    "notifications.engine.content.NO_HEADERS": "nothing: it stays empty",
    "notifications.delivery.services._blocked": "names of services",
    "notifications.engine.shared_rows._categories": _ROWS,
    "notifications.api.openapi._closed": _CODE,
    "notifications.features.preferences.documented._cache": "switches by the number of a person",
    "notifications.features.sending.groups.sends._slow_until": "numbers of rows",
    "notifications.infra.telemetry._template_names": _ROWS,
    "notifications.rendering.versions._versions": _ROWS,
    "notifications.features.experiments.catalog._tests": _SETTINGS,
    "notifications.realtime.center.process_center": "numbers of people who are connected, and"
    " the frames that wait for them",
}
"""What each cache in memory holds, by its place; `vendors` stands for the folder of a vendor. None
outlives its process."""

REDIS: Mapping[str, str] = {
    "carillon.celery": "names of tasks, with the numbers of rows",
    "notifications.features.operations.health": "nothing: it checks the connection",
    "notifications.infra.process.inbox_listener": "nothing: it receives",
    "notifications.infra.process.inbox_wakeups": "numbers of people; frames of rooms, never stored",
    "notifications.infra.process.wakeups": "names of lanes",
}
"""What each module writes to Redis."""

LOG_FIELDS: Mapping[str, str] = {
    "numbers of rows": "broadcast callback campaign delivery endpoint item message_id notification"
    " row series task_id test users version xact_id",
    "numbers of callers": "actor principal target",
    "codes and names of ours": "action at channel code conclusion error fate fix keyword loop loops"
    " method reason source status table task winner work zone place provider service",
    "counts and times": "after attempts batches before by committed count day deleted failures"
    " leases limit looked_at messages ms of records requests returncode seconds tries wall"
    " without_row",
    "processes": "owner pid port stack with_whom settings",
    "the request, without its query": "client host path request_id",
    "an exception; addresses in its text are replaced": "detail exc_info trace trace_id",
}
"""What the fields of the log hold: field names, by the reason why they are no personal data. The
address of a client is in the security log, for as long as the operator stores it."""
