"""People whose mail a machine checks, too: before they read it, as they click, or afterwards."""

from __future__ import annotations

from dataclasses import replace

from tests.corpus.clients import (
    BROWSERS,
    CHROME_WINDOWS_UA,
    COMPUTERS,
    DISGUISED,
    EDGE,
    EDGE_UA,
    GMAIL_PREFETCH,
    GOOGLE_IMAGE_PROXY,
    HEADLESS,
    IMAGE_IN_PROGRAM,
    MAIL_PROGRAMS,
    NO_AGENT,
    OUTLOOK_IMAGES,
    PAGE_ACCEPT,
    WEBMAIL_BROWSERS,
    plain,
)
from tests.corpus.model import ALWAYS, Client, Companion, Count, Family, Share, Source, Visit
from tests.corpus.networks import (
    AMAZON,
    DATA_CENTRE,
    GOOGLE,
    HOME,
    MICROSOFT_365,
    MIMECAST,
    OFFICE,
    PROOFPOINT,
)

READ = Visit(
    "open",
    "human",
    (OUTLOOK_IMAGES, *MAIL_PROGRAMS),
    (OFFICE, HOME),
    starts_s=(30.0, 86_400.0),
    spread="log",
    pixel_share=(0.3, 0.9),
)
"""How a person opens the mail, in all families here that do not say otherwise. An assumption."""

CLICK = Visit(
    "click",
    "human",
    COMPUTERS,
    (OFFICE, HOME),
    starts_s=(3.0, 600.0),
    spread="log",
    after="open",
    links=Count((1, 2)),
    gap_s=(5.0, 300.0),
    same_address=True,
)
"""How a person clicks after they opened the mail, in families here that do not say otherwise."""

SAFELINKS_CLICK = Family(
    "safelinks_at_click",
    "A click that Safe Links checks first, often with HEAD",
    "mixed",
    "person behind a machine",
    (
        Source(
            "cobudget pull request 1274: magic link scanner token consumption",
            "https://github.com/cobudget/cobudget/pull/1274",
            "HEAD requests hit the link of a corporate domain, in two of two tries.",
        ),
        Source(
            "next-auth issue 1840: magic link with SafeLinks",
            "https://github.com/nextauthjs/next-auth/issues/1840",
            "HEAD before the click until 2023; since then a GET instead.",
        ),
        Source(
            "Microsoft 365 URLs and IP address ranges",
            "https://learn.microsoft.com/en-us/microsoft-365/enterprise/urls-and-ip-address-ranges",
            "The blocks of Exchange Online and its protection.",
            ("click.check.networks",),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            companions=(
                Companion(
                    "check",
                    "machine",
                    (NO_AGENT, HEADLESS, *DISGUISED),
                    (MICROSOFT_365, DATA_CENTRE),
                    chance_share=(0.7, 1.0),
                    offset_s=(-4.0, -0.1),
                    head_share=(0.3, 1.0),
                ),
            ),
        ),
    ),
)

NEW_OUTLOOK = Family(
    "new_outlook_at_click",
    "A click in the new Outlook, which fetches the link itself first",
    "mixed",
    "person behind a machine",
    (
        Source(
            "next-auth issue 1840: magic link with SafeLinks",
            "https://github.com/nextauthjs/next-auth/issues/1840",
            "A GET whose user agent and X-Native-Host name OneOutlook precedes the person's.",
            ("click.check.clients",),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            clients=(EDGE, *COMPUTERS),
            companions=(
                Companion(
                    "check",
                    "machine",
                    (
                        plain(
                            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
                            "(KHTML, like Gecko) Chrome/117.0.0.0 Safari/537.36 "
                            "Edg/117.0.2045.47 OneOutlook/1.2023.927.100",
                            (
                                ("Accept", PAGE_ACCEPT),
                                ("X-Native-Host", "OneOutlook/1.2023.927.100"),
                            ),
                        ),
                    ),
                    (OFFICE, HOME),
                    chance_share=(0.8, 1.0),
                    offset_s=(-3.0, -0.1),
                    same_address=True,
                ),
            ),
        ),
    ),
)

