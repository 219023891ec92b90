"""People of all speeds, whose requests come from their own programs and addresses.

Few texts publish how fast single people act. The times of opens follow published distributions of
opens after delivery; the times of clicks after an open are mostly assumptions, and wide.
"""

from __future__ import annotations

from tests.corpus.clients import (
    BROWSERS,
    COMPUTERS,
    MAIL_PROGRAMS,
    OLD_BROWSERS,
    PHONE_PROGRAMS,
    PHONES,
    plain,
)
from tests.corpus.model import Companion, Count, Family, Share, Source, Visit
from tests.corpus.networks import HOME, MOBILE, OFFICE

OPENS_BY_HOUR = (
    "Majority of Email Opens Seen Occurring in the First 6 Hours (MarketingCharts)",
    "https://dev.marketingcharts.com/digital-35890",
    "11.1 % of opens in the first hour, 51.8 % within 6 hours, about 78 % within 24.",
)
MEDIAN_CLICK = (
    "2025 Phishing by Industry Benchmarking (KnowBe4, after Verizon's DBIR)",
    "https://www.knowbe4.com/pib-report/introduction?hsLang=en",
    "The median time to a click, once a mail is open, is 21 seconds.",
)

INSTANT = Family(
    "instant_phone_tap",
    "A tap on the phone within three seconds of delivery, as on a sign-in mail",
    "human",
    "person in a hurry",
    (
        Source(*MEDIAN_CLICK),
        Source(
            "warmbly pull request 412: scanner-network filtering for tracking",
            "https://github.com/warmbly/warmbly/pull/412",
            "A person in a program that loads images makes an open and a click from one address, "
            "seconds apart.",
            ("tap.same_address",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            PHONE_PROGRAMS,
            (MOBILE, HOME),
            starts_s=(0.6, 2.0),
            pixel_share=(0.3, 0.9),
        ),
        Visit(
            "tap",
            "human",
            PHONES,
            (MOBILE, HOME),
            starts_s=(0.3, 1.0),
            after="open",
            links=Count((1, 1)),
            same_address=True,
        ),
    ),
)

OFFICE_READER = Family(
    "office_reader",
    "A reader at work who opens within hours and clicks one or two links",
    "human",
    "person",
    (Source(*OPENS_BY_HOUR, ("open.starts_s",)), Source(*MEDIAN_CLICK, ("click.starts_s",))),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (OFFICE, HOME),
            starts_s=(60.0, 86_400.0),
            spread="log",
            pixel_share=(0.4, 1.0),
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
            order="shuffled",
            gap_s=(4.0, 300.0),
            same_address=True,
        ),
    ),
)

