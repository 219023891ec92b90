"""People whose requests a proxy, a shared address or other people carry."""

from __future__ import annotations

from tests.corpus.clients import (
    APPLE_PRIVACY,
    BROWSERS,
    COMPUTERS,
    GOOGLE_IMAGE_PROXY,
    IPHONE,
    MAIL_PROGRAMS,
    PHONE_PROGRAMS,
    TOR_BROWSER,
    WEBMAIL_BROWSERS,
    YAHOO_PROXY,
)
from tests.corpus.model import ALWAYS, Count, Family, Source, Visit
from tests.corpus.networks import (
    APPLE_RELAY,
    DATA_CENTRE,
    GOOGLE,
    HOME,
    MOBILE,
    OFFICE,
    SHARED_OFFICE,
    TOR_EXITS,
    VPN_EXIT,
)

BEHIND_APPLE = Family(
    "apple_privacy_then_click",
    "A person behind Apple Mail Privacy Protection who clicks",
    "mixed",
    "person behind a machine",
    (
        Source(
            "Apple Mail Privacy Protection's impact on email (Bird)",
            "https://bird.com/tr/resources/guides/apple-mail-privacy-protection-s-impact-on-email",
            "All images are loaded whether or not the mail is read; clicks, with their user "
            "agents, are not changed.",
            ("load.pixel_share",),
        ),
        Source(
            "iCloud Private Relay egress addresses (MISP warning lists, issue 260)",
            "https://www.github.com/MISP/misp-warninglists/issues/260",
            "Apple publishes the relay's addresses.",
            ("load.networks",),
        ),
    ),
    (
        Visit(
            "load",
            "machine",
            (APPLE_PRIVACY,),
            (APPLE_RELAY,),
            starts_s=(1.0, 86_400.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
        Visit(
            "click",
            "human",
            (IPHONE, *COMPUTERS),
            (HOME, MOBILE),
            starts_s=(2.0, 86_400.0),
            after="load",
            spread="log",
            links=Count((1, 2)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

BEHIND_RELAY = Family(
    "private_relay_user",
    "A person who browses through iCloud Private Relay",
    "human",
    "person behind a machine",
    (
        Source(
            "plausible discussion 1611: Private Relay address in another country",
            "https://github.com/plausible/analytics/discussions/1611",
            "The relay hides the person's address as a VPN does; the person is real.",
        ),
        Source(
            "iCloud Private Relay egress addresses (MISP warning lists, issue 260)",
            "https://www.github.com/MISP/misp-warninglists/issues/260",
            "Apple publishes the relay's addresses.",
            ("click.networks",),
        ),
    ),
    (
        Visit(
            "click",
            "human",
            (IPHONE,),
            (APPLE_RELAY,),
            starts_s=(3.0, 172_800.0),
            spread="log",
            links=Count((1, 2)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

GMAIL_READER = Family(
    "gmail_reader_clicks",
    "A person in Gmail's web page: images by the proxy, then a click",
    "human",
    "person behind a machine",
    (
        Source(
            "Gmail deploys image proxy servers (Word to the Wise)",
            "http://blog.wordtothewise.com/2013/12/gmail-deploys-image-proxy-servers/",
            "The first load comes when the mail is opened, later ones from the cache.",
            ("open.pixel_share",),
        ),
        Source(
            "What is Google Image Proxy? (ScientiaMobile)",
            "https://www.scientiamobile.com/what-is-google-image-proxy/",
            "The user agent and the address are the proxy's, not the person's.",
            ("open.clients",),
        ),
        Source(
            "IP ranges for Google, Amazon etc (a gist)",
            "https://gist.github.com/victorelec14/25ccc5c0727b0e4936c23d936b60a22c",
            "Google's blocks are the TXT record of _netblocks.google.com.",
            ("open.networks",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (GOOGLE_IMAGE_PROXY,),
            (GOOGLE,),
            starts_s=(5.0, 172_800.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
        Visit(
            "click",
            "human",
            WEBMAIL_BROWSERS,
            (HOME, MOBILE, OFFICE),
            starts_s=(1.5, 600.0),
            after="open",
            spread="log",
            links=Count((1, 3)),
            order="shuffled",
            gap_s=(3.0, 300.0),
        ),
    ),
)

YAHOO_READER = Family(
    "yahoo_reader_clicks",
    "A person in Yahoo Mail: images by the proxy, then a click",
    "human",
    "person behind a machine",
    (
        Source(
            "Yahoo! Mail introduces image caching (Litmus)",
            "https://www.litmus.com/blog/yahoo-mail-introduces-image-caching-what-marketers-must-know",
            "Images come from Yahoo's proxy, so that the person's program is unknown.",
            ("open.pixel_share",),
        ),
        Source(
            "YahooMailProxy (botcrawl)",
            "https://botcrawl.com/bots/yahoomailproxy/",
            "The user agent.",
            ("open.clients",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (YAHOO_PROXY,),
            (DATA_CENTRE,),
            starts_s=(5.0, 172_800.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
        Visit(
            "click",
            "human",
            WEBMAIL_BROWSERS,
            (HOME, MOBILE),
            starts_s=(1.5, 600.0),
            after="open",
            spread="log",
            links=Count((1, 2)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

SHARED = Family(
    "office_behind_one_address",
    "Several colleagues, or one, behind the one address of an office proxy",
    "human",
    "person behind a machine",
    (
        Source(
            "One IP address, many users: detecting CGNAT (Cloudflare)",
            "https://ipv6.net/news/"
            "one-ip-address-many-users-detecting-cgnat-to-reduce-collateral-effects",
            "One address stands for hundreds or thousands of users behind CGNAT and proxies; bot "
            "rules harm them.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (SHARED_OFFICE,),
            starts_s=(20.0, 86_400.0),
            spread="log",
            pixel_share=(0.3, 1.0),
        ),
        Visit(
            "click",
            "human",
            COMPUTERS,
            (SHARED_OFFICE,),
            starts_s=(2.0, 600.0),
            after="open",
            spread="log",
            links=Count((1, 3)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

TOR_USER = Family(
    "tor_user",
    "A person who clicks with Tor Browser",
    "human",
    "person behind a machine",
    (
        Source(
            "Tor user agent as of 09/2022 (a gist)",
            "https://gist.github.com/phoenixthrush/6c88159f8a46695bbd60d12b9dac6fab",
            "All users send one user agent.",
            ("click.clients",),
        ),
        Source(
            "TorProject.org list of all current Tor exit points (FireHOL)",
            "https://raw.githubusercontent.com/firehol/blocklist-ipsets/master/tor_exits_1d.ipset",
            "The exits, from https://check.torproject.org/exit-addresses.",
            ("click.networks",),
        ),
    ),
    (
        Visit(
            "click",
            "human",
            (TOR_BROWSER,),
            (TOR_EXITS,),
            starts_s=(20.0, 259_200.0),
            spread="log",
            links=Count((1, 2)),
            gap_s=(6.0, 600.0),
            address_per_request=True,
        ),
    ),
)

VPN_USER = Family(
    "vpn_user",
    "A person who clicks through a VPN in a data centre",
    "human",
    "person behind a machine",
    (
        Source(
            "One IP address, many users: detecting CGNAT (Cloudflare)",
            "https://ipv6.net/news/"
            "one-ip-address-many-users-detecting-cgnat-to-reduce-collateral-effects",
            "VPNs and middleboxes also put many people behind one address.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (*MAIL_PROGRAMS, *PHONE_PROGRAMS),
            (VPN_EXIT, DATA_CENTRE),
            starts_s=(20.0, 172_800.0),
            spread="log",
            pixel_share=(0.4, 1.0),
        ),
        Visit(
            "click",
            "human",
            BROWSERS,
            (VPN_EXIT, DATA_CENTRE),
            starts_s=(2.0, 600.0),
            after="open",
            spread="log",
            links=Count((1, 3)),
            gap_s=(3.0, 300.0),
            same_address=True,
        ),
    ),
)

FORWARDER = Family(
    "forwarder_to_colleagues",
    "A person who forwards the mail to colleagues, who open and click it",
    "human",
    "person behind a machine",
    (
        Source(
            "Forwarded emails in your metrics (ContactMonkey)",
            "https://help.contactmonkey.com/hc/en-us/articles/4411629869069",
            "Opens and clicks of those who got the mail forwarded count for the first recipient.",
        ),
        Source(
            "Tracking statistics for forwarded emails (Pinpointe)",
            "https://blog.pinpointe.com/email-forward-to-friend/amp",
            "The report shows repeated opens and clicks of one recipient.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (OFFICE,),
            starts_s=(30.0, 86_400.0),
            spread="log",
            pixel_share=(0.5, 1.0),
        ),
        Visit(
            "colleague",
            "human",
            MAIL_PROGRAMS,
            (OFFICE, HOME),
            starts_s=(60.0, 86_400.0),
            after="open",
            spread="log",
            pixel_share=(0.4, 1.0),
        ),
        Visit(
            "colleague_click",
            "human",
            COMPUTERS,
            (OFFICE, HOME),
            starts_s=(3.0, 600.0),
            after="colleague",
            spread="log",
            links=Count((1, 2)),
            gap_s=(4.0, 300.0),
            same_address=True,
        ),
        Visit(
            "other_click",
            "human",
            BROWSERS,
            (OFFICE, HOME, MOBILE),
            starts_s=(2.0, 7_200.0),
            after="colleague",
            spread="log",
            chance_share=(0.3, 0.9),
            links=Count((1, 2)),
            gap_s=(4.0, 300.0),
        ),
    ),
)

PRIVATE_FORWARD = Family(
    "tracker_removing_forward",
    "A person behind a forwarding service that removes the pixel (DuckDuckGo)",
    "human",
    "person behind a machine",
    (
        Source(
            "What is DuckDuckGo's email privacy action? (Suped)",
            "https://www.suped.com/learn/email-deliverability/"
            "what-is-duckduckgos-email-privacy-action-and-how-does-it-affect-email-marketing",
            "Hidden trackers are removed before the mail is forwarded.",
        ),
        Source(
            "Apple and DuckDuckGo email privacy tools allow link tracking",
            "https://entrepreneurspassiveincome.com/"
            "apple-and-duckduckgo-email-privacy-tools-allow-link-tracking/",
            "Clicks can still be seen: which links, how often, from where.",
        ),
    ),
    (
        Visit(
            "click",
            "human",
            (*BROWSERS, *WEBMAIL_BROWSERS),
            (HOME, MOBILE, OFFICE),
            starts_s=(10.0, 172_800.0),
            spread="log",
            links=Count((1, 2)),
            gap_s=(3.0, 300.0),
        ),
    ),
)

FAMILIES = (
    BEHIND_APPLE,
    BEHIND_RELAY,
    GMAIL_READER,
    YAHOO_READER,
    SHARED,
    TOR_USER,
    VPN_USER,
    FORWARDER,
    PRIVATE_FORWARD,
)
