"""Compiled template versions: the part of rendering that every message passes through.

A version never changes, so its compiled form stays valid and can be cached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from notifications.domain.channels import Channel
from notifications.domain.errors import TemplateFault
from notifications.domain.messages import Content
from notifications.rendering.defaults import Defaults
from notifications.rendering.engine import CompiledText, root_of
from notifications.rendering.language.filters import FORMATS
from notifications.rendering.language.formats import formats_for
from notifications.rendering.language.links import TemplatePart
from notifications.rendering.language.meter import METER, Meter
from notifications.rendering.lengths.push import push_fitted
from notifications.rendering.mail.skeleton import Unfit
from notifications.rendering.mail_text import PlainText, text_of_html
from notifications.rendering.titles import TITLE_END, marked, one_line

MAX_PLANS = 256
LINK_VARIABLES = ("unsubscribe_url", "preferences_url")
"""Variables that are filled only for templates that read them: each costs a signature."""
_NO_LINKS = dict.fromkeys(LINK_VARIABLES, "")
HTML_FIELD = "email_html_template"
_SUBJECT, _MAIL_TEXT = "email_subject_template", "email_body_template"
FIELDS_OF_CHANNEL: dict[str, tuple[str, ...]] = {
    Channel.PUSH: ("push_template", "in_app_template", "websocket_template"),
    Channel.EMAIL: (HTML_FIELD, _MAIL_TEXT),
    Channel.SMS: ("sms_template",),
    Channel.WEBSOCKET: ("websocket_template", "in_app_template", "push_template"),
    Channel.IN_APP: ("in_app_template", "websocket_template", "push_template"),
    Channel.TELEGRAM: ("telegram_template",),
    Channel.WEBHOOK: ("websocket_template", "in_app_template", "push_template", "sms_template"),
    Channel.CHAT: ("telegram_template", "in_app_template", "push_template", "sms_template"),
}
"""The fields that may serve a channel, in order.

The first is the channel's own; the others serve only a channel that supported_channels names."""


class UserFacts(NamedTuple):
    """The columns of a user that templates need; the pipeline reads them in this order."""

    id: int
    uuid: UUID
    username: str
    email: str
    first_name: str
    last_name: str
    locale: str
    timezone: str
    avatar_url: str
    subscription_tier: str
    date_joined: datetime | None
    last_login: datetime | None
    role: str


def user_context(row: tuple[Any, ...]) -> dict[str, Any]:
    """Returns the `user` of a template's context. row: UserFacts, or a row in their order."""
    return {
        "id": str(row[0]),
        "uuid": str(row[1]),
        "username": row[2],
        "email": row[3],
        "first_name": row[4],
        "last_name": row[5],
        "full_name": f"{row[4]} {row[5]}".strip(),
        "locale": row[6],
        "timezone": row[7],
        "avatar_url": row[8],
        "subscription_tier": row[9],
        "join_date": row[10],
        "last_login": row[11],
        "role": row[12],
    }


_NO_USER = UserFacts(0, UUID(int=0), "", "", "", "", "", "", "", "", None, None, "")
USER_FACTS = tuple(user_context(_NO_USER))
"""The entries of `user` that templates may read."""
_PLAIN_SPACES = {0xA0: " ", 0x202F: " "}  # CLDR's spaces would cost an SMS its 7-bit alphabet


def text_content(title: str, body: str, *, channel: str) -> Content:
    """Returns the content of a notification without a template."""
    title = one_line(title)
    return Content(*(push_fitted(title, body) if channel == Channel.PUSH else (title, body)))


class _Part(NamedTuple):
    """A compiled text, and the locale that its numbers and dates are written in."""

    text: CompiledText
    locale: str
    has_title: bool
    #: The place of `found_in` in the chain of locales.
    rank: int
    #: The locale that has the text.
    found_in: str


class _Plan(NamedTuple):
    """The texts that a channel shows in a locale."""

    #: None for a mail whose text part is converted from its rendered HTML.
    body: _Part | None
    html: _Part | None
    subject: _Part | None
    is_mail: bool
    is_titled: bool
    #: The locale of all parts; empty where they differ.
    locale: str


