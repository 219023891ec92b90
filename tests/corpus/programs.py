"""Machines: scripts, antivirus on the person's computer, ticket systems, and crawlers."""

from __future__ import annotations

from tests.corpus.clients import BARE_PAGE, DISGUISED, HEADLESS, plain
from tests.corpus.model import Count, Family, Share, Source, Visit
from tests.corpus.networks import (
    AMAZON,
    BINGBOT,
    DATA_CENTRE,
    GOOGLEBOT,
    HOME,
    OFFICE,
    SHARED_OFFICE,
)

USER_AGENTS = (
    "crawler-user-agents 1.67.0 (M. Monperrus and others)",
    "https://github.com/monperrus/crawler-user-agents",
)

SCRIPT = Family(
    "python_requests_scanner",
    "A scanner written with Python Requests",
    "machine",
    "program",
    (
        Source(
            "craft-campaign issue 546: inflated click rate",
            "https://github.com/putyourlightson/craft-campaign/issues/546",
            "Contacts of large companies click every link several times, some with Python "
            "Requests as the client.",
            ("script.repeats", "script.links"),
        ),
        Source(*USER_AGENTS, "The form of the user agents.", ("script.clients",)),
    ),
    (
        Visit(
            "script",
            "machine",
            (
                plain("python-requests/2.28.0"),
                plain("python-requests/2.32.3"),
                plain("Python/3.9 aiohttp/3.8.1"),
            ),
            (DATA_CENTRE, AMAZON),
            starts_s=(1.0, 3_600.0),
            spread="log",
            links=Share((0.9, 1.0)),
            parallel=(1, 4),
            gap_s=(0.05, 3.0),
            honeypot_share=(0.7, 1.0),
            repeats=(1, 4),
            repeat_after_s=(1.0, 600.0),
        ),
    ),
)

CHECKER = Family(
    "curl_link_checker",
    "A link checker by curl, Wget or Go",
    "machine",
    "program",
    (
        Source(
            "How can I identify bot user agents in my email click data? (Suped)",
            "https://suped.com/learn/email-deliverability/"
            "how-can-i-identify-bot-user-agents-in-my-email-click-data",
            "Python, aiohttp, Wget, Java, curl and Apache-HttpClient usually mean scripts.",
        ),
        Source(*USER_AGENTS, "The forms of the user agents.", ("check.clients",)),
    ),
    (
        Visit(
            "check",
            "machine",
            (
                plain("curl/7.47.0"),
                plain("Wget/1.20.3 (linux-gnu)"),
                plain("Go-http-client/1.1"),
                plain("Go-http-client/2.0"),
            ),
            (DATA_CENTRE, AMAZON),
            starts_s=(5.0, 86_400.0),
            spread="log",
            links=Share((0.5, 1.0)),
            gap_s=(0.05, 2.0),
            head_share=(0.0, 1.0),
            honeypot_share=(0.5, 1.0),
            repeats=(0, 1),
            repeat_after_s=(0.5, 60.0),
        ),
    ),
)

