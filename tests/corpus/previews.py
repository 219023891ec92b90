"""Machines: previews of a link that the person pastes from the mail into a chat or a post.

The person's act sets them off, but it is not an open or a click: the truth is "machine".
"""

from __future__ import annotations

from tests.corpus.clients import BARE, BARE_PAGE, plain
from tests.corpus.model import Client, Count, Family, Network, Source, Visit, Whole
from tests.corpus.networks import (
    AMAZON,
    DATA_CENTRE,
    FACEBOOK,
    HOME,
    MICROSOFT_TEAMS,
    MOBILE,
    TELEGRAM,
)

WHAT_PREVIEWS_LEAK = (
    "What link previews leak (A. DeVera)",
    "https://blog.aaronsdevera.com/posts/20230921-what-link-previews-leak",
)
USER_AGENTS = (
    "crawler-user-agents 1.67.0 (M. Monperrus and others)",
    "https://github.com/monperrus/crawler-user-agents",
)


def preview(
    name: str,
    title: str,
    sources: tuple[Source, ...],
    clients: tuple[Client, ...],
    networks: tuple[Network, ...],
    repeats: Whole = (0, 1),
) -> Family:
    """Returns a family that fetches one pasted link. Times are one assumption for all."""
    visit = Visit(
        "preview",
        "machine",
        clients,
        networks,
        starts_s=(20.0, 1_209_600.0),
        spread="log",
        links=Count((1, 1)),
        repeats=repeats,
        repeat_after_s=(0.1, 10.0),
    )
    return Family(name, title, "machine", "link preview", sources, (visit,))