class CompiledVersion:
    """One published version of a template. Texts are compiled when they are first needed."""

    def __init__(
        self,
        *,
        version_id: int,
        path: str,
        content: Mapping[str, Mapping[str, str]],
        required_variables: Sequence[str],
        supported_channels: Sequence[str],
        default_locale: str,
        parts: Mapping[str, CompiledVersion] | None = None,
        defaults: Defaults | None = None,
        is_proved: bool = False,
    ) -> None:
        """Creates a version; nothing is compiled yet.

        parts are the versions that the texts are built with, by the paths that the texts name.
        is_proved: this release rendered the version's example within the limits.
        """
        self.version_id = version_id
        self.is_proved = is_proved
        self.defaults = defaults or Defaults()
        self._parts = parts or {}
        self.path = path
        self.on_the_wire: Any = None  # a cache of pool/render_client.py
        self.required_variables = tuple(required_variables)
        self.default_locale = _normal(default_locale)
        self._content = {_normal(locale): texts for locale, texts in content.items()}
        self._listed = frozenset(supported_channels)
        self._roots = tuple((name, root_of(name)) for name in required_variables)
        self._texts: dict[tuple[str, str], CompiledText] = {}
        self._plans: dict[tuple[str, str], _Plan] = {}
        self._channels = frozenset(each for each in Channel if self.field_of(each))
        self.links_back = self._mentions(LINK_VARIABLES)

    @property
    def content(self) -> Mapping[str, Mapping[str, str]]:
        """The texts by locale and field."""
        return self._content

    @property
    def parts(self) -> Mapping[str, CompiledVersion]:
        """The versions that the texts are built with, by path."""
        return self._parts

    @property
    def listed(self) -> frozenset[str]:
        """The channels that the author named; empty: the texts decide."""
        return self._listed

    @property
    def channels(self) -> list[str]:
        """The channels that this version has a text for."""
        return [channel.value for channel in Channel if channel in self._channels]

    @property
    def locales(self) -> list[str]:
        """The locales that have texts of their own, the default first."""
        return sorted(self._content, key=lambda each: (each != self.default_locale, each))

    def supports(self, channel: str) -> bool:
        """Returns whether a message on this channel can be rendered."""
        return channel in self._channels

    def missing_variables(self, context: Mapping[str, Any]) -> list[str]:
        """Returns the required variables that a context lacks; dotted names count as their root."""
        return [name for name, root in self._roots if root not in context]

    def variables(self) -> set[str]:
        """Returns every variable that any text of this version reads."""
        found: set[str] = set()
        for locale, texts in self._content.items():
            for field, source in texts.items():
                if source:
                    found |= self.text(field, locale).variables
        return found

    def precompile(self) -> int:
        """Compiles every text now; returns their number.

        Raises:
            TemplateFault: a text cannot be compiled.
        """
        self.variables()
        if self.supports(Channel.EMAIL):
            for locale in self.locales:
                self._plan(Channel.EMAIL, locale)  # compiles text parts that are made from HTML
        return len(self._texts)

    def render(
        self, *, channel: str, locale: str, context: dict[str, Any], fit: bool = True
    ) -> Content:
        """Renders a message for its channel; with `fit`, a push is cut to the size of its payload.

        context holds user, current_time, app_name, app_url and the caller's variables. The text is
        the first found in the locale, its language, the template's default and the service's.

        Raises:
            TemplateFault: missing_variable, template_error, or channel_not_in_template.
        """
        plan = self._plans.get((channel, locale)) or self._plan(channel, locale)
        user = context.get("user")
        zone = (user.get("timezone") if user else "") or self.defaults.timezone
        formats = formats_for(plan.locale or locale, zone)
        defaults = _NO_LINKS if self.links_back else {}
        context = {**defaults, **context, FORMATS: formats, METER: Meter()}
        if plan.is_mail:
            return _mail(plan, context, zone)
        body, title = _show(plan.body, plan, context, zone), ""
        if plan.body and plan.body.has_title and TITLE_END in body:
            head, _, body = body.partition(TITLE_END)
            title = one_line(head)
        elif plan.subject is not None:
            title = one_line(_show(plan.subject, plan, context, zone))
        if channel == Channel.SMS:
            body = body.translate(_PLAIN_SPACES)
        if plan.is_titled and not title:
            title = str(context.get("app_name") or "")
        if fit and channel == Channel.PUSH:
            return Content(*push_fitted(title, body.strip()))
        return Content(title=title, body=body.strip())

    def _mentions(self, names: Sequence[str]) -> bool:
        """Returns whether any text, of this version or its parts, may read one of the variables."""
        sources = (source for texts in self._content.values() for source in texts.values())
        if any(name in source for source in sources for name in names):
            return True
        return any(part._mentions(names) for part in self._parts.values())

    def text_locale(self, channel: str, locale: str) -> str:
        """Returns the locale of the text that a channel shows to a reader of a locale."""
        plan = self._plans.get((channel, locale)) or self._plan(channel, locale)
        part = plan.body or plan.html or plan.subject
        return part.found_in if part else self.default_locale

    def field_of(self, channel: str) -> str | None:
        """Returns the field that serves a channel; None when none holds a text in any locale."""
        fields = FIELDS_OF_CHANNEL[channel]
        if self._listed and channel not in self._listed:
            return None
        if not self._listed and channel != Channel.EMAIL:
            fields = () if channel in (Channel.WEBHOOK, Channel.CHAT) else fields[:1]
        held = [f for f in fields if any(texts.get(f) for texts in self._content.values())]
        return held[0] if held else None

    def _plan(self, channel: str, locale: str) -> _Plan:
        field = self.field_of(channel) if channel in self._channels else None
        if field is None:
            raise TemplateFault(
                f"template {self.path} has no text for {channel}", code="channel_not_in_template"
            )
        is_mail = channel == Channel.EMAIL
        body = self._part(_MAIL_TEXT if is_mail else field, locale)
        html = self._part(HTML_FIELD, locale) if is_mail else None
        if body and html and html.rank < body.rank:
            body = None  # the HTML is in the reader's language, so the text part is made from it
        if html and body is None:
            body = self._plain(html)
        is_titled = not is_mail and channel != Channel.SMS
        needs_subject = is_mail or (is_titled and not (body and body.has_title))
        subject = self._part(_SUBJECT, locale) if needs_subject else None
        locales = {part.locale for part in (body, html, subject) if part}
        shared = locales.pop() if len(locales) == 1 else ""
        plan = _Plan(body, html, subject, is_mail, is_titled, shared)
        if len(self._plans) >= MAX_PLANS:
            self._plans.clear()
        self._plans[channel, locale] = plan
        return plan

    def _plain(self, html: _Part) -> _Part | None:
        """Returns the text part made from the HTML; None where each rendered page is converted."""
        try:
            text = PlainText(
                self._content[html.found_in][HTML_FIELD],
                html=True,
                name=html.text.name,
                library=_VersionLibrary(self, HTML_FIELD, html.found_in),
                path=self.path,
            )
        except Unfit:
            return None
        return html._replace(text=text)

    def _part(self, field: str, locale: str) -> _Part | None:
        wanted = _normal(locale)
        language = wanted.partition("_")[0]
        for rank, tried in enumerate(self._chain(wanted)):
            source = self._content.get(tried, {}).get(field)
            if source:
                shown_in = wanted if tried.partition("_")[0] == language else tried
                text = self.text(field, tried)
                return _Part(text, shown_in, text.is_titled, rank, tried)
        return None

    def _chain(self, locale: str) -> list[str]:
        service = _normal(self.defaults.locale)
        names: list[str] = []
        for name in (locale, self.default_locale, service):
            names += [name, name.partition("_")[0]]
        # Every other locale comes last, so that a supported channel always has some text.
        return list(dict.fromkeys([*names, *self.locales]))

    def text(self, field: str, locale: str) -> CompiledText:
        """Returns the compiled text of a field in a locale that has it.

        Raises:
            TemplateFault: it cannot be compiled, or names a template that does not exist.
        """
        locale = _normal(locale)
        found = self._texts.get((field, locale))
        if found is None:
            found = CompiledText(
                marked(field, self._content[locale][field]),
                html=field == HTML_FIELD,
                name=f"{field} ({locale})",
                library=_VersionLibrary(self, field, locale),
                path=self.path,
            )
            self._texts[field, locale] = found
        return found

    def part(self, path: str, field: str, locale: str, *, layout: bool) -> TemplatePart | None:
        """Returns the text of the template at `path` that serves a field of this one in a locale.

        Raises:
            TemplateFault: unknown_reference, when it has no text for the field in any locale.
        """
        version = self._parts.get(path)
        if version is None:
            return None
        for tried in version._chain(locale):
            source = version._content.get(tried, {}).get(field)
            if source:
                source = marked(field, source) if layout else source
                name = f"{field} ({tried}) of {path}"
                return TemplatePart(name, path, source, _VersionLibrary(version, field, locale))
        raise TemplateFault(f"template {path} has no {field}", code="unknown_reference", path=path)


