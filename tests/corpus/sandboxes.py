"""Machines: sandboxes that open links in a browser, often later, and some like a person."""

from __future__ import annotations

from tests.corpus.clients import ANDROID, BROWSERS, DISGUISED, HEADLESS, plain
from tests.corpus.model import Count, Family, Share, Source, Visit
from tests.corpus.networks import AMAZON, DATA_CENTRE, HOME, MICROSOFT_365, PROOFPOINT

PROOFPOINT_TAP = Family(
    "proofpoint_tap_sandbox",
    "Proofpoint TAP, predictive sandbox",
    "machine",
    "sandbox",
    (
        Source(
            "Proofpoint TAP: URL and Attachment Defense explained (Techclick)",
            "https://ai.techclick.in/blog_proofpoint_tap_url_attachment_defense.html",
            "Predictive defence opens suspicious links in a sandbox before anyone clicks, chosen "
            "by patterns of traffic.",
        ),
        Source(
            "Proofpoint support: addresses that must be accessible",
            "https://proofpoint.my.site.com/support/PPSup_SupportInfo",
            "The networks of Proofpoint's services.",
            ("sandbox.networks",),
        ),
    ),
    (
        Visit(
            "sandbox",
            "machine",
            (HEADLESS, *DISGUISED),
            (PROOFPOINT, AMAZON, DATA_CENTRE),
            starts_s=(10.0, 3_600.0),
            spread="log",
            links=Share((0.2, 0.8)),
            order="shuffled",
            parallel=(1, 3),
            gap_s=(0.5, 20.0),
            honeypot_share=(0.3, 0.9),
            address_per_request=True,
        ),
    ),
)

