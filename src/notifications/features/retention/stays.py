"""The tables whose rows stay, each with the reason. docs/retention.md lists them."""

from __future__ import annotations

from collections.abc import Mapping

_CONFIGURATION = "configuration: a person wrote it, and a person deletes it"
_PEOPLE = "the directory: it goes with its person"
_EVIDENCE = "evidence: it proves who agreed to or did what"
_LIVE = "work: its row goes when the work has ended"
_STATE = "state: a fixed number of rows"

STAYS: Mapping[str, str] = {
    "admin.LogEntry": _EVIDENCE,
    "auth.Permission": _STATE,
    "auth.Group": _CONFIGURATION,
    "contenttypes.ContentType": _STATE,
    "authtoken.Token": "a row becomes a PersonToken when it is saved",
    "authtoken.TokenProxy": "a row becomes a PersonToken when it is saved",
    "directory.ContactPoint": _PEOPLE,
    "directory.Device": _PEOPLE,
    "directory.Suppression": "it prevents sends to an address, for as long as it exists",
    "directory.Subject": _CONFIGURATION,
    "directory.Enrollment": _PEOPLE,
    "directory.TutorAssignment": _PEOPLE,
    "directory.ParentLink": _PEOPLE,
    "directory.Group": _CONFIGURATION,
    "directory.GroupMembership": _PEOPLE,
    "directory.Segment": _CONFIGURATION,
    "directory.User": _PEOPLE,
    "directory.SearchToken": _PEOPLE,
    "directory.AddressKey": "it seals messages to an address until the address is erased",
    "vault.DataKey": "a key goes when its person or address is erased",
    "vault.ErasedKey": "evidence: a missing key was erased, and is not lost",
    "notifications.AuditQueued": _LIVE,
    "notifications.AuditHead": _STATE,
    "notifications.AuditLeaf": "evidence: its content is emptied, its hash stays",
    "notifications.AuditNode": "evidence: the hashes of the audit tree",
    "notifications.AuditCheckpoint": "evidence: the first of each hour stays, others for a day",
    "notifications.ApiKey": "configuration: a revoked key names who sent what",
    "notifications.PersonToken": "it is valid until it is revoked",
    "notifications.Category": _CONFIGURATION,
    "notifications.NotificationTemplate": _CONFIGURATION,
    "notifications.TemplateVersion": "configuration: a version says what was sent",
    "notifications.TemplatePin": _CONFIGURATION,
    "notifications.KillSwitch": _CONFIGURATION,
    "notifications.WriteProbe": _STATE,
    "notifications.InstallationState": _STATE,
    "notifications.ReceiptPollCursor": _STATE,
    "notifications.OperatorAlert": _STATE,
    "notifications.OperatorAction": _EVIDENCE,
    "notifications.KeyCounter": _STATE,
    "notifications.WebhookEndpoint": _CONFIGURATION,
    "notifications.DeliveryBatch": _LIVE,
    "notifications.WorkerProcess": _LIVE,
    "notifications.BroadcastChange": _LIVE,
    "notifications.PeriodicLoop": _STATE,
    "notifications.RetentionProgress": _STATE,
    "notifications.SealingProgress": _STATE,
    "notifications.InboundSender": "it goes with its incoming SMS",
    "notifications.RetentionLeftover": _LIVE,
    "notifications.ConsentRecord": _EVIDENCE,
    "notifications.Erasure": "evidence: the certificate of an erasure",
    "notifications.LegalHold": _CONFIGURATION,
    "notifications.UserNotificationPreference": _PEOPLE,
    "notifications.NotificationCategoryPreference": _PEOPLE,
    "notifications.ProviderConfig": _CONFIGURATION,
    "notifications.ChatFlow": _LIVE,
}
"""Why the rows of a model stay, by the model's label."""
