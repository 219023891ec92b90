"""Programs that send requests: browsers and mail programs of people, and named machines.

The user agents of machines are the strings that the families' sources print. Browser strings
follow the fixed forms that browsers publish; the version in each is one of many.
Headers: Sec-Fetch-* as in W3C Fetch Metadata (MDN, "Sec-Fetch-User": sent only after a user's
activation), Sec-Purpose as in MDN "Sec-Purpose".
"""

from __future__ import annotations

from tests.corpus.model import Client, Headers

PAGE_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
IMAGE_ACCEPT = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8"


def page_headers(site: str, *, user: bool = True, referer: str | None = None) -> Headers:
    """Returns a browser's headers of a navigation. `site` is the value of Sec-Fetch-Site."""
    headers = [
        ("Accept", PAGE_ACCEPT),
        ("Accept-Language", "en-US,en;q=0.9"),
        ("Accept-Encoding", "gzip, deflate, br"),
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Site", site),
    ]
    if user:
        headers.append(("Sec-Fetch-User", "?1"))
    if referer is not None:
        headers.append(("Referer", referer))
    return tuple(headers)


FROM_PROGRAM = page_headers("none")
"""A link opened by a mail program: the browser knows no page before it."""
FROM_WEBMAIL = page_headers("cross-site")
SAFARI_FROM_PROGRAM = page_headers("none", user=False)
SAFARI_FROM_WEBMAIL = page_headers("cross-site", user=False)
"""Safari never sends Sec-Fetch-User (mdn/browser-compat-data issue 27928)."""
IMAGE_IN_PROGRAM: Headers = (("Accept", IMAGE_ACCEPT), ("Accept-Language", "en-US,en;q=0.9"))
BARE: Headers = (("Accept", "*/*"),)
BARE_PAGE: Headers = (("Accept", PAGE_ACCEPT), ("Accept-Encoding", "gzip, deflate"))

CHROME_WINDOWS_UA = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
CHROME_MAC_UA = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)
EDGE_UA = CHROME_WINDOWS_UA + " Edg/131.0.0.0"
FIREFOX_UA = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE_UA = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
ANDROID_UA = (
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Mobile Safari/537.36"
)

CHROME_WINDOWS = Client("Chrome on Windows", CHROME_WINDOWS_UA, FROM_PROGRAM, IMAGE_IN_PROGRAM)
CHROME_MAC = Client("Chrome on macOS", CHROME_MAC_UA, FROM_PROGRAM, IMAGE_IN_PROGRAM)
EDGE = Client("Edge on Windows", EDGE_UA, FROM_PROGRAM, IMAGE_IN_PROGRAM)
FIREFOX = Client("Firefox on Windows", FIREFOX_UA, FROM_PROGRAM, IMAGE_IN_PROGRAM)
IPHONE = Client("Safari on an iPhone", IPHONE_UA, SAFARI_FROM_PROGRAM, IMAGE_IN_PROGRAM)
ANDROID = Client("Chrome on Android", ANDROID_UA, FROM_PROGRAM, IMAGE_IN_PROGRAM)
PHONES = (IPHONE, ANDROID)
COMPUTERS = (CHROME_WINDOWS, CHROME_MAC, EDGE, FIREFOX)
BROWSERS = COMPUTERS + PHONES
WEBMAIL_BROWSERS = tuple(
    Client(
        f"{each.name}, from webmail",
        each.user_agent,
        SAFARI_FROM_WEBMAIL if each is IPHONE else FROM_WEBMAIL,
        each.image,
    )
    for each in BROWSERS
)
OLD_BROWSERS = (
    Client("a browser without Fetch Metadata", FIREFOX_UA, BARE_PAGE, IMAGE_IN_PROGRAM),
    Client(
        "Safari before 16.4",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
        "(KHTML, like Gecko) Version/15.6 Safari/605.1.15",
        BARE_PAGE,
        IMAGE_IN_PROGRAM,
    ),
)
TOR_BROWSER = Client(
    "Tor Browser",
    "Mozilla/5.0 (Windows NT 10.0; rv:102.0) Gecko/20100101 Firefox/102.0",
    FROM_WEBMAIL,
    IMAGE_IN_PROGRAM,
)

OUTLOOK_IMAGES = Client(
    "Outlook's images",
    "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
    image=BARE,
)
THUNDERBIRD = Client(
    "Thunderbird's images",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.0",
    image=IMAGE_IN_PROGRAM,
)
APPLE_MAIL_MAC = Client(
    "Apple Mail's images, unprotected, macOS",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)",
    image=IMAGE_IN_PROGRAM,
)
APPLE_MAIL_PHONE = Client(
    "Apple Mail's images, unprotected, iPhone",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Mobile/15E148",
    image=IMAGE_IN_PROGRAM,
)
MAIL_PROGRAMS = (OUTLOOK_IMAGES, THUNDERBIRD, APPLE_MAIL_MAC)
PHONE_PROGRAMS = (APPLE_MAIL_PHONE,)

GOOGLE_IMAGE_PROXY = Client(
    "Gmail's image proxy",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    image=(("Accept-Encoding", "gzip,deflate,br"),),
)
GMAIL_PREFETCH = Client(
    "Gmail's prefetch",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0",
    image=BARE,
)
YAHOO_PROXY = Client(
    "Yahoo's image proxy",
    "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
    image=BARE,
)
APPLE_PRIVACY = Client("Apple Mail Privacy Protection", "Mozilla/5.0", image=BARE)

NO_AGENT = Client("no user agent", None, BARE, BARE)
HEADLESS = Client(
    "headless Chrome",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "HeadlessChrome/120.0.0.0 Safari/537.36",
    page_headers("none"),
    IMAGE_IN_PROGRAM,
)
DISGUISED = (
    CHROME_WINDOWS,
    CHROME_MAC,
    IPHONE,
    Client("a scanner named as Chrome", CHROME_WINDOWS_UA, BARE_PAGE, BARE),
    Client("a scanner named as Edge", EDGE_UA, BARE, BARE),
    Client("a scanner that a script drives", CHROME_MAC_UA, page_headers("none", user=False)),
)
"""Machines that give a browser's user agent; some send all headers of a real browser, too."""


def plain(user_agent: str, headers: Headers = BARE) -> Client:
    """Returns a machine that sends its own name and these headers for pages and images alike."""
    return Client(user_agent, user_agent, headers, headers)