HEADLESS_FETCH = Family(
    "headless_chrome",
    "A headless Chrome that names itself",
    "machine",
    "program",
    (
        Source(*USER_AGENTS, "The form of the user agent.", ("fetch.clients",)),
        Source(
            "Collie pull request 50: suppress Apple MPP opens and bot click prefetches",
            "https://github.com/jusso-dev/Collie/pull/50",
            "Gateways send HEAD or GET seconds after delivery; headless user agents mark them.",
        ),
    ),
    (
        Visit(
            "fetch",
            "machine",
            (HEADLESS,),
            (DATA_CENTRE, AMAZON),
            starts_s=(2.0, 7_200.0),
            spread="log",
            pixel_share=(0.2, 1.0),
            links=Share((0.5, 1.0)),
            order="shuffled",
            parallel=(1, 6),
            gap_s=(0.1, 8.0),
            head_first_share=(0.0, 0.3),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

ENDPOINT = Family(
    "endpoint_antivirus",
    "Antivirus on the person's own computer, from the person's address",
    "machine",
    "program",
    (
        Source(
            "Identify and Address False Positives (KnowBe4)",
            "https://support.knowbe4.com/hc/en-us/articles/"
            "360059091413-Identify-and-Address-False-Positives",
            "Endpoint security and antivirus make clicks; delivery, open and click are then at "
            "the same time.",
        ),
    ),
    (
        Visit(
            "scan",
            "machine",
            DISGUISED,
            (SHARED_OFFICE, OFFICE, HOME),
            starts_s=(1.0, 28_800.0),
            spread="log",
            pixel_share=(0.2, 0.9),
            links=Share((0.5, 1.0)),
            parallel=(1, 6),
            gap_s=(0.05, 3.0),
            head_share=(0.0, 0.6),
            honeypot_share=(0.5, 1.0),
        ),
    ),
)

TICKETS = Family(
    "ticket_system",
    "A ticket system that the mail is forwarded to",
    "machine",
    "program",
    (
        Source(
            "gophish issue 2853: false positive when employees forward to a ticketing system",
            "https://github.com/gophish/gophish/issues/2853",
            "Each forwarded mail counts as clicked, although no one clicked.",
        ),
        Source(
            "How to identify and address False Positives (MetaCompliance)",
            "https://support.metacompliance.com/hc/en-gb/articles/"
            "5598009031825-How-to-identify-and-address-False-Positives",
            "A forwarded mail is opened in a sandbox and checked by the mail server.",
        ),
    ),
    (
        Visit(
            "ingest",
            "machine",
            (*DISGUISED, plain("Go-http-client/2.0"), plain("python-requests/2.28.0")),
            (DATA_CENTRE, AMAZON),
            starts_s=(120.0, 259_200.0),
            spread="log",
            pixel_share=(0.3, 1.0),
            links=Share((0.5, 1.0)),
            parallel=(1, 4),
            gap_s=(0.05, 4.0),
            honeypot_share=(0.4, 1.0),
        ),
    ),
)

ARCHIVE = Family(
    "list_archive_crawlers",
    "Search robots that find the mail in a public list archive",
    "machine",
    "crawler",
    (
        Source(
            "phpList issue 11044: web crawlers hit the unsubscribe link",
            "https://mantis.phplist.org/view.php?id=11044",
            "A forwarded mail stands in a list's archive; msnbot, googlebot and slurp follow its "
            "personal links, again and again.",
            ("crawl.repeats",),
        ),
        Source(*USER_AGENTS, "The user agents.", ("crawl.clients",)),
    ),
    (
        Visit(
            "crawl",
            "machine",
            (
                plain("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"),
                plain("msnbot/2.0b (+http://search.msn.com/msnbot.htm)"),
                plain(
                    "Mozilla/5.0 (compatible; Yahoo! Slurp; "
                    "http://help.yahoo.com/help/us/ysearch/slurp)"
                ),
                plain(
                    "Mozilla/5.0 (compatible; archive.org_bot/heritrix-1.15.4 "
                    "+http://www.archive.org)"
                ),
            ),
            (GOOGLEBOT, BINGBOT, DATA_CENTRE),
            starts_s=(3_600.0, 2_592_000.0),
            spread="log",
            links=Share((0.2, 1.0)),
            order="shuffled",
            gap_s=(1.0, 7_200.0),
            honeypot_share=(0.1, 1.0),
            repeats=(0, 3),
            repeat_after_s=(86_400.0, 1_209_600.0),
            address_per_request=True,
        ),
    ),
)

GOOGLEBOT_IN_MAIL = Family(
    "googlebot_from_mail",
    "Googlebot follows links that were sent to Gmail",
    "machine",
    "crawler",
    (
        Source(
            "Googlebot follows links sent to Gmail subscribers (S. Sharma)",
            "https://shishirsharma.com/tag/crawler/",
            "Googlebot follows links of mails; only the user agent tells it apart.",
        ),
        Source(
            "Verify Googlebot: published addresses (a gist)",
            "https://gist.github.com/mitchellkrogza/754bf23fcad11fe0c329c2ddc90e1f85",
            "Google publishes googlebot.json, Bing publishes bingbot.json.",
            ("crawl.networks",),
        ),
        Source(*USER_AGENTS, "The user agents.", ("crawl.clients",)),
    ),
    (
        Visit(
            "crawl",
            "machine",
            (
                plain(
                    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                    BARE_PAGE,
                ),
                plain(
                    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; "
                    "Googlebot/2.1; +http://www.google.com/bot.html) Safari/537.36",
                    BARE_PAGE,
                ),
            ),
            (GOOGLEBOT,),
            starts_s=(60.0, 604_800.0),
            spread="log",
            links=Share((0.2, 1.0)),
            order="shuffled",
            gap_s=(0.5, 600.0),
            honeypot_share=(0.1, 1.0),
            address_per_request=True,
        ),
    ),
)

GOOGLE_SAFETY = Family(
    "google_safety",
    "Google-Safety, which fetches links to find abuse",
    "machine",
    "crawler",
    (
        Source(
            "Google-Safety (Fingerprint's bot directory)",
            "https://fingerprint.com/bot-directory/google-safety/",
            "Fetches posted links to look for malware and abuse.",
        ),
        Source(*USER_AGENTS, "The user agents.", ("fetch.clients",)),
    ),
    (
        Visit(
            "fetch",
            "machine",
            (
                plain("Google-Safety"),
                plain(
                    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like "
                    "Gecko) Chrome/114.0.5735.179 Safari/537.36 (compatible; Google-Safety; "
                    "+http://www.google.com/bot.html)",
                    BARE_PAGE,
                ),
            ),
            (GOOGLEBOT, DATA_CENTRE),
            starts_s=(5.0, 86_400.0),
            spread="log",
            links=Share((0.3, 1.0)),
            order="shuffled",
            parallel=(1, 4),
            gap_s=(0.2, 30.0),
            honeypot_share=(0.2, 1.0),
        ),
    ),
)

BING = Family(
    "bing_preview",
    "Bing renders or crawls links that its owner's mail service saw",
    "machine",
    "crawler",
    (
        Source(*USER_AGENTS, "The user agents BingPreview and bingbot.", ("crawl.clients",)),
        Source(
            "Bingbot's addresses (known-bots-ip-whitelist)",
            "https://raw.githubusercontent.com/sefinek/known-bots-ip-whitelist/main/lists/bingbot/"
            "ips.json",
            "The blocks of https://www.bing.com/toolbox/bingbot.json.",
            ("crawl.networks",),
        ),
    ),
    (
        Visit(
            "crawl",
            "machine",
            (
                plain(
                    "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like Gecko) "
                    "BingPreview/1.0b",
                    BARE_PAGE,
                ),
                plain("Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)"),
            ),
            (BINGBOT,),
            starts_s=(5.0, 604_800.0),
            spread="log",
            links=Count((1, 3)),
            gap_s=(0.5, 300.0),
            honeypot_share=(0.0, 0.6),
        ),
    ),
)

FAMILIES = (
    SCRIPT,
    CHECKER,
    HEADLESS_FETCH,
    ENDPOINT,
    TICKETS,
    ARCHIVE,
    GOOGLEBOT_IN_MAIL,
    GOOGLE_SAFETY,
    BING,
)
