"""The addresses of the console. Each is listed with its scope in the permission table."""

from __future__ import annotations

from django.urls import URLPattern

from console.analytics.urls import URLS as ANALYTICS
from console.authoring import editor, previews, settings, template, trying
from console.authoring import listing as authored
from console.casting import urls as casting
from console.guard import console_path
from console.lists import urls as lists
from console.notices import listing, texts
from console.notices import views as notices
from console.operating import dead_letters, first_run, providers, queues, stops
from console.overview import views as overview
from console.people import actions, person, search
from console.plans.urls import URLS as PLANS
from console.records.urls import URLS as RECORDS
from console.styleguide import styleguide

_BOTH = ("GET", "HEAD", "POST")
_POST = ("POST",)
_NOTICE = "console/notifications/<str:identifier>"
_PERSON = "console/people/<int:number>"
_TEMPLATE = "console/templates/<int:number>"
urlpatterns: list[URLPattern] = [
    console_path("console", overview.overview, name="console"),
    console_path("console/figures", overview.figures, name="console-figures"),
    console_path("console/styleguide", styleguide, name="console-styleguide"),
    console_path("console/notifications", listing.listing, name="console-notifications"),
    console_path(_NOTICE, notices.notification, name="console-notification"),
    console_path(f"{_NOTICE}/frame/<int:message>", texts.frame, name="console-frame"),
    console_path(f"{_NOTICE}/cancel", notices.cancel, name="console-cancel", methods=_POST),
    console_path(f"{_NOTICE}/retract", notices.retract, name="console-retract", methods=_POST),
    console_path(f"{_NOTICE}/replay", notices.replay, name="console-replay", methods=_POST),
    console_path("console/people", search.search, name="console-people", methods=_BOTH),
    console_path(_PERSON, person.person, name="console-person"),
    console_path(f"{_PERSON}/test", actions.send_test, name="console-test", methods=_POST),
    console_path(
        f"{_PERSON}/unsubscribe", actions.unsubscribe, name="console-unsubscribe", methods=_POST
    ),
    console_path(f"{_PERSON}/suppress", actions.suppress, name="console-suppress", methods=_POST),
    console_path(f"{_PERSON}/export", actions.export, name="console-export", methods=_POST),
    console_path(f"{_PERSON}/erase", actions.erase, name="console-erase", methods=_POST),
    console_path(
        "console/exports/<str:identifier>/<str:form>",
        actions.export_file,
        name="console-export-file",
    ),
    console_path("console/stops", stops.stops, name="console-stops", methods=_BOTH),
    console_path(
        "console/dead-letters",
        dead_letters.dead_letters,
        name="console-dead-letters",
        methods=_BOTH,
    ),
    console_path("console/queues", queues.queues, name="console-queues"),
    console_path("console/providers", providers.providers, name="console-providers", methods=_BOTH),
    console_path("console/first-run", first_run.first_run, name="console-first-run", methods=_BOTH),
    console_path("console/templates", authored.templates, name="console-templates"),
    console_path("console/templates/new", settings.new, name="console-template-new", methods=_BOTH),
    console_path(_TEMPLATE, template.template, name="console-template"),
    console_path(f"{_TEMPLATE}/diff", template.diff, name="console-template-diff"),
    console_path(f"{_TEMPLATE}/preview", previews.previews, name="console-template-preview"),
    console_path(
        f"{_TEMPLATE}/frame", previews.frame, name="console-template-frame", methods=_BOTH
    ),
    console_path(f"{_TEMPLATE}/edit", editor.edit, name="console-template-edit", methods=_BOTH),
    console_path(
        f"{_TEMPLATE}/settings", settings.change, name="console-template-settings", methods=_BOTH
    ),
    console_path(f"{_TEMPLATE}/lint", editor.lint, name="console-template-lint", methods=_POST),
    console_path(
        f"{_TEMPLATE}/publish", trying.publish, name="console-template-publish", methods=_BOTH
    ),
    console_path(
        f"{_TEMPLATE}/rollback", trying.roll_back, name="console-template-rollback", methods=_POST
    ),
    console_path(
        f"{_TEMPLATE}/test", trying.send_test, name="console-template-test", methods=_POST
    ),
    *casting.urlpatterns,
    *lists.urlpatterns,
    *ANALYTICS,
    *RECORDS,
    *PLANS,
]