class _VersionLibrary(NamedTuple):
    """Finds the templates that a version's text names, in the same field and language."""

    version: CompiledVersion
    field: str
    locale: str

    def part(self, path: str, *, layout: bool) -> TemplatePart | None:
        return self.version.part(path, self.field, self.locale, layout=layout)


compile_version = CompiledVersion


def _normal(locale: str) -> str:
    """Returns a locale as `pt_BR`: the language in lower case, the territory in upper case."""
    language, _, rest = locale.replace("-", "_").partition("_")
    territory = rest.upper() if len(rest) == 2 else rest.title()
    return f"{language.lower()}_{territory}" if rest else language.lower()


def _show(part: _Part | None, plan: _Plan, context: dict[str, Any], zone: str) -> str:
    if part is None:
        return ""
    if not plan.locale:
        context = {**context, FORMATS: formats_for(part.locale, zone)}
    return part.text.render(context)


def _mail(plan: _Plan, context: dict[str, Any], zone: str) -> Content:
    subject = one_line(_show(plan.subject, plan, context, zone))
    html = _show(plan.html, plan, context, zone)
    body = _show(plan.body, plan, context, zone) if plan.body else text_of_html(html)
    return Content(
        title=subject or str(context.get("app_name") or ""), body=body.strip(), html=html
    )
