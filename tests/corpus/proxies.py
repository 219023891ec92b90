"""Image proxies: those that fetch before a person looks, and those that fetch when one does."""

from __future__ import annotations

from tests.corpus.clients import APPLE_PRIVACY, GMAIL_PREFETCH, GOOGLE_IMAGE_PROXY, YAHOO_PROXY
from tests.corpus.model import ALWAYS, Family, Source, Visit
from tests.corpus.networks import APPLE_RELAY, DATA_CENTRE, GOOGLE

APPLE = Family(
    "apple_mail_privacy",
    "Apple Mail Privacy Protection, all images loaded unread",
    "machine",
    "image proxy",
    (
        Source(
            "Identifying Apple MPP opens (SocketLabs)",
            "https://help.socketlabs.com/docs/"
            "identifying-apple-mpp-opens-in-notification-api-events",
            "When the program starts and battery and network allow it, all images are loaded at "
            "once, through at least two proxies.",
            ("load.pixel_share",),
        ),
        Source(
            "3 observations from iOS 15's Mail Privacy Protection public beta (Cordial)",
            "https://cordial.com/resources/"
            "observations-apple-ios-15-mail-privacy-protection-public-beta/",
            "Every image of the message is retrieved, whatever its size, place or address.",
            ("load.pixel_share",),
        ),
        Source(
            "iCloud Private Relay egress addresses (MISP warning lists, issue 260)",
            "https://www.github.com/MISP/misp-warninglists/issues/260",
            "Apple publishes the relay's addresses; the same proxies are expected for mail.",
            ("load.networks",),
        ),
    ),
    (
        Visit(
            "load",
            "machine",
            (APPLE_PRIVACY,),
            (APPLE_RELAY,),
            starts_s=(1.0, 172_800.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
    ),
)

GMAIL_BEFORE = Family(
    "gmail_prefetch",
    "Gmail, images loaded in an open session before the mail is shown",
    "machine",
    "image proxy",
    (
        Source(
            "Gmail Is Prefetching Images, Leading to Marginally Inflated Opens (SparkPost)",
            "https://www.sparkpost.com/blog/gmail-prefetching-images/",
            "Only while the person's session is open, from a Google address, with one exact user "
            "agent; 1 to 6 % of Gmail opens; no link is fetched.",
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
    ),
)

GMAIL_AT_DELIVERY = Family(
    "gmail_proxy_at_delivery",
    "Gmail's image proxy, images loaded seconds after delivery",
    "machine",
    "image proxy",
    (
        Source(
            "gophish issue 1390: Gmail's image caching flags mails as opened",
            "https://github.com/gophish/gophish/issues/1390",
            "Within seconds of arrival the pixel is loaded by GoogleImageProxy with the headers "
            "host, connection, user-agent, accept-encoding, and nothing else.",
            ("load.clients",),
        ),
        Source(
            "IP ranges for Google, Amazon etc (a gist)",
            "https://gist.github.com/victorelec14/25ccc5c0727b0e4936c23d936b60a22c",
            "Google's blocks are the TXT record of _netblocks.google.com.",
            ("load.networks",),
        ),
    ),
    (
        Visit(
            "load",
            "machine",
            (GOOGLE_IMAGE_PROXY,),
            (GOOGLE,),
            starts_s=(0.5, 15.0),
            pixel_share=ALWAYS,
        ),
    ),
)

GMAIL_ON_OPEN = Family(
    "gmail_proxy_on_open",
    "A person who opens the mail in Gmail, images by the proxy",
    "human",
    "image proxy",
    (
        Source(
            "Gmail deploys image proxy servers (Word to the Wise)",
            "http://blog.wordtothewise.com/2013/12/gmail-deploys-image-proxy-servers/",
            "The first load is made when the mail is opened and can be seen; later ones come from "
            "the cache.",
            ("open.pixel_share",),
        ),
        Source(
            "What is Google Image Proxy? (ScientiaMobile)",
            "https://www.scientiamobile.com/what-is-google-image-proxy/",
            "The user agent; since 2018 the requests are counted as a mail client's, not a "
            "robot's.",
            ("open.clients",),
        ),
        Source(
            "Majority of Email Opens Seen Occurring in the First 6 Hours (MarketingCharts)",
            "https://dev.marketingcharts.com/digital-35890",
            "51.8 % of opens within 6 hours, about 78 % within 24; a half-life of two weeks.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (GOOGLE_IMAGE_PROXY,),
            (GOOGLE,),
            starts_s=(20.0, 604_800.0),
            spread="log",
            pixel_share=ALWAYS,
        ),
    ),
)

YAHOO_ON_OPEN = Family(
    "yahoo_proxy_on_open",
    "A person who opens the mail in Yahoo or AOL, images by the proxy",
    "human",
    "image proxy",
    (
        Source(
            "Why do I see a spike in Yahoo! Mail opens? (Litmus)",
            "https://litmus.com/help/analytics/why-do-i-see-a-spike-in-yahoo-mail-opens/",
            "Yahoo and AOL share a proxy, which for a time tried a pixel up to 4 times.",
            ("open.repeats",),
        ),
        Source(
            "How Yahoo's Image Caching Will Impact Your Email Marketing Metrics (Validity)",
            "https://www.validity.com/"
            "how-yahoos-image-caching-will-impact-your-email-marketing-metrics/",
            "Only the first open of the webmail or the app is seen, from Yahoo's servers.",
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
            starts_s=(20.0, 604_800.0),
            spread="log",
            pixel_share=ALWAYS,
            repeats=(0, 3),
            repeat_after_s=(0.2, 5.0),
        ),
    ),
)

FAMILIES = (APPLE, GMAIL_BEFORE, GMAIL_AT_DELIVERY, GMAIL_ON_OPEN, YAHOO_ON_OPEN)
