"""The allowed chat services: their hosts, and the parameters that a URL may have.

Apprise supports many more. A service that is not listed acts on this machine or its network, reads
files, uses another protocol than HTTP, or sends mail. A parameter is listed if it selects texts,
people or appearance. A parameter that names a host, a URL, a file or a TLS option is never listed.
Hosts are enforced when a connection is made (infra/http/connection_guard.py), whatever a URL says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChatService:
    """One chat service."""

    #: The vendor's hosts; a leading dot stands for all subdomains. Empty if the URL names the host,
    #: which CARILLON_APPRISE_HOSTS must then list.
    hosts: tuple[str, ...]
    #: What a URL may set.
    parameters: frozenset[str]


_VENDORS = """
46elks elks | api.46elks.com | to from
atalk | api.africastalking.com | apikey from mode to batch
bulksms | api.bulksms.com | from route unicode to batch
bulkvs | portal.bulkvs.com | from to batch
burstsms kudosity | api.transmitsms.com | from key secret country validity to batch
chanify | api.chanify.net | token
clickatell | platform.clickatell.com | apikey to from
clicksend | rest.clicksend.com | key to batch
cliq zcliq zohocliq | cliq.zoho.com cliq.zoho.eu cliq.zoho.in cliq.zoho.com.au | to token botname
cm | gw.messaging.cm.com | token from to channels batch
d7sms | api.d7networks.com | source from unicode to batch
dingtalk | oapi.dingtalk.com | to token secret
discord | discord.com | tts avatar footer thread flags fields ping batch
eight00com | api.800.com | token from to
exotel | api.exotel.com api.in.exotel.com | to from sid token apikey key batch unicode priority
feishu | open.feishu.cn | token
flock | api.flock.com api.flock.co | to
freemobile | smsapi.free-mobile.fr |
gchat | chat.googleapis.com | workspace key token thread
github | api.github.com | token labels assignees category
groupme | api.groupme.com | token
gupshup | api.gupshup.io | app key from source to
httpsms | api.httpsms.com | key to from
ifttt | maker.ifttt.com | to
ilert | api.ilert.com | key action dedup priority
incidentio | api.incident.io | token action dedup
join | joinjoaomgcd.appspot.com | priority to
kavenegar | api.kavenegar.com | to from
kook | www.kookapp.cn | token to mode
kumulos | messages.kumulos.com |
lark | open.larksuite.com |
line | api.line.me | to
mobilemessage mobilemsg | api.mobilemessage.com.au | from to unicode batch
msg91 | control.msg91.com | to
msgbird | rest.messagebird.com | to from
nexmo vonage | rest.nexmo.com | from key secret ttl to
notifiarr | notifiarr.com | key apikey event source from to
octopush | api.octopush.com | to login key batch purpose type
onesignal | api.onesignal.com | subtitle language lang to batch
opsgenie | api.opsgenie.com api.eu.opsgenie.com | region priority entity alias tags action to batch
pagerduty | events.pagerduty.com events.eu.pagerduty.com | group class region severity action dedup
pagertree | api.pagertree.com | action thirdparty tid dedup urgency tags
pbul | api.pushbullet.com | to
plivo | api.plivo.com | from token id to batch
pover | api.pushover.net | priority sound interval expire to
prowl | api.prowlapp.com | priority
psafer psafers | www.pushsafer.com | priority sound vibration to
push | push.techulus.com |
pushed | api.pushed.co | to
pushme | push.i-i.me | token push_key status
pushplus wecom | www.pushplus.plus | token to channel topic name
pushy | api.pushy.me | sound badge to key
qq | qmsg.zendee.cn |
reddit | www.reddit.com oauth.reddit.com | kind flair_id flair_text nsfw ad replies spoiler to
revolt | api.revolt.chat | channel bot_token to
ryver | .ryver.com | mode
schan | sctapi.ftqq.com |
serwersms | api2.serwersms.pl | to sender from
seven | gateway.seven.io | source from flash label to
signl4 | connect.signl4.com | service alerting_scenario filtering external_id status
simplepush spush | api.simplepu.sh | priority to
slack | hooks.slack.com hooks.slack-gov.com slack.com | footer blocks timestamp mode token to
smsc | smsc.ru | to sender translit
smsmanager smsmgr | http-api.smsmanager.cz | key from sender gateway to batch
spike | api.spike.sh |
splunk victorops | alert.victorops.com | apikey routing_key route entity_id action
spugpush | push.spug.dev |
squadcast | api.squadcast.com api.eu.squadcast.com | key region action dedup priority
stackfield | www.stackfield.com | token
telesign | rest-ww.telesign.com | key from type to
telnyx | api.telnyx.com | key to from profile
tgram | api.telegram.org | silent preview topic thread mdv to
threema | msgapi.threema.ch | from gwid secret to
twilio | api.twilio.com | from sid token apikey to
twist | api.twist.com | to
viber | chatapi.viber.com | from token to
voipms | voip.ms | to from
webex wxteams | webexapis.com api.ciscospark.com | token mode to
wecombot | qyapi.weixin.qq.com | key
whapi | gate.whapi.cloud | token preview to
whatsapp | graph.facebook.com | from token lang to
wxpusher | wxpusher.zjiecode.com | to token
zalo | bot-api.zaloplatforms.com | to token
zoom | inbots.zoom.us | mode token
zulip | .zulipchat.com | to token
"""

# The URL names the host: the operator must list it as well.
_ANYWHERE = """
apprise apprises | tags to
bark barks | sound level volume badge category group call subtitle copy archive to
form forms | method
gotify gotifys | priority
humhub humhubs | to
json jsons | method
matrix matrixs |
misskey misskeys | token visibility
mmost mmosts | channel channels botname to
nctalk nctalks | silent
ncloud nclouds | to
ntfy ntfys | priority xtags delay mode token auth to
pushdeer pushdeers |
rocket rockets | mode avatar to
signal signals | from to batch
synology synologys | token
toot toots mastodon mastodons | token visibility spoiler language sensitive to
workflow workflows | id pa powerautomate route routeid sig sp sv ver api-version
xml xmls | method
"""


def _rows(text: str) -> Iterable[list[str]]:
    return ([cell.strip() for cell in line.split("|")] for line in text.strip().splitlines())


SERVICES: dict[str, ChatService] = {
    scheme: ChatService(tuple(hosts.split()), frozenset(parameters.split()))
    for schemes, hosts, parameters in _rows(_VENDORS)
    for scheme in schemes.split()
} | {
    scheme: ChatService((), frozenset(parameters.split()))
    for schemes, parameters in _rows(_ANYWHERE)
    for scheme in schemes.split()
}
"""By Apprise's scheme."""

_PREFIXED = ("qsd+", "qsd-", "qsd:")  # prefixes of names that set headers and payload fields


def service_for(parsed: Mapping[str, Any]) -> ChatService | None:
    """Returns the service of a URL that Apprise parsed, if it is listed with all its parameters."""
    service = SERVICES.get(str(parsed.get("schema")))
    if service is None or any(parsed.get(name) for name in _PREFIXED):
        return None
    return service if set(parsed.get("qsd") or ()) <= service.parameters else None


def is_named(host: str, names: Iterable[str]) -> bool:
    """Whether a host is one of these; a leading dot stands for all subdomains."""
    host = host.lower().rstrip(".")
    return any(
        host == name.lower() or (name.startswith(".") and host.endswith(name.lower()))
        for name in names
    )
