"""The addresses of the HTML pages and of /metrics."""

from __future__ import annotations

from django.urls import path

from notifications.web import (
    confirming,
    demo,
    inbound_sms,
    landing,
    metrics,
    outbox,
    own_data,
    preference_centre,
    service_worker,
    unsubscribing,
)
from notifications.web.lists import archive
from notifications.web.previews import pictures
from notifications.web.tracking import views as tracking

urlpatterns = [
    path("", landing.home, name="home"),
    path("api/v1/track/open/<str:token>", tracking.open_pixel, name="track-open"),
    path("api/v1/track/click", tracking.click, name="track-click"),
    path("carillon-sw.js", service_worker.service_worker, name="service-worker"),
    path("demo", demo.demo, name="demo"),
    path("demo/token", demo.token, name="demo-token"),
    path("lists/<slug:slug>/archive", archive.archive, name="list-archive"),
    path("lists/<slug:slug>/archive/<slug:issue>", archive.issue, name="list-issue"),
    path("metrics", metrics.metrics, name="metrics"),
    path("outbox", outbox.outbox, name="outbox"),
    path("outbox/<int:number>/html", outbox.mail_html, name="outbox-html"),
    path("preview-images", pictures.picture, name="preview-images"),
    path("preferences", preference_centre.by_session, name="preferences"),
    path("preferences/<str:token>", preference_centre.by_link, name="preferences-by-link"),
    path("your-data/<str:token>", own_data.by_link, name="own-data"),
    path("your-data/<str:token>/<str:form>", own_data.file_by_link, name="own-data-file"),
    path("confirm/<str:token>", confirming.confirm, name="confirm"),
    path("inbound/<str:provider>", inbound_sms.inbound, name="inbound"),
    path("sms/twilio", inbound_sms.inbound, {"provider": "twilio"}, name="inbound-sms-twilio"),
    path("unsubscribe/<str:token>", unsubscribing.unsubscribe, name="unsubscribe"),
]
