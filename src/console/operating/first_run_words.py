"""What the first-run guide says of each check: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from notifications.features.providers.mail_dns import MailFinding, Mark

Text = str | Promise
TITLES: Mapping[str, Text] = {
    "server": _("Name of the server"),
    "connection": _("Connection"),
    "encryption": _("Encryption"),
    "login": _("Login"),
    "mail": _("Test mail"),
    "sender": _("Sender"),
    "mx": _("Replies (MX)"),
    "spf": _("Allowed servers (SPF)"),
    "dkim": _("Signature (DKIM)"),
    "dmarc": _("Policy (DMARC)"),
}
MARKS: Mapping[Mark, tuple[Text, str]] = {
    Mark.GOOD: (_("works"), "good"),
    Mark.WARN: (_("look at it"), "waiting"),
    Mark.BAD: (_("to be fixed"), "bad"),
}
_NO_ANSWER = _(
    "No name server answered in time. Try again; if it stays so, check the DNS of this machine."
)
_SAYS: Mapping[tuple[str, str], Text] = {
    ("server", "found"): _("The name leads to an address."),
    ("server", "unknown_name"): _(
        "The name has no address. Check the spelling: your mail service names its SMTP server."
    ),
    ("server", "refused_address"): _(
        "The name leads to an address that no mail server has. Write the name of your mail server."
    ),
    ("connection", "open"): _("The server answers."),
    ("connection", "connection"): _(
        "Nothing listens there. Check the name and the port: 587 is usual, and 465 with TLS."
    ),
    ("connection", "timeout"): _(
        "No answer in time. A firewall may be closed: many hosts close port 25. Try port 587."
    ),
    ("connection", "greeting"): _(
        "The server refuses this machine. Ask your mail service whether it may connect."
    ),
    ("connection", "invalid_response"): _(
        "What answers there is no mail server. Check the port: 587 is usual, and 465 with TLS."
    ),
    ("encryption", "encrypted"): _("The connection is encrypted."),
    ("encryption", "not_needed"): _("The server is on this machine: no encryption is needed."),
    ("encryption", "none"): _(
        "The connection is not encrypted. Everyone on the way can read the mails."
    ),
    ("encryption", "tls"): _(
        "No secure connection. The certificate may be of another name, or the port may use the"
        " other kind: STARTTLS is usual at 587, TLS from the first byte at 465."
    ),
    ("login", "accepted"): _("The server accepts the user name and the password."),
    ("login", "auth"): _(
        "The server refuses the user name or the password. Some services need a password that is"
        " made for this app."
    ),
    ("mail", "accepted"): _("The server took the mail. Look into your mailbox, and into spam."),
    ("mail", "login_required"): _(
        "The server wants a login first. Write the user name and the password."
    ),
    ("mail", "refused"): _(
        "The server refuses the mail. Ask whether this login may send from this sender."
    ),
    ("mail", "lost"): _("The server did not confirm the mail. Try again in a minute."),
    ("sender", "not_public"): _(
        "No one outside can answer this sender, and large receivers refuse it. Write an address"
        " of your own domain."
    ),
    ("mx", "found"): _("Replies to the sender have a mailbox."),
    ("mx", "none"): _(
        "The domain takes no mail, so replies and bounces are lost. Publish an MX record."
    ),
    ("spf", "found"): _("The record is there. Check that it names your mail service."),
    ("spf", "missing"): _(
        "Receivers cannot tell who may send for this domain. Publish a TXT record at the domain:"
        " v=spf1 include:(the name that your mail service gives) -all"
    ),
    ("spf", "several"): _("There are several records, and receivers use none. Leave one."),
    ("spf", "passes_all"): _(
        "The record lets every server send for this domain. End it with -all or ~all."
    ),
    ("dkim", "own"): _("This service signs mails, and its key is published."),
    ("dkim", "found"): _("Keys of mail services are published. Check that one is of yours."),
    ("dkim", "unpublished"): _("This service signs mails. Publish its key as this record:"),
    ("dkim", "unknown"): _(
        "No key was found under the usual names. Your mail service gives you the record to"
        " publish. If its server does not sign mails, set CARILLON_SMTP_DKIM_KEYS."
    ),
    ("dmarc", "found"): _("The domain has a policy."),
    ("dmarc", "missing"): _(
        "Large receivers want a policy. Publish a TXT record at _dmarc of the domain:"
        " v=DMARC1; p=none; rua=mailto:(your address)"
    ),
    ("dmarc", "unreadable"): _(
        "The policy cannot be used. It must be one record, with p=none, quarantine or reject."
    ),
}
HINDRANCES: Mapping[str, Text] = {
    "not_embedded": _(
        "This service has several processes or machines. Set these lines in the environment of"
        " each, with your password, and restart them."
    ),
    "given": _(
        "The environment or the file .env has mail settings already, and they win. Change them"
        " to these lines, with your password, and restart the service."
    ),
    "stored_account": _(
        "An account of smtp is stored by the API, and it wins. Delete it, or set these lines in"
        " the environment, with your password."
    ),
    "not_admin": _(
        "Only an administrator stores them here, because who chooses the server can read every"
        " mail. Or set these lines in the environment, with your password, and restart."
    ),
}


class ShownFinding(NamedTuple):
    """A check as the page shows it."""

    title: Text
    state: Text
    #: The colour of the state.
    tone: str
    text: Text
    detail: str


def shown(found: MailFinding) -> ShownFinding:
    """Returns a finding in words."""
    state, tone = MARKS[found.mark]
    text = _NO_ANSWER if found.code == "no_answer" else _SAYS[found.check, found.code]
    return ShownFinding(TITLES[found.check], state, tone, text, found.detail)