MIMECAST_CLICK = Family(
    "mimecast_at_click",
    "A click that Mimecast checks first, which takes seconds",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Mimecast: URL Protect and DLP (Emerson College)",
            "https://support.emerson.edu/hc/en-us/articles/360024413032-Mimecast-URL-Protect-and-DLP",
            "The check takes around 5 seconds before the redirect, at clicks only.",
            ("click.check.offset_s",),
        ),
        Source(
            "Mimecast Data Centers and URLs",
            "https://excelmicro.kayako.com/en-us/article/"
            "384-mimecast-data-centers-and-urls-north-american",
            "The networks of each region.",
            ("click.check.networks",),
        ),
    ),
    (
        READ,
        Visit(
            "click",
            "human",
            BROWSERS,
            (OFFICE, HOME),
            starts_s=(5.0, 600.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            gap_s=(6.0, 300.0),
            same_address=True,
            companions=(
                Companion(
                    "check",
                    "machine",
                    DISGUISED,
                    (MIMECAST, DATA_CENTRE),
                    chance_share=(0.6, 1.0),
                    offset_s=(-8.0, -0.3),
                    head_share=(0.0, 0.3),
                ),
            ),
        ),
    ),
)

PROOFPOINT_CLICK = Family(
    "proofpoint_at_click",
    "A click that Proofpoint URL Defense checks first",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Proofpoint TAP: URL and Attachment Defense explained (Techclick)",
            "https://ai.techclick.in/blog_proofpoint_tap_url_attachment_defense.html",
            "The proxy fetches the destination in a sandbox, then passes the click through.",
        ),
        Source(
            "Proofpoint support: addresses that must be accessible",
            "https://proofpoint.my.site.com/support/PPSup_SupportInfo",
            "The networks of Proofpoint's services.",
            ("click.check.networks",),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            companions=(
                Companion(
                    "check",
                    "machine",
                    (HEADLESS, *DISGUISED),
                    (PROOFPOINT, AMAZON),
                    chance_share=(0.3, 1.0),
                    offset_s=(-5.0, 2.0),
                ),
            ),
        ),
    ),
)

RESCAN = Family(
    "scanned_after_click",
    "A click that a scanner elsewhere repeats seconds later",
    "mixed",
    "person behind a machine",
    (
        Source(
            "resend-node issue 901: bot click detection",
            "https://github.com/resend/resend-node/issues/901",
            "12 s after a click from a home line with Chrome on macOS, one from another network "
            "with Chrome on Windows.",
            ("click.again.clients",),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            clients=BROWSERS,
            networks=(HOME,),
            companions=(
                Companion(
                    "again",
                    "machine",
                    COMPUTERS,
                    (HOME, DATA_CENTRE),
                    chance_share=(0.7, 1.0),
                    offset_s=(3.0, 60.0),
                    spread="log",
                ),
            ),
        ),
    ),
    known_miss_possible="indistinguishable from real human clicks (resend-node 901)",
)

REPUTATION = Family(
    "reputation_service_after_click",
    "A click to a page that a reputation service then reads (Trend Micro)",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Behaviour of the Web Reputation Services (Trend Micro)",
            "https://helpcenter.trendmicro.com/en-us/article/tmka-18762",
            "A page without a rating that a customer visits is read afterwards by servers, and "
            "then generally not again.",
        ),
        Source(
            "A log of fetchers of one link (Pastebin n1tWA5BJ)",
            "https://pastebin.com/n1tWA5BJ",
            "150.70.188.171 as Internet Explorer 8 on Windows XP.",
            ("click.rate.clients",),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            companions=(
                Companion(
                    "rate",
                    "machine",
                    (plain("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)"),),
                    (DATA_CENTRE, AMAZON),
                    chance_share=(0.3, 1.0),
                    offset_s=(1.0, 7_200.0),
                    spread="log",
                ),
            ),
        ),
    ),
)

OFFICE_PROBE = Family(
    "office_probe_at_click",
    "A click in an Office program, which probes the link first",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Office Existence Discovery Protocol (Microsoft)",
            "http://blogs.msdn.com/b/vsofficedeveloper/archive/2008/03/11/"
            "office-existence-discovery-protocol.aspx",
            "A HEAD with the user agent Microsoft Office Existence Discovery.",
            ("click.probe.clients", "click.probe.head_share"),
        ),
        Source(
            "Make server force Excel to hand over hyperlink (Webmasters 71112)",
            "https://webmasters.stackexchange.com/questions/71112/"
            "make-server-force-excel-to-hand-over-hyperlink-to-browser-without-trying-to-load",
            "The browser's GET comes up to a second after the program's, from one address.",
            ("click.probe.offset_s", "click.probe.same_address"),
        ),
    ),
    (
        READ,
        replace(
            CLICK,
            companions=(
                Companion(
                    "probe",
                    "machine",
                    (
                        plain("Microsoft Office Existence Discovery", ()),
                        plain("Mozilla/4.0 (compatible; ms-office; MSOffice 16)"),
                    ),
                    (OFFICE, HOME),
                    chance_share=(0.8, 1.0),
                    offset_s=(-1.5, -0.05),
                    head_share=(0.5, 1.0),
                    same_address=True,
                ),
            ),
        ),
    ),
)

