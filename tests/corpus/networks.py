"""Networks that requests come from: published blocks, and blocks of documentation for the rest.

A published block is one that its owner publishes, or that a public list repeats from its owner.
A network whose blocks no one publishes gets blocks of RFC 5737 or RFC 3849. These say nothing
about the real network, so a classifier cannot find it in a list, as in reality.
"""

from __future__ import annotations

from tests.corpus.model import Network

MICROSOFT_365 = Network(
    "Microsoft 365",
    "published",
    ("40.92.0.0/15", "40.107.0.0/16", "52.96.0.0/12", "104.47.0.0/17"),
    "https://learn.microsoft.com/en-us/microsoft-365/enterprise/urls-and-ip-address-ranges",
)
MICROSOFT_TEAMS = Network(
    "Microsoft Teams and Skype",
    "published",
    ("52.112.0.0/14", "52.122.0.0/15"),
    "https://learn.microsoft.com/en-us/microsoft-365/enterprise/urls-and-ip-address-ranges",
)
MIMECAST = Network(
    "Mimecast",
    "published",
    ("205.139.110.0/24", "205.139.111.0/24", "207.211.30.0/24", "207.211.31.0/25"),
    "https://excelmicro.kayako.com/en-us/article/384-mimecast-data-centers-and-urls-north-american",
)
PROOFPOINT = Network(
    "Proofpoint",
    "published",
    ("62.209.50.0/24", "91.209.104.0/24", "208.84.64.0/22", "208.86.200.0/22", "67.231.144.0/20"),
    "https://proofpoint.my.site.com/support/PPSup_SupportInfo",
)
BARRACUDA = Network(
    "Barracuda",
    "published",
    ("209.222.80.0/21",),
    "https://campus.barracuda.com/product/emailgatewaydefense/doc/96023004/ip-analysis-inbound/",
)
GOOGLE = Network(
    "Google",
    "published",
    ("64.233.160.0/19", "66.102.0.0/20", "66.249.80.0/20", "74.125.0.0/16"),
    "https://gist.github.com/victorelec14/25ccc5c0727b0e4936c23d936b60a22c",
)
GOOGLEBOT = Network(
    "Googlebot",
    "published",
    ("66.249.64.0/19",),
    "https://developers.google.com/static/search/apis/ipranges/googlebot.json",
)
BINGBOT = Network(
    "Bingbot",
    "published",
    ("157.55.39.0/24", "207.46.13.0/24", "40.77.167.0/24", "13.66.139.0/24"),
    "https://www.bing.com/toolbox/bingbot.json",
)
APPLE_RELAY = Network(
    "iCloud Private Relay",
    "published",
    ("172.224.226.0/27", "172.224.226.96/28", "172.224.226.128/28", "172.224.227.0/27"),
    "https://mask-api.icloud.com/egress-ip-ranges.csv",
)
AMAZON = Network(
    "Amazon Web Services",
    "published",
    ("18.232.0.0/14",),
    "https://ip-ranges.amazonaws.com/ip-ranges.json",
)
TELEGRAM = Network(
    "Telegram",
    "published",
    ("149.154.160.0/20", "91.108.4.0/22"),
    "https://core.telegram.org/resources/cidr.txt",
)
FACEBOOK = Network(
    "Facebook",
    "published",
    ("31.13.24.0/21", "31.13.64.0/18"),
    "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers/",
)
TOR_EXITS = Network(
    "Tor exits",
    "published",
    ("23.128.248.160/28", "23.129.64.160/27", "23.129.64.192/27"),
    "https://check.torproject.org/exit-addresses",
)

DATA_CENTRE = Network("a data centre", "data-centre", ("198.51.100.0/24", "2001:db8:f000::/36"))
HOME = Network("a home line", "home", ("203.0.113.0/25", "2001:db8:1000::/36"))
MOBILE = Network("a mobile network", "mobile", ("203.0.113.128/26", "2001:db8:2000::/36"))
OFFICE = Network("an office", "office", ("192.0.2.0/25",))
SHARED_OFFICE = Network("an office's one address", "office", ("192.0.2.10/32",))
VPN_EXIT = Network("an exit of a VPN", "anonymous", ("192.0.2.128/25",))

NETWORKS = tuple(value for value in vars().copy().values() if isinstance(value, Network))