SLACK = preview(
    "slack_preview",
    "Slack unfurls a link",
    (
        Source(
            "Slackbot blocked (OpenGraph+)",
            "https://opengraphplus.com/consumers/slack/issues/slackbot-blocked",
            "From changing addresses of Amazon, with a Range header and no JavaScript.",
            ("preview.networks",),
        ),
        Source(
            "Why is every link I share in Slack getting pinged? (Netspinnr)",
            "https://netspinnr.com/blog/arcane-tech-stuff-working-with-large-csvs-in-sqlite/",
            "A GET of every posted link by Slackbot-LinkExpanding 1.0.",
            ("preview.clients", "preview.links"),
        ),
    ),
    (
        plain(
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            (*BARE, ("Range", "bytes=0-32768")),
        ),
    ),
    (AMAZON,),
)
TELEGRAM_PREVIEW = preview(
    "telegram_preview",
    "Telegram previews a link",
    (
        Source(
            *WHAT_PREVIEWS_LEAK,
            "Telegram fetches from a data centre and names itself.",
        ),
        Source(*USER_AGENTS, "The user agent.", ("preview.clients",)),
        Source(
            "Telegram's networks",
            "https://core.telegram.org/resources/cidr.txt",
            "The blocks of Telegram.",
            ("preview.networks",),
        ),
    ),
    (plain("TelegramBot (like TwitterBot)"),),
    (TELEGRAM,),
)
WHATSAPP = preview(
    "whatsapp_preview",
    "WhatsApp previews a link on the sender's phone",
    (
        Source(
            *WHAT_PREVIEWS_LEAK,
            "WhatsApp fetches from the sender's address and names itself.",
            ("preview.networks",),
        ),
        Source(
            "How does WhatsApp show link previews despite encryption? (a translated answer)",
            "https://isolution.pro/pt/q/sc13237878/"
            "como-o-whatsapp-mostra-visualizacoes-de-links-apesar-da-criptografia-e2e",
            "The sender's program fetches while the sender types, so an address may come more "
            "than once.",
        ),
        Source(*USER_AGENTS, "The form of the user agent.", ("preview.clients",)),
    ),
    (plain("WhatsApp/2.23.20.0"), plain("WhatsApp/0.3.4479 N")),
    (MOBILE, HOME),
    (0, 4),
)
IMESSAGE = preview(
    "imessage_preview",
    "iMessage previews a link on the sender's device",
    (
        Source(
            "When is iMessage not iMessage? (P. Upfold)",
            "https://peter.upfold.org.uk/blog/2019/02/23/"
            "when-is-imessage-not-imessage-when-its-facebookexternalhit-1-1/",
            "The user agent borrows Facebook's and Twitter's names; the address is the sender's.",
            ("preview.clients", "preview.networks"),
        ),
    ),
    (
        plain(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) AppleWebKit/601.2.4 (KHTML, like "
            "Gecko) Version/9.0.1 Safari/601.2.4 facebookexternalhit/1.1 Facebot Twitterbot/1.0",
            BARE_PAGE,
        ),
    ),
    (HOME, MOBILE),
)
TEAMS = preview(
    "teams_preview",
    "Teams or Skype previews a link",
    (
        Source(
            *USER_AGENTS,
            "The user agent of Skype and Teams.",
            ("preview.clients",),
        ),
        Source(
            "Microsoft 365 URLs and IP address ranges",
            "https://learn.microsoft.com/en-us/microsoft-365/enterprise/urls-and-ip-address-ranges",
            "The blocks of Teams and Skype.",
            ("preview.networks",),
        ),
    ),
    (plain("Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5"),),
    (MICROSOFT_TEAMS,),
)
LINKEDIN = preview(
    "linkedin_preview",
    "LinkedIn previews a posted link",
    (
        Source(
            *USER_AGENTS,
            "The user agents.",
            ("preview.clients",),
        ),
        Source(
            "Why your deck analytics are wrong (HummingDeck)",
            "https://hummingdeck.com/en/blog/why-your-deck-analytics-are-wrong",
            "LinkedInBot fetches a pasted link at once and names itself.",
        ),
    ),
    (
        plain(
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)"
        ),
    ),
    (DATA_CENTRE,),
)
FACEBOOK_PREVIEW = preview(
    "facebook_preview",
    "Facebook, Messenger or Instagram previews a link",
    (
        Source(
            "Meta Web Crawlers",
            "https://developers.facebook.com/docs/sharing/webmasters/web-crawlers/",
            "The user agents and the network AS32934.",
            ("preview.clients", "preview.networks"),
        ),
        Source(
            "Link Previews: How a Simple Feature Can Have Privacy and Security Risks (Mysk)",
            "https://www.mysk.blog/2020/10/25/link-previews/",
            "Servers download every link sent in a direct message.",
        ),
    ),
    (
        plain("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)"),
        plain("facebookexternalhit/1.1"),
    ),
    (FACEBOOK,),
    (0, 3),
)
DISCORD = preview(
    "discord_preview",
    "Discord previews a link",
    (
        Source(*WHAT_PREVIEWS_LEAK, "Discord fetches from a data centre and names itself."),
        Source(*USER_AGENTS, "The user agent.", ("preview.clients",)),
    ),
    (plain("Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)"),),
    (DATA_CENTRE,),
)
YAHOO_LINK = preview(
    "yahoo_link_preview",
    "Yahoo Mail previews a link that is pasted in a reply",
    (
        Source(
            "Yahoo Link Preview (PlainSignal)",
            "https://plainsignal.com/agents/yahoo-link-preview",
            "Fetched on demand when a link is in a message, typically once per address.",
        ),
        Source(*USER_AGENTS, "The user agent.", ("preview.clients",)),
    ),
    (
        plain(
            "Mozilla/5.0 (compatible; Yahoo Link Preview; "
            "https://help.yahoo.com/kb/mail/yahoo-link-preview-SLN23615.html)"
        ),
    ),
    (DATA_CENTRE,),
)

FAMILIES = (
    SLACK,
    TELEGRAM_PREVIEW,
    WHATSAPP,
    IMESSAGE,
    TEAMS,
    LINKEDIN,
    FACEBOOK_PREVIEW,
    DISCORD,
    YAHOO_LINK,
)