PREFETCH = (
    ("Accept", PAGE_ACCEPT),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Purpose", "prefetch"),
)
BROWSER_PREFETCH = Family(
    "browser_prefetch_then_click",
    "A browser that fetches a link before the person clicks it, if they do",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Sec-Purpose (MDN)",
            "https://DEVELOPER.MOZILLA.ORG/en-US/docs/Web/HTTP/Headers/Sec-Purpose",
            "Marks a request made in anticipation, such as of a link hovered over.",
            ("prefetch.clients",),
        ),
        Source(
            "Sec-Purpose: compatibility data",
            "https://unpkg.com/@kcjpop/x-browser-compat@0.0.6/bcd/http/headers/Sec-Purpose/"
            "prefetch/index.json",
            "Chrome and Edge send the older Purpose: prefetch for link elements.",
            ("prefetch.clients",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (GOOGLE_IMAGE_PROXY,),
            (GOOGLE,),
            starts_s=(10.0, 86_400.0),
            spread="log",
            pixel_share=(0.8, 1.0),
        ),
        Visit(
            "prefetch",
            "machine",
            (
                Client("Chrome prefetches", CHROME_WINDOWS_UA, PREFETCH, IMAGE_IN_PROGRAM),
                Client("Edge prefetches", EDGE_UA, PREFETCH, IMAGE_IN_PROGRAM),
                plain(CHROME_WINDOWS_UA, (("Accept", PAGE_ACCEPT), ("Purpose", "prefetch"))),
            ),
            (HOME,),
            starts_s=(1.0, 60.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            picks="first",
            gap_s=(0.2, 10.0),
        ),
        Visit(
            "click",
            "human",
            WEBMAIL_BROWSERS,
            (HOME,),
            starts_s=(0.3, 60.0),
            spread="log",
            after="prefetch",
            chance_share=(0.3, 0.9),
            links=Count((1, 1)),
            picks="first",
            same_address=True,
        ),
    ),
)

GMAIL_BOTH = Family(
    "gmail_prefetch_then_open",
    "Gmail loads the images first; the person opens and clicks later",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Gmail Is Prefetching Images, Leading to Marginally Inflated Opens (SparkPost)",
            "https://www.sparkpost.com/blog/gmail-prefetching-images/",
            "The prefetch is in addition to the load when the person opens the mail.",
            ("load.clients", "load.networks"),
        ),
    ),
    (
        Visit(
            "load",
            "machine",
            (GMAIL_PREFETCH,),
            (GOOGLE,),
            starts_s=(0.2, 60.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
        Visit(
            "open",
            "human",
            (GOOGLE_IMAGE_PROXY,),
            (GOOGLE,),
            starts_s=(3.0, 86_400.0),
            spread="log",
            after="load",
            pixel_share=ALWAYS,
        ),
        Visit(
            "click",
            "human",
            WEBMAIL_BROWSERS,
            (HOME, OFFICE),
            starts_s=(2.0, 600.0),
            spread="log",
            after="open",
            chance_share=(0.4, 1.0),
            links=Count((1, 2)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

GATEWAY_THEN_PERSON = Family(
    "gateway_then_person",
    "A gateway that clicks most links, and a person who reads later",
    "mixed",
    "person behind a machine",
    (
        Source(
            "django-anymail issue 200: spurious signals received from SES",
            "https://github.com/anymail/django-anymail/issues/200",
            "After the first cluster of clicks, within 60 s to 5 minutes, the mail is opened once "
            "or twice and one or two links are clicked.",
            ("scan.starts_s", "click.links"),
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (MICROSOFT_365, AMAZON, DATA_CENTRE),
            starts_s=(0.0, 300.0),
            pixel_share=(0.4, 1.0),
            links=Share((0.7, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.05, 3.0),
            honeypot_share=(0.7, 1.0),
        ),
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (OFFICE, HOME),
            starts_s=(60.0, 172_800.0),
            spread="log",
            pixel_share=(0.3, 1.0),
        ),
        Visit(
            "click",
            "human",
            COMPUTERS,
            (OFFICE, HOME),
            starts_s=(3.0, 600.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            gap_s=(4.0, 300.0),
            same_address=True,
        ),
    ),
)

FAMILIES = (
    SAFELINKS_CLICK,
    NEW_OUTLOOK,
    MIMECAST_CLICK,
    PROOFPOINT_CLICK,
    RESCAN,
    REPUTATION,
    OFFICE_PROBE,
    BROWSER_PREFETCH,
    GMAIL_BOTH,
    GATEWAY_THEN_PERSON,
)
