"""Reviews a template's texts before any message uses them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from notifications.domain.channels import ADDRESS_CHANNELS
from notifications.domain.errors import MOST_ERRORS, FieldError, TemplateFault
from notifications.features.templates.report_schemas import LocaleGap, TextFault
from notifications.features.templates.trials import TriedText
from notifications.models import CONTENT_FIELDS
from notifications.rendering.engine import root_of
from notifications.rendering.language.reads import Names
from notifications.rendering.lengths.push import MAX_PUSH_BYTES
from notifications.rendering.render import LINK_VARIABLES, USER_FACTS, CompiledVersion

AMBIENT_VARIABLES = frozenset({"user", "current_time", "app_name", "app_url", *LINK_VARIABLES})
CHANNEL_OF_FIELD = {name: name.split("_template")[0].split("_")[0] for name in CONTENT_FIELDS} | {
    "in_app_template": "in_app"
}
Content = Mapping[str, Mapping[str, str]]


@dataclass(slots=True)
class TextReview:
    """The findings about a template's texts."""

    errors: list[FieldError] = field(default_factory=list)
    #: The errors of texts, with line and column.
    faults: list[TextFault] = field(default_factory=list)
    #: The roots of all variables that are read.
    used: set[str] = field(default_factory=set)
    #: Variables that are declared as required and read nowhere.
    unused: list[str] = field(default_factory=list)
    #: Variables that are read and not declared.
    extra: list[str] = field(default_factory=list)
    #: Entries read of `user` that a user does not have.
    unknown: list[str] = field(default_factory=list)
    gaps: list[LocaleGap] = field(default_factory=list)
    #: By channel: the entries of `user` without which a notification to a plain address fails.
    of_user: dict[str, set[str]] = field(default_factory=dict)
    #: Further sentences for the author.
    notes: list[str] = field(default_factory=list)

    def placed(self, errors: Iterable[FieldError]) -> list[TextFault]:
        """Returns the errors, with line and column where they are known."""
        known = {(fault.path, fault.detail): fault for fault in self.faults}
        return [
            known.get((each.path, each.detail))
            or TextFault(path=each.path, code=each.code, detail=each.detail)
            for each in islice(errors, MOST_ERRORS)
        ]

    @property
    def warnings(self) -> list[str]:
        """Warnings for the author, as sentences."""
        return [
            *(f"the required variable {name} is used in no text" for name in self.unused),
            *(
                f"the variable {name} is used but not declared: name it in required_variables, so"
                " that a call without it is refused, or in optional_variables"
                for name in self.extra
            ),
            *(f"there is no {name}: user has {', '.join(USER_FACTS)}" for name in self.unknown),
            *(
                f"{gap.locale} has no {gap.field}: its readers get the text of {gap.shown_in}"
                for gap in self.gaps
            ),
            *self._address_warnings,
            *self.notes,
        ]

    @property
    def _address_warnings(self) -> list[str]:
        """The warning about recipients that are plain addresses."""
        names = sorted({name for found in self.of_user.values() for name in found})
        if not names:
            return []
        channels = " and ".join(sorted(self.of_user))
        return [
            f"a plain address has no {', '.join(names)}: a notification to one fails on"
            f" {channels}; add a default, such as {{{{ {names[0]}|default('...') }}}}"
        ]


def review(
    *,
    tried: Mapping[tuple[str, str], TriedText],
    content: Content,
    default_locale: str,
    required: Iterable[str],
    optional: Iterable[str],
) -> TextReview:
    """Compares the texts of a version with the declared variables, and the locales with another.

    tried: the result of compiling each text, by locale and field.
    """
    found = TextReview(gaps=locale_gaps(content, default_locale))
    reads: set[str] = set()
    for (locale, name), text in tried.items():
        place = name if locale == default_locale else f"translations.{locale}.{name}"
        if isinstance(text, TemplateFault):
            found.errors.append(FieldError(place, text.code, text.detail))
            found.faults.append(_fault(place, text))
            continue
        found.errors += _too_long(place, name, text.least_bytes)
        found.used.update(text.variables)
        reads.update(text.reads)
        found.notes += [text.notes] if text.notes else []
        needed = {read for read in text.of_user if _of_user(read) in USER_FACTS}
        if needed and CHANNEL_OF_FIELD[name] in ADDRESS_CHANNELS.values():
            found.of_user.setdefault(CHANNEL_OF_FIELD[name], set()).update(needed)
    declared = Names([*required, *optional, *(AMBIENT_VARIABLES - {"user"})])
    if not found.errors:
        read_names = Names(reads)
        found.unused = [name for name in required if not read_names.covers(name)]
    undeclared = sorted(read for read in reads if not declared.covers(read))
    found.extra = [read for read in undeclared if root_of(read) != "user"]
    found.unknown = [
        read for read in undeclared if "." in read and _of_user(read) not in {*USER_FACTS, ""}
    ]
    return found


def locale_gaps(content: Content, default_locale: str) -> list[LocaleGap]:
    """Returns the texts that one locale lacks and another has.

    Readers of the first get the text of the other. `ru_RU` lacks nothing that `ru` has. Gaps of the
    default locale count, because readers of locales without own texts get it.
    """
    fields_of_locale = {locale: _fields_of(content, locale) for locale in content}
    order = sorted(fields_of_locale, key=lambda each: (each != default_locale, each))
    gaps = []
    for name in CONTENT_FIELDS:
        having = [locale for locale in order if name in fields_of_locale[locale]]
        gaps += [
            LocaleGap(locale=locale, channel=CHANNEL_OF_FIELD[name], field=name, shown_in=having[0])
            for locale in order
            if having and locale not in having and _wanted(name, fields_of_locale[locale])
        ]
    return gaps


def _wanted(name: str, fields_of_locale: set[str]) -> bool:
    """Returns whether a text is missed: the text part of a mail can be made from its HTML."""
    return name != "email_body_template" or "email_html_template" not in fields_of_locale


def _fields_of(content: Content, locale: str) -> set[str]:
    """Returns the fields that a locale has, itself or through its language."""
    language = locale.replace("-", "_").partition("_")[0]
    own = {**content.get(language, {}), **{k: v for k, v in content[locale].items() if v}}
    return {name for name, source in own.items() if source}


def _fault(place: str, fault: TemplateFault) -> TextFault:
    return TextFault(
        path=place,
        code=fault.code,
        detail=fault.detail,
        line=fault.data.get("line"),
        column=fault.data.get("column"),
    )


def _too_long(place: str, name: str, least_bytes: int) -> list[FieldError]:
    if name != "push_template" or least_bytes <= MAX_PUSH_BYTES:
        return []
    detail = (
        f"is at least {least_bytes:,} bytes long: a push has at most {MAX_PUSH_BYTES:,} with its"
        " title, and the rest is cut"
    )
    return [FieldError(place, "push_too_long", detail)]


def _of_user(read: str) -> str:
    root, _, rest = read.partition(".")
    return rest.partition(".")[0] if root == "user" else ""


def check_publishable(version: CompiledVersion, listed: list[str]) -> list[FieldError]:
    """Returns the errors that prevent the publication of texts that compile."""
    if not version.channels:
        return [FieldError("push_template", "required", "write a text for at least one channel")]
    silent = [channel for channel in listed if not version.supports(channel)]
    if silent:
        detail = f"there is no text for {', '.join(silent)}: write one or remove the channel"
        return [FieldError("supported_channels", "channel_without_text", detail)]
    return []