FORTI = Family(
    "fortimail_sandbox",
    "FortiMail with FortiSandbox",
    "machine",
    "sandbox",
    (
        Source(
            "Scan Profile Job Queue Tab (FortiSandbox 3.1.0)",
            "https://docs.fortinet.com/document/fortisandbox/3.1.0/administration-guide/711860",
            "URLs are visited to a depth of 0 to 5, until a timeout that the administrator sets.",
        ),
        Source(
            "Scan (FortiSandbox 4.4.6 CLI reference)",
            "https://docs.fortinet.com/document/fortisandbox/4.4.6/cli-reference/855612/scan",
            "FortiMail holds the mail for a set period for the verdict; of documents, only links "
            "chosen at random are visited.",
        ),
    ),
    (
        Visit(
            "sandbox",
            "machine",
            (HEADLESS, *DISGUISED),
            (DATA_CENTRE,),
            starts_s=(3.0, 1_800.0),
            spread="log",
            pixel_share=(0.0, 0.6),
            links=Share((0.4, 1.0)),
            parallel=(1, 4),
            gap_s=(0.5, 30.0),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

SAFE_ATTACHMENTS = Family(
    "defender_detonation",
    "Microsoft Defender, detonation of the body in a sandbox",
    "machine",
    "sandbox",
    (
        Source(
            "Defender for Office 365: link click patterns (a trade blog)",
            "https://check.live-direct-marketing.online/blog/microsoft-defender-link-click-pattern",
            "Usually within 60 s of delivery; a Chrome user agent; every link within 10 s; the "
            "body is rendered.",
            ("sandbox.starts_s", "sandbox.links"),
        ),
        Source(
            "FusionAuth issue 629: magic links and Outlook safe links",
            "https://github.com/FusionAuth/fusionauth-issues/issues/629",
            "The bot runs the JavaScript of the page, as a person's browser does.",
            ("sandbox.clients",),
        ),
    ),
    (
        Visit(
            "sandbox",
            "machine",
            (HEADLESS, *BROWSERS),
            (MICROSOFT_365, DATA_CENTRE),
            starts_s=(1.0, 60.0),
            pixel_share=(0.6, 1.0),
            links=Share((1.0, 1.0)),
            order="shuffled",
            parallel=(2, 8),
            gap_s=(0.1, 2.0),
            honeypot_share=(0.85, 1.0),
            address_per_request=True,
        ),
    ),
)

HUMAN_DELAYS = Family(
    "sandbox_with_delays",
    "A sandbox that waits between clicks as a person does",
    "machine",
    "sandbox",
    (
        Source(
            "Bot Filtering in Email and Website Activity (Paminga)",
            "https://www.paminga.com/docs/concepts/bot-filtering/",
            "Some bots insert random delays between clicks, mimicking people; many bots run on "
            "cloud infrastructure.",
        ),
        Source(
            "Why your deck analytics are wrong (HummingDeck)",
            "https://hummingdeck.com/en/blog/why-your-deck-analytics-are-wrong",
            "Scanners come about two minutes after sending with real browsers' user agents, "
            "phones' too, and stay on pages for seconds.",
        ),
    ),
    (
        Visit(
            "sandbox",
            "machine",
            BROWSERS,
            (DATA_CENTRE, AMAZON),
            starts_s=(30.0, 7_200.0),
            spread="log",
            pixel_share=(0.5, 1.0),
            links=Share((0.4, 1.0)),
            reading_s=(2.0, 40.0),
            order="shuffled",
            gap_s=(3.0, 60.0),
            honeypot_share=(0.2, 0.9),
        ),
    ),
    known_miss_possible="random delays between clicks, mimicking human behaviour (Paminga)",
)

HOME_SANDBOX = Family(
    "scanner_on_home_lines",
    "A scanner that clicks one link through home lines, with a browser's headers",
    "machine",
    "sandbox",
    (
        Source(
            "How can I identify and handle suspicious bot clicks?",
            "https://www.suped.com/knowledge/email-deliverability/sender-reputation/"
            "how-can-i-identify-and-handle-suspicious-bot-clicks-in-email-marketing-campaigns",
            "Suspicious clicks come at the moment of sending, from domains of companies, at links "
            "that people seldom choose.",
        ),
        Source(
            "resend-node issue 901: bot click detection",
            "https://github.com/resend/resend-node/issues/901",
            "A scanner's click came with a current Chrome on Windows from an access network, 12 s "
            "after a person's, and is called indistinguishable.",
            ("sandbox.clients",),
        ),
    ),
    (
        Visit(
            "sandbox",
            "machine",
            BROWSERS,
            (HOME, DATA_CENTRE),
            starts_s=(5.0, 1_800.0),
            spread="log",
            links=Count((1, 2)),
            gap_s=(2.0, 40.0),
            honeypot_share=(0.1, 0.6),
            address_per_request=True,
        ),
    ),
    known_miss_possible="indistinguishable from real human clicks (resend-node 901)",
)

ON_FORWARD = Family(
    "scanner_on_reply",
    "A scanner set off when the person replies or forwards",
    "machine",
    "sandbox",
    (
        Source(
            "gophish issue 2565: false positive clicks",
            "https://github.com/gophish/gophish/issues/2565",
            "Forwarding with an emoji made a click by a Samsung SM-G998U and by Windows 10, "
            "devices that the person does not own.",
            ("scan.clients",),
        ),
        Source(
            "Spurious signals received from SES (django-anymail 200)",
            "https://github.com/anymail/django-anymail/issues/200",
            "After a forward within the company a second cluster of clicks follows the first.",
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            (
                plain(
                    "Mozilla/5.0 (Linux; Android 12; SM-G998U) AppleWebKit/537.36 "
                    "(KHTML, like Gecko) Chrome/104.0.0.0 Mobile Safari/537.36"
                ),
                ANDROID,
                *DISGUISED,
            ),
            (MICROSOFT_365, DATA_CENTRE),
            starts_s=(300.0, 259_200.0),
            spread="log",
            links=Share((0.5, 1.0)),
            order="shuffled",
            parallel=(1, 4),
            gap_s=(0.1, 5.0),
            honeypot_share=(0.5, 1.0),
        ),
    ),
)

REFETCH = Family(
    "filter_fetches_again",
    "A mail provider that fetches old mails again after complaints",
    "machine",
    "sandbox",
    (
        Source(
            "How long does it typically take for anti-spam bots to click links?",
            "https://www.suped.com/knowledge/email-deliverability/technical/"
            "how-long-does-it-typically-take-for-anti-spam-bots-to-click-links-in-emails",
            "Providers fetch images and links of older mails again when a sender is newly "
            "identified as spam, long after delivery.",
        ),
    ),
    (
        Visit(
            "again",
            "machine",
            DISGUISED,
            (DATA_CENTRE, AMAZON),
            starts_s=(43_200.0, 2_592_000.0),
            spread="log",
            pixel_share=(0.6, 1.0),
            links=Share((0.6, 1.0)),
            order="shuffled",
            parallel=(1, 8),
            gap_s=(0.05, 4.0),
            honeypot_share=(0.6, 1.0),
        ),
    ),
)

FAMILIES = (
    PROOFPOINT_TAP,
    FORTI,
    SAFE_ATTACHMENTS,
    HUMAN_DELAYS,
    HOME_SANDBOX,
    ON_FORWARD,
    REFETCH,
)
