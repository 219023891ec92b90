"""The receipt kind of each event name of each mail service; see mail_events.py."""

from __future__ import annotations

from notifications.domain.receipts import ReceiptKind

_K = ReceiptKind
Meanings = dict[str, ReceiptKind | None]

BREVO: Meanings = {
    "request": None,
    "delivered": _K.DELIVERED,
    "deferred": _K.DEFERRED,
    "hard_bounce": _K.BOUNCED,
    "invalid_email": _K.BOUNCED,
    "soft_bounce": _K.FAILED,
    "blocked": _K.FAILED,
    "error": _K.FAILED,
    "spam": _K.COMPLAINED,
    "complaint": _K.COMPLAINED,
    "unsubscribe": _K.UNSUBSCRIBED,
    "opened": _K.OPENED,
    "click": _K.CLICKED,
}
MAILERSEND: Meanings = {
    "sent": _K.SENT,
    "delivered": _K.DELIVERED,
    "hard_bounced": _K.BOUNCED,
    "soft_bounced": _K.FAILED,
    "spam_complaint": _K.COMPLAINED,
    "unsubscribed": _K.UNSUBSCRIBED,
    "opened": _K.OPENED,
    "clicked": _K.CLICKED,
}
MAILGUN: Meanings = {
    "accepted": None,
    "delivered": _K.DELIVERED,
    "complained": _K.COMPLAINED,
    "unsubscribed": _K.UNSUBSCRIBED,
    "opened": _K.OPENED,
    "clicked": _K.CLICKED,
}
MAILGUN_FAILED: Meanings = {
    "failed permanent bounce hard": _K.BOUNCED,
    "failed permanent bounce 5.1.1": _K.BOUNCED,
    "failed permanent bounce -": _K.BOUNCED,
    "failed permanent suppress-bounce -": _K.BOUNCED,
    "failed permanent bounce soft": _K.FAILED,
    "failed permanent bounce 5.2.2": _K.FAILED,
    "failed permanent bounce 5.7.1": _K.FAILED,
    "failed permanent generic -": _K.FAILED,
    "failed permanent old -": _K.FAILED,
    "failed permanent espblock -": _K.FAILED,
    "failed permanent suppress-complaint -": _K.FAILED,
    "failed permanent suppress-unsubscribe -": _K.FAILED,
    "failed temporary generic -": _K.DEFERRED,
}
MAILJET: Meanings = {
    "sent": _K.DELIVERED,
    "blocked": _K.FAILED,
    "spam": _K.COMPLAINED,
    "unsub": _K.UNSUBSCRIBED,
    "open": _K.OPENED,
    "click": _K.CLICKED,
}
MAILJET_BOUNCED: Meanings = {
    "bounce hard user unknown": _K.BOUNCED,
    "bounce hard mailbox inactive": _K.BOUNCED,
    "bounce hard invalid domain": _K.BOUNCED,
    "bounce hard no mail host": _K.BOUNCED,
    "bounce hard quota exceeded": _K.FAILED,
    "bounce hard relay/access denied": _K.FAILED,
    "bounce hard content blocked": _K.FAILED,
    "bounce soft user unknown": _K.FAILED,
    "bounce soft quota exceeded": _K.FAILED,
    "bounce soft connection issue": _K.FAILED,
    "bounce soft greylisted": _K.DEFERRED,
}
MAILTRAP: Meanings = {
    "delivery": _K.DELIVERED,
    "bounce": _K.BOUNCED,
    "soft bounce": _K.DEFERRED,
    "suspension": _K.DEFERRED,
    "reject": _K.FAILED,
    "spam": _K.COMPLAINED,
    "unsubscribe": _K.UNSUBSCRIBED,
    "open": _K.OPENED,
    "click": _K.CLICKED,
}
MANDRILL: Meanings = {
    "send": _K.SENT,
    "deferral": _K.DEFERRED,
    "hard_bounce": _K.BOUNCED,
    "soft_bounce": _K.FAILED,
    "reject": _K.FAILED,
    "spam": _K.COMPLAINED,
    "unsub": _K.UNSUBSCRIBED,
    "open": _K.OPENED,
    "click": _K.CLICKED,
    "blacklist": None,
}
POSTAL: Meanings = {
    "Sent 250 OK": _K.DELIVERED,
    "SoftFail 452 4.2.2 mailbox full": _K.DEFERRED,
    "HardFail 550 5.1.1 unknown": _K.BOUNCED,
    "HardFail 550 5.7.1 blocked": _K.FAILED,
    "HardFail": _K.FAILED,
    "Held": None,
    "MessageBounced": _K.FAILED,
}
POSTMARK: Meanings = {
    "Delivery": _K.DELIVERED,
    "Open": _K.OPENED,
    "Click": _K.CLICKED,
    "SpamComplaint": _K.COMPLAINED,
}
POSTMARK_BOUNCED: Meanings = {
    "Bounce HardBounce": _K.BOUNCED,
    "Bounce SoftBounce": _K.FAILED,
    "Bounce Transient": _K.DEFERRED,
    "Bounce DnsError": _K.DEFERRED,
    "Bounce Blocked": _K.FAILED,
    "Bounce DMARCPolicy": _K.FAILED,
    "Bounce SpamNotification": _K.FAILED,
    "Bounce VirusNotification": _K.FAILED,
    "Bounce BadEmailAddress": _K.FAILED,
    "Bounce ManuallyDeactivated": _K.FAILED,
    "Bounce SMTPApiError": _K.FAILED,
    "Bounce Unsubscribe": _K.UNSUBSCRIBED,
    "Bounce SpamComplaint": _K.COMPLAINED,
    "Bounce Unknown": None,
    "Bounce AutoResponder": None,
    "Bounce NewKindOfTheirs": _K.FAILED,
}
POSTMARK_SUPPRESSED: Meanings = {
    "SubscriptionChange HardBounce": _K.BOUNCED,
    "SubscriptionChange SpamComplaint": _K.COMPLAINED,
    "SubscriptionChange ManualSuppression": _K.UNSUBSCRIBED,
}
RESEND: Meanings = {
    "email.sent": _K.SENT,
    "email.delivered": _K.DELIVERED,
    "email.delivery_delayed": _K.DEFERRED,
    "email.complained": _K.COMPLAINED,
    "email.opened": _K.OPENED,
    "email.clicked": _K.CLICKED,
}
RESEND_BOUNCED: Meanings = {
    "email.bounced Permanent General": _K.BOUNCED,
    "email.bounced Permanent NoEmail": _K.BOUNCED,
    "email.bounced Permanent Suppressed": _K.BOUNCED,
    "email.bounced Permanent ContentRejected": _K.FAILED,
    "email.bounced Transient General": _K.FAILED,
    "email.bounced Transient MailboxFull": _K.FAILED,
    "email.bounced Undetermined Undetermined": _K.FAILED,
}
SENDGRID: Meanings = {
    "processed": None,
    "delivered": _K.DELIVERED,
    "deferred": _K.DEFERRED,
    "bounce bounce": _K.BOUNCED,
    "bounce bounce Invalid Address": _K.BOUNCED,
    "bounce bounce Mailbox Unavailable": _K.FAILED,
    "bounce bounce Content": _K.FAILED,
    "bounce bounce Reputation": _K.FAILED,
    "bounce blocked": _K.FAILED,
    "bounce expired": _K.FAILED,
    "bounce": _K.FAILED,
    "dropped": _K.FAILED,
    "spamreport": _K.COMPLAINED,
    "unsubscribe": _K.UNSUBSCRIBED,
    "group_unsubscribe": _K.UNSUBSCRIBED,
    "open": _K.OPENED,
    "click": _K.CLICKED,
}
SPARKPOST: Meanings = {
    "injection": None,
    "delivery": _K.DELIVERED,
    "delay": _K.DEFERRED,
    "policy_rejection": _K.FAILED,
    "generation_failure": _K.FAILED,
    "generation_rejection": _K.FAILED,
    "spam_complaint": _K.COMPLAINED,
    "list_unsubscribe": _K.UNSUBSCRIBED,
    "link_unsubscribe": _K.UNSUBSCRIBED,
    "open": _K.OPENED,
    "click": _K.CLICKED,
}
_SOFT_AT_SPARKPOST = ("1", *map(str, range(20, 26)), "40", *map(str, range(50, 55)), "70")
SPARKPOST_BOUNCED: Meanings = {
    "bounce 10": _K.BOUNCED,
    "bounce 30": _K.BOUNCED,
    **{f"bounce {name}": _K.FAILED for name in _SOFT_AT_SPARKPOST},
    "bounce 60": None,
    "bounce 80": None,
    "bounce 90": _K.UNSUBSCRIBED,
    "bounce 100": None,
}
UNISENDER: Meanings = {
    "sent": _K.SENT,
    "delivered": _K.DELIVERED,
    "soft_bounced err_mailbox_full": _K.DEFERRED,
    "hard_bounced err_user_unknown": _K.BOUNCED,
    "hard_bounced err_user_inactive": _K.BOUNCED,
    "hard_bounced err_domain_inactive": _K.BOUNCED,
    "hard_bounced err_mailbox_full": _K.FAILED,
    "hard_bounced err_too_large": _K.FAILED,
    "hard_bounced err_spam_rejected": _K.FAILED,
    "hard_bounced err_blacklisted": _K.FAILED,
    "hard_bounced err_unreachable": _K.FAILED,
    "hard_bounced": _K.FAILED,
    "spam": _K.COMPLAINED,
    "unsubscribed": _K.UNSUBSCRIBED,
    "opened": _K.OPENED,
    "clicked": _K.CLICKED,
}
