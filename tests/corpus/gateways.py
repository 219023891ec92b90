"""Machines: mail gateways that fetch links when a mail arrives, or while it is held.

The time of a receipt is the gateway's acceptance of the mail, so that a gateway that checks before
it accepts comes before the receipt. Sources are read as they were stored on 2026-11-30.
"""

from __future__ import annotations

from tests.corpus.clients import CHROME_WINDOWS, DISGUISED, HEADLESS, NO_AGENT, plain
from tests.corpus.model import ALWAYS, Count, Family, Share, Source, Visit
from tests.corpus.networks import (
    AMAZON,
    BARRACUDA,
    DATA_CENTRE,
    MICROSOFT_365,
    MIMECAST,
    PROOFPOINT,
)

MAUTIC_GATEWAYS = Source(
    "mautic issue 16263: bot detection misses link-scanning security gateways",
    "https://github.com/mautic/mautic/issues/16263",
    "SafeLinks, Mimecast, Proofpoint and Barracuda fetch every link at delivery; neither the "
    "user agent nor the address nor a limit of 2 s after sending finds them.",
    ("scan.links",),
)

SAFELINKS = Family(
    "safelinks_at_delivery",
    "Microsoft Defender Safe Links, scan at delivery",
    "machine",
    "gateway",
    (
        MAUTIC_GATEWAYS,
        Source(
            "emdash issue 3298: email link scanners use the token",
            "https://github.com/emdash-cms/emdash/issues/3298",
            "22 s after sending: two GETs from Microsoft's network with a headless Chrome and no "
            "cookies; the person's click came 4 minutes later.",
            ("scan.repeats", "scan.networks"),
        ),
        Source(
            "laravel-passwordless-login issue 79: Safelinks breaks links",
            "https://github.com/edalzell/laravel-passwordless-login/issues/79",
            "Chrome on Windows from 20.72.100.79; later a blank user agent from 104.47.0.0/17.",
            ("scan.clients",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            (NO_AGENT, HEADLESS, CHROME_WINDOWS),
            (MICROSOFT_365, DATA_CENTRE),
            starts_s=(-10.0, 120.0),
            pixel_share=(0.1, 0.6),
            links=Share((0.9, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.05, 3.0),
            head_share=(0.0, 0.3),
            honeypot_share=(0.85, 1.0),
            repeats=(0, 1),
            repeat_after_s=(0.2, 20.0),
            address_per_request=True,
        ),
    ),
)

SAFELINKS_LATER = Family(
    "safelinks_investigation",
    "Microsoft Defender, links crawled again by an investigation",
    "machine",
    "gateway",
    (
        Source(
            "Defender for Office 365: link click patterns (a trade blog)",
            "https://check.live-direct-marketing.online/blog/microsoft-defender-link-click-pattern",
            "Automated Investigation and Response crawls URLs when an alert fires, often hours "
            "after delivery; a sandbox clicks every link within 10 s, with a Chrome user agent.",
            ("crawl.links",),
        ),
        Source(
            "Why is Microsoft scanning links in my emails at a high rate?",
            "https://www.suped.com/learn/email-deliverability/"
            "why-is-microsoft-scanning-links-in-my-emails-at-a-high-rate",
            "Microsoft evaluates URLs before delivery, at click time, and sometimes after "
            "delivery; requests repeat over redirects and links.",
        ),
    ),
    (
        Visit(
            "crawl",
            "machine",
            (HEADLESS, *DISGUISED),
            (MICROSOFT_365, DATA_CENTRE),
            starts_s=(1_800.0, 172_800.0),
            spread="log",
            links=Share((1.0, 1.0)),
            order="shuffled",
            parallel=(1, 8),
            gap_s=(0.1, 2.0),
            honeypot_share=(0.85, 1.0),
            address_per_request=True,
        ),
    ),
)

MIMECAST_GATEWAY = Family(
    "mimecast_at_delivery",
    "Mimecast URL Protect, scan at delivery",
    "machine",
    "gateway",
    (
        MAUTIC_GATEWAYS,
        Source(
            "Mimecast clicks on links in emails (a sender's help page)",
            "https://www.electricalcertificates.co.uk/elementor-4741",
            "URL Protect scans one-time links before the recipient and uses them up.",
        ),
        Source(
            "Mimecast Data Centers and URLs",
            "https://excelmicro.kayako.com/en-us/article/"
            "384-mimecast-data-centers-and-urls-north-american",
            "The networks of each region.",
            ("scan.networks",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (MIMECAST, DATA_CENTRE),
            starts_s=(-20.0, 90.0),
            pixel_share=(0.0, 0.4),
            links=Share((0.9, 1.0)),
            parallel=(1, 4),
            gap_s=(0.05, 4.0),
            honeypot_share=(0.85, 1.0),
        ),
    ),
)

PROOFPOINT_GATEWAY = Family(
    "proofpoint_url_defense",
    "Proofpoint URL Defense, scan at delivery",
    "machine",
    "gateway",
    (
        MAUTIC_GATEWAYS,
        Source(
            "Proofpoint support: addresses that must be accessible",
            "https://proofpoint.my.site.com/support/PPSup_SupportInfo",
            "The networks of Proofpoint's services.",
            ("scan.networks",),
        ),
        Source(
            "NHI is getting worse (Omnivery)",
            "https://blog.omnivery.com/blog/nhi-is-getting-worse",
            "Gateways such as Proofpoint follow every link of every mail before the recipient.",
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (PROOFPOINT, AMAZON, DATA_CENTRE),
            starts_s=(-20.0, 180.0),
            pixel_share=(0.0, 0.3),
            links=Share((0.8, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.05, 5.0),
            honeypot_share=(0.8, 1.0),
            address_per_request=True,
        ),
    ),
)

BARRACUDA_INTENT = Family(
    "barracuda_first_link",
    "Barracuda Email Security Service, multilevel intent analysis",
    "machine",
    "gateway",
    (
        Source(
            "Identifying False Positives in Email Clicks (Act-On)",
            "https://connect.act-on.com/hc/en-us/articles/"
            "360023757754-Identifying-False-Positives-in-Email-Clicks",
            "It clicks the first link of each message, just after sending, and does not name "
            "itself.",
            ("scan.links", "scan.picks"),
        ),
        Source(
            "Barracuda filters clicking all links (Word to the Wise)",
            "https://wordtothewise.com/2013/07/barracuda-filters-clicking-all-links/",
            "Multilevel intent analysis follows links that may redirect; one sender saw 1 of 6 "
            "links followed, never the unsubscribe link.",
        ),
        Source(
            "Barracuda Email Gateway Defense: IP analysis",
            "https://campus.barracuda.com/product/emailgatewaydefense/doc/96023004/"
            "ip-analysis-inbound/",
            "The range 209.222.80.0 with the mask 255.255.248.0.",
            ("scan.networks",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (BARRACUDA,),
            starts_s=(-10.0, 60.0),
            links=Count((1, 1)),
            picks="first",
        ),
    ),
)

BARRACUDA_SENTINEL = Family(
    "barracuda_sentinel",
    "Barracuda Impersonation Protection (Sentinel)",
    "machine",
    "gateway",
    (
        Source(
            "Unwanted Link Clicks (Barracuda Campus)",
            "https://campus.barracuda.com/product/sentinel/doc/498468311/unwanted-link-clicks",
            "Verifying links requires clicking them; exempting a few addresses of Barracuda no "
            "longer suffices.",
            ("scan.networks",),
        ),
        Source(
            "php-email-open-bot-detection",
            "https://packagist.org/packages/skuz-ko/php-email-open-bot-detection",
            "Lists the user agent Barracuda Sentinel (EE).",
            ("scan.clients",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            (plain("Barracuda Sentinel (EE)"),),
            (BARRACUDA, DATA_CENTRE),
            starts_s=(1.0, 900.0),
            spread="log",
            links=Share((0.7, 1.0)),
            order="shuffled",
            parallel=(1, 4),
            gap_s=(0.1, 5.0),
            honeypot_share=(0.6, 1.0),
        ),
    ),
)

CISCO = Family(
    "cisco_secure_email",
    "Cisco Secure Email, cloud URL analysis",
    "machine",
    "gateway",
    (
        Source(
            "URL Defense Guide (Cisco Secure Email)",
            "https://docs.ces.cisco.com/docs/url-defense",
            "Cloud URL Analysis fetches suspicious URLs after URL filtering, in Outbreak Filters.",
        ),
        Source(
            "Bot clicks from security scanners: a field guide (a trade blog)",
            "https://check.live-direct-marketing.online/blog/bot-clicks-security-scanners-detect",
            "Lists Cisco among gateways that fetch links at delivery.",
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            (*DISGUISED, NO_AGENT),
            (DATA_CENTRE, AMAZON),
            starts_s=(-30.0, 300.0),
            links=Share((0.3, 1.0)),
            order="shuffled",
            parallel=(1, 4),
            gap_s=(0.2, 10.0),
            head_first_share=(0.0, 0.4),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

SYMANTEC = Family(
    "symantec_link_following",
    "Symantec Email Security.cloud (MessageLabs), link following",
    "machine",
    "gateway",
    (
        Source(
            "Does anyone recognize this e-mail sniffer? (Server Fault 573081)",
            "https://serverfault.com/questions/573081/"
            "does-anyone-recognize-this-e-mail-sniffer-or-malware-using-rot13-encoding/573086",
            "About 20 minutes after sending, one GET of the second of two links, as Internet "
            "Explorer 7 on Windows XP, from a changing address of a carrier.",
            ("follow.clients", "follow.links"),
        ),
        Source(
            "Information about Link Following technologies (Broadcom 161979)",
            "https://knowledge.broadcom.com/external/article?legacyId=TECH230547",
            "URLs are followed within seconds; some kinds of links are skipped.",
            ("follow.starts_s",),
        ),
    ),
    (
        Visit(
            "follow",
            "machine",
            (
                plain(
                    "Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 5.1; .NET CLR 1.1.4322; "
                    ".NET CLR 2.0.50727; .NET CLR 3.0.4506.2152; .NET CLR 3.5.30729; InfoPath.2; "
                    "MS-RTC LM 8)"
                ),
            ),
            (DATA_CENTRE,),
            starts_s=(2.0, 1_500.0),
            spread="log",
            links=Count((1, 2)),
            picks="last",
            gap_s=(0.5, 30.0),
            honeypot_share=(0.0, 0.5),
        ),
    ),
)

SOPHOS = Family(
    "sophos_email",
    "Sophos Email, scan of links at delivery",
    "machine",
    "gateway",
    (
        Source(
            "URL and QR code protection (Sophos Central)",
            "https://docs.sophos.com/central/customer/help/en-us/ManageYourProducts/"
            "EmailSecurity/EmailSecurityPolicy/EmailURLProtection/index.html",
            "Links are checked at delivery up to an unpublished number; at click time the service "
            "looks a reputation up and need not fetch the page.",
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (DATA_CENTRE, AMAZON),
            starts_s=(-30.0, 180.0),
            links=Share((0.3, 1.0)),
            parallel=(1, 3),
            gap_s=(0.1, 6.0),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

TREND_MICRO = Family(
    "trend_micro_email",
    "Trend Micro Email Security, links opened in transit",
    "machine",
    "gateway",
    (
        Source(
            "URLs in email opened in transit (University of Oxford)",
            "https://help.it.ox.ac.uk/email-urls-opened-in-transit",
            "Trend Micro opens links while it processes the message; the addresses are Amazon's.",
            ("scan.networks",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (AMAZON,),
            starts_s=(-60.0, 300.0),
            pixel_share=(0.3, 1.0),
            links=Share((0.5, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.05, 6.0),
            honeypot_share=(0.5, 1.0),
            address_per_request=True,
        ),
    ),
)

SEQUENTIAL = Family(
    "sequential_gateway",
    "A gateway that opens one link a second",
    "machine",
    "gateway",
    (
        Source(
            "mautic issue 9798: email protection systems generate invalid traffic",
            "https://github.com/mautic/mautic/issues/9798",
            "Every link is clicked, the invisible one too; each click takes about one second; in "
            "mails of 7 to 8 links a window of 10 s around the invisible link sufficed.",
            ("scan.links", "scan.honeypot_share"),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (DATA_CENTRE, AMAZON),
            starts_s=(1.0, 300.0),
            spread="log",
            pixel_share=(0.2, 0.9),
            links=Share((1.0, 1.0)),
            gap_s=(0.5, 1.8),
            honeypot_share=ALWAYS,
        ),
    ),
)

OPEN_AND_CLICK_ALL = Family(
    "open_and_click_all",
    "A company's gateway that opens the mail and clicks most links",
    "machine",
    "gateway",
    (
        Source(
            "django-anymail issue 200: spurious signals received from SES",
            "https://github.com/anymail/django-anymail/issues/200",
            "The mail is opened and most of 7 links are clicked, within 60 s of sending, "
            "sometimes 5 minutes later; some clicks come before the open.",
            ("scan.starts_s",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (DATA_CENTRE, AMAZON),
            starts_s=(0.0, 300.0),
            pixel_share=(0.8, 1.0),
            links=Share((0.6, 1.0)),
            reading_s=(-2.0, 2.0),
            order="shuffled",
            parallel=(2, 7),
            gap_s=(0.05, 2.0),
            honeypot_share=(0.6, 1.0),
            repeats=(0, 1),
            repeat_after_s=(30.0, 600.0),
        ),
    ),
)

OLD_EXPLORER = Family(
    "old_explorer_gateway",
    "A gateway that calls itself Internet Explorer 8",
    "machine",
    "gateway",
    (
        Source(
            "gophish issue 1555: clicked link event auto-creating, IE 8",
            "https://github.com/gophish/gophish/issues/1555",
            "Clicks one to three seconds after sending, all as Internet Explorer 8 on Windows 7.",
            ("scan.starts_s",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            (plain("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)"),),
            (DATA_CENTRE,),
            starts_s=(1.0, 3.0),
            links=Share((0.5, 1.0)),
            parallel=(1, 4),
            gap_s=(0.05, 2.0),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

QUARANTINE = Family(
    "held_in_quarantine",
    "A gateway that holds the mail and clicks 10 to 30 minutes later",
    "machine",
    "gateway",
    (
        Source(
            "How long does it typically take for anti-spam bots to click links?",
            "https://www.suped.com/learn/email-deliverability/"
            "how-long-does-it-typically-take-for-anti-spam-bots-to-click-links-in-emails",
            "Most come within two minutes; 10 minutes is not unusual, 30 or later is credible "
            "where a mail is queued, quarantined or scanned again.",
            ("scan.starts_s",),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (DATA_CENTRE, AMAZON),
            starts_s=(600.0, 2_400.0),
            spread="log",
            pixel_share=(0.2, 0.9),
            links=Share((0.8, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.05, 5.0),
            honeypot_share=(0.7, 1.0),
        ),
    ),
)

FAMILIES = (
    SAFELINKS,
    SAFELINKS_LATER,
    MIMECAST_GATEWAY,
    PROOFPOINT_GATEWAY,
    BARRACUDA_INTENT,
    BARRACUDA_SENTINEL,
    CISCO,
    SYMANTEC,
    SOPHOS,
    TREND_MICRO,
    SEQUENTIAL,
    OPEN_AND_CLICK_ALL,
    OLD_EXPLORER,
    QUARANTINE,
)