NEXT_DAY = Family(
    "next_day_reader",
    "A slow reader, the next day or later",
    "human",
    "person",
    (
        Source(
            "Email engagement over time (D. Test, 10 million sends)",
            "https://denis-test.com/?p=2949",
            "86.3 % of opens by the end of day 1, 96.2 % by day 7; clicks are earlier: 91.7 and "
            "98.1 %.",
            ("open.starts_s",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (*MAIL_PROGRAMS, *PHONE_PROGRAMS),
            (HOME, OFFICE, MOBILE),
            starts_s=(57_600.0, 691_200.0),
            spread="log",
            pixel_share=(0.4, 1.0),
        ),
        Visit(
            "click",
            "human",
            BROWSERS,
            (HOME, OFFICE),
            starts_s=(5.0, 1_800.0),
            spread="log",
            after="open",
            chance_share=(0.5, 1.0),
            links=Count((1, 3)),
            gap_s=(8.0, 900.0),
            same_address=True,
        ),
    ),
)

TEN_TABS = Family(
    "ten_tabs_at_once",
    "A reader who opens every link in a tab, as fast as the hand goes",
    "human",
    "person in a hurry",
    (
        Source(
            "Parallel Browsing Behavior on the Web (J. Huang, R. W. White, HT 2010)",
            "https://doi.acm.org/10.1145/1810617.1810622",
            "Parallel browsing is more prevalent than linear; users switch tabs at least 57.4 % "
            "of the time.",
        ),
        Source(
            "Add easy hack to filter out bot-generated score changes (Marketo ideas)",
            "https://nation.marketo.com/t5/ideas/"
            "add-easy-hack-to-filter-out-bot-generated-score-changes/idi-p/263330",
            "Four links in one second is called nearly impossible for a person.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (HOME, OFFICE),
            starts_s=(30.0, 86_400.0),
            spread="log",
            pixel_share=(0.4, 1.0),
        ),
        Visit(
            "tabs",
            "human",
            COMPUTERS,
            (HOME, OFFICE),
            starts_s=(2.0, 120.0),
            spread="log",
            after="open",
            links=Share((0.8, 1.0)),
            gap_s=(0.35, 2.5),
            same_address=True,
        ),
    ),
)

DOUBLE_CLICK = Family(
    "double_clicker",
    "A person who double-clicks links",
    "human",
    "person in a hurry",
    (
        Source(
            "Double-clicking On The Web (M. Geniar)",
            "https://ma.ttias.be/double-clicking-on-the-web/",
            "People trained by folders double-click links and send every request twice.",
        ),
        Source(
            "Double Click Handling (OpenACS)",
            "https://openacs.org/xowiki/double-click-handling",
            "Many users click twice; a lock of 2 s catches the second click; some send hundreds.",
            ("click.second.offset_s",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (HOME, OFFICE),
            starts_s=(30.0, 172_800.0),
            spread="log",
            pixel_share=(0.3, 1.0),
        ),
        Visit(
            "click",
            "human",
            COMPUTERS,
            (HOME, OFFICE),
            starts_s=(3.0, 300.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            gap_s=(5.0, 120.0),
            same_address=True,
            companions=(
                Companion(
                    "second",
                    "human",
                    COMPUTERS,
                    (HOME,),
                    chance_share=(0.7, 1.0),
                    offset_s=(0.08, 2.0),
                    same_address=True,
                    same_client=True,
                ),
            ),
        ),
    ),
)

SCREEN_READER = Family(
    "screen_reader_user",
    "A person with a screen reader, who walks through a list of links",
    "human",
    "person",
    (
        Source(
            "Summary from WebAIM screen reader survey #9",
            "https://jay.cat/summary-from-webaim-screen-reader-survey-9-(2021)",
            "Chrome 53.6 %, Edge 18.4 %, Firefox 16.5 %; 7.1 % go through the links to find "
            "information.",
            ("click.clients",),
        ),
        Source(
            "github-flavored-markdown issue 66: hidden anchors receive focus",
            "https://www.github.com/mojombo/github-flavored-markdown/issues/66",
            "Screen readers leave aria-hidden links out of their lists of links.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (HOME, OFFICE),
            starts_s=(60.0, 172_800.0),
            spread="log",
            pixel_share=(0.2, 1.0),
        ),
        Visit(
            "click",
            "human",
            COMPUTERS,
            (HOME, OFFICE),
            starts_s=(10.0, 900.0),
            spread="log",
            after="open",
            links=Count((1, 3)),
            gap_s=(5.0, 240.0),
            same_address=True,
        ),
    ),
)

RE_READER = Family(
    "reader_over_weeks",
    "A person who comes back to the mail over weeks",
    "human",
    "person",
    (
        Source(
            "The Lifetime of Email Messages: A Large-Scale Analysis of Email Revisitation",
            "https://paperexplained.cn/articles/paper/detail/"
            "8685976d13b3b3d07ae0cbd11a387718db59a47d",
            "33 % of mails live less than 5 minutes; 73 % of later visits look for information, "
            "such as a link.",
        ),
        Source(
            "Email's short tail (Inntopia)",
            "https://corp.inntopia.com/email-short-tail",
            "Nearly 4 % of opens come more than 30 days after a campaign.",
        ),
    ),
    (
        Visit(
            "open",
            "human",
            (*MAIL_PROGRAMS, *PHONE_PROGRAMS),
            (HOME, OFFICE),
            starts_s=(60.0, 172_800.0),
            spread="log",
            pixel_share=(0.5, 1.0),
            repeats=(1, 5),
            repeat_after_s=(3_600.0, 3_456_000.0),
        ),
        Visit(
            "click",
            "human",
            BROWSERS,
            (HOME, OFFICE, MOBILE),
            starts_s=(5.0, 900.0),
            spread="log",
            after="open",
            links=Count((1, 1)),
            repeats=(1, 4),
            repeat_after_s=(3_600.0, 2_592_000.0),
        ),
    ),
)

IMAGES_OFF = Family(
    "images_off",
    "A person whose program loads no images: a click without an open",
    "human",
    "person",
    (
        Source(
            "Open & Unique Open (Twilio SendGrid)",
            "https://www.twilio.com/docs/sendgrid/glossary/opens.md",
            "Outlook and Thunderbird load no images by default, so that opens are never counted.",
        ),
        Source(*OPENS_BY_HOUR),
    ),
    (
        Visit(
            "click",
            "human",
            COMPUTERS,
            (OFFICE, HOME),
            starts_s=(20.0, 259_200.0),
            spread="log",
            links=Count((1, 2)),
            order="shuffled",
            gap_s=(4.0, 600.0),
        ),
    ),
)

TEXT_READER = Family(
    "text_mail_reader",
    "A person who reads the text part, in a terminal or a plain program",
    "human",
    "person",
    (
        Source(
            "HTML mail in MH-E (GNU Emacs manual)",
            "https://gnu.org/software/emacs/manual/html_node/mh-e/HTML.html",
            "Mails are shown by w3m, links or lynx; images need not be loaded.",
        ),
    ),
    (
        Visit(
            "click",
            "human",
            (
                *OLD_BROWSERS,
                *COMPUTERS,
                plain("w3m/0.5.3"),
                plain("Lynx/2.8.9rel.1 libwww-FM/2.14 SSL-MM/1.4.1"),
            ),
            (HOME, OFFICE),
            starts_s=(30.0, 604_800.0),
            spread="log",
            links=Count((1, 2)),
            gap_s=(10.0, 900.0),
        ),
    ),
)

TWO_DEVICES = Family(
    "two_devices",
    "A person who opens on the phone and clicks later on a computer elsewhere",
    "human",
    "person",
    (
        Source(
            "How are forwards tracked? (Delivra)",
            "https://support.delivra.com/hc/en-us/articles/115000398287-How-are-forwards-tracked-",
            "One person opens the same mail at work and at home, from different addresses.",
        ),
    ),
    (
        Visit(
            "glance",
            "human",
            PHONE_PROGRAMS,
            (MOBILE,),
            starts_s=(5.0, 43_200.0),
            spread="log",
            pixel_share=(0.5, 1.0),
        ),
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (HOME, OFFICE),
            starts_s=(300.0, 172_800.0),
            spread="log",
            after="glance",
            pixel_share=(0.3, 1.0),
        ),
        Visit(
            "click",
            "human",
            COMPUTERS,
            (HOME, OFFICE),
            starts_s=(3.0, 300.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            gap_s=(4.0, 200.0),
            same_address=True,
        ),
    ),
)

OLD_BROWSER = Family(
    "old_browser",
    "A person with a browser that sends no Fetch Metadata",
    "human",
    "person",
    (
        Source(
            "Fetch Metadata: support by browser (MDN data)",
            "https://speced.github.io/mdn-spec-links/fetch-metadata.json",
            "Sec-Fetch-Dest since Chrome 80, Firefox 90, Safari 16.4.",
            ("click.clients",),
        ),
        Source(*OPENS_BY_HOUR, ("open.starts_s",)),
    ),
    (
        Visit(
            "open",
            "human",
            MAIL_PROGRAMS,
            (HOME, OFFICE),
            starts_s=(30.0, 86_400.0),
            spread="log",
            pixel_share=(0.4, 1.0),
        ),
        Visit(
            "click",
            "human",
            OLD_BROWSERS,
            (HOME, OFFICE),
            starts_s=(3.0, 300.0),
            spread="log",
            after="open",
            links=Count((1, 2)),
            gap_s=(4.0, 240.0),
            same_address=True,
        ),
    ),
)

SKIMMER = Family(
    "phone_skimmer",
    "A person on the move who opens at once and taps two or three links",
    "human",
    "person in a hurry",
    (
        Source(
            "Email's short tail (Inntopia)",
            "https://corp.inntopia.com/email-short-tail",
            "27 % of opens within the first hour; clicks follow the same course.",
            ("open.starts_s",),
        ),
    ),
    (
        Visit(
            "open",
            "human",
            PHONE_PROGRAMS,
            (MOBILE,),
            starts_s=(2.0, 3_600.0),
            spread="log",
            pixel_share=(0.5, 1.0),
        ),
        Visit(
            "tap",
            "human",
            PHONES,
            (MOBILE,),
            starts_s=(1.5, 40.0),
            spread="log",
            after="open",
            links=Count((2, 3)),
            gap_s=(2.0, 45.0),
            same_address=True,
        ),
    ),
)

FAMILIES = (
    INSTANT,
    OFFICE_READER,
    NEXT_DAY,
    TEN_TABS,
    DOUBLE_CLICK,
    SCREEN_READER,
    RE_READER,
    IMAGES_OFF,
    TEXT_READER,
    TWO_DEVICES,
    OLD_BROWSER,
    SKIMMER,
)
