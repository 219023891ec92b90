"""Presses a button of a page as a browser does: with the hidden fields of its form."""

from __future__ import annotations

import html
import re

from django.test import Client

from tests.integration.console.test_actions import post


def hidden_fields(client: Client, path: str) -> dict[str, str]:
    """Returns the hidden fields of the form that sends to `path`, from the page above it."""
    page = client.get(path.rpartition("/")[0]).content.decode()
    form = page.partition(f'action="{path}"')[2].partition("</form>")[0]
    return _hidden_in(form)


def composer_fields(client: Client, path: str) -> dict[str, str]:
    """Returns the hidden fields of the form in which a broadcast or a campaign is changed."""
    page = client.get(path).content.decode()
    return _hidden_in(page.partition('class="composer"')[2].partition("</form>")[0])


def _hidden_in(form: str) -> dict[str, str]:
    pairs = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: html.unescape(value) for name, value in pairs if name != "csrfmiddlewaretoken"}


def press(client: Client, path: str, **given: object) -> str:
    """Sends the form that sends to `path`, follows, and returns the page with the message."""
    return post(client, path, **{**hidden_fields(client, path), **given})
