"""The addresses of broadcasts, campaigns, series and A/B tests."""

from __future__ import annotations

from django.urls import URLPattern

from console.casting import actions, broadcasts, composer, experiments, frames, recipients
from console.casting.campaigns import actions as campaign_actions
from console.casting.campaigns import composer as campaign_composer
from console.casting.campaigns import views as campaigns
from console.casting.series import actions as series_actions
from console.casting.series import composer as series_composer
from console.casting.series import views as series
from console.guard import console_path

_BOTH = ("GET", "HEAD", "POST")
_POST = ("POST",)
_BROADCAST = "console/broadcasts/<int:number>"
_CAMPAIGN = "console/campaigns/<int:number>"
_SERIES = "console/series/<int:number>"
urlpatterns: list[URLPattern] = [
    console_path("console/broadcasts", broadcasts.broadcasts, name="console-broadcasts"),
    console_path(
        "console/broadcasts/new",
        composer.new_broadcast,
        name="console-broadcast-new",
        methods=_BOTH,
    ),
    console_path(
        "console/broadcasts/preview",
        frames.preview,
        name="console-broadcast-preview",
        methods=_BOTH,
    ),
    console_path(_BROADCAST, broadcasts.broadcast, name="console-broadcast"),
    console_path(
        f"{_BROADCAST}/edit", composer.edit_broadcast, name="console-broadcast-edit", methods=_BOTH
    ),
    console_path(f"{_BROADCAST}/dry-run", broadcasts.dry_run, name="console-broadcast-dry-run"),
    console_path(f"{_BROADCAST}/figures", broadcasts.figures, name="console-broadcast-figures"),
    console_path(
        f"{_BROADCAST}/recipients", recipients.recipients, name="console-broadcast-recipients"
    ),
    console_path(
        f"{_BROADCAST}/<str:action>",
        actions.broadcast_action,
        name="console-broadcast-action",
        methods=_POST,
    ),
    console_path("console/campaigns", campaigns.campaigns, name="console-campaigns"),
    console_path(
        "console/campaigns/new",
        campaign_composer.new_campaign,
        name="console-campaign-new",
        methods=_BOTH,
    ),
    console_path(
        "console/campaigns/preview",
        campaign_composer.preview_campaign,
        name="console-campaign-preview",
        methods=_BOTH,
    ),
    console_path(_CAMPAIGN, campaigns.campaign, name="console-campaign"),
    console_path(
        f"{_CAMPAIGN}/edit",
        campaign_composer.edit_campaign,
        name="console-campaign-edit",
        methods=_BOTH,
    ),
    console_path(
        f"{_CAMPAIGN}/estimate", campaigns.campaign_estimate, name="console-campaign-estimate"
    ),
    console_path(
        f"{_CAMPAIGN}/figures", campaigns.campaign_figures, name="console-campaign-figures"
    ),
    console_path(
        f"{_CAMPAIGN}/report", campaigns.campaign_report_page, name="console-campaign-report"
    ),
    console_path(
        f"{_CAMPAIGN}/recipients", campaigns.campaign_recipients, name="console-campaign-recipients"
    ),
    console_path(
        f"{_CAMPAIGN}/frame/<str:channel>",
        campaign_composer.campaign_frame,
        name="console-campaign-frame",
    ),
    console_path(
        f"{_CAMPAIGN}/<str:action>",
        campaign_actions.campaign_action,
        name="console-campaign-action",
        methods=_POST,
    ),
    console_path("console/series", series.all_series, name="console-series-list"),
    console_path(
        "console/series/new",
        series_composer.new_series,
        name="console-series-new",
        methods=_BOTH,
    ),
    console_path(_SERIES, series.one_series, name="console-series"),
    console_path(
        f"{_SERIES}/edit",
        series_composer.edit_series,
        name="console-series-edit",
        methods=_BOTH,
    ),
    console_path(
        f"{_SERIES}/<str:action>",
        series_actions.series_action,
        name="console-series-action",
        methods=_POST,
    ),
    console_path("console/experiments", experiments.experiments, name="console-experiments"),
    console_path(
        "console/experiments/<int:number>", experiments.experiment, name="console-experiment"
    ),
    console_path(
        "console/experiments/<int:number>/<str:action>",
        experiments.experiment_action,
        name="console-experiment-action",
        methods=_POST,
    ),
]
