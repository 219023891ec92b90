"""The checks of `carillon doctor` that read only settings: they contact no server."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from email.utils import parseaddr
from urllib.parse import urlsplit

import click

from carillon.cli.processes import SUPERVISED, stored_address
from carillon.serving.server.listening import INHERITED
from carillon.settings.environment import SERVED_AT, Environment
from carillon.settings.renamed import RENAMED
from carillon.settings.topics.sources import mail_variables, variables_given
from notifications.delivery.mail.settings_file import path_in

PREFIX = "CARILLON_"
_OURS = {SUPERVISED, INHERITED, SERVED_AT, "CARILLON_PROOF"}
_LOCAL = ("localhost", "localdomain", "local", "example", "invalid", "test")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class DoctorFinding:
    """The result of one check."""

    name: str
    well: bool
    detail: str
    #: What to do when the check failed, or warns.
    fix: str = ""
    #: The service works; still something should be changed.
    warns: bool = False


def misspelt(given: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Yields CARILLON_* variables that no setting reads, each with the most similar name."""
    known = {f"{PREFIX}{item.name.upper()}" for item in fields(Environment)}
    for name in sorted(given):
        if name in RENAMED:
            yield _renamed(name, given)
            continue
        if not name.upper().startswith(PREFIX) or name in known | _OURS:
            continue
        near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
        fix = f"did you mean {near[0]}?" if near else "see docs/reference/settings.md"
        yield DoctorFinding("settings", False, f"no setting reads {name}", fix)


def _renamed(name: str, given: Mapping[str, str]) -> DoctorFinding:
    new = RENAMED[name]
    read = "is ignored, because its new name is set too" if new in given else "is an old name"
    return DoctorFinding("settings", False, f"{name} {read}", f"rename it to {new}")


def warn_of_misspelt() -> None:
    """Warns at the start of a process of variables that it does not read.

    A supervised process does not warn, because its supervisor already did.
    """
    if SUPERVISED in os.environ:
        return
    for each in misspelt(variables_given()):
        click.echo(f"warning: {each.detail}: {each.fix}", err=True)


def sender(chosen: Environment) -> DoctorFinding:
    """Checks that the sender of mails is a public address, if mails are sent."""
    domain = parseaddr(chosen.email_from)[1].rpartition("@")[2].lower().rstrip(".")
    leaves = chosen.email_provider != "sandbox"
    well = not leaves or ("." in domain and domain.rpartition(".")[2] not in _LOCAL)
    return DoctorFinding(
        "sender",
        well,
        chosen.email_from
        if well
        else f"mails are sent from {chosen.email_from}, which is no public address",
        "set CARILLON_EMAIL_FROM to your own address",
    )


def mail_file(chosen: Environment) -> Iterator[DoctorFinding]:
    """Names mail settings that the console stored and that are not read."""
    given = mail_variables(variables_given())
    stored = path_in(chosen.data_dir)
    if given and stored.exists():
        detail = f"{stored} is not read, because the environment sets {', '.join(given)}"
        yield DoctorFinding("mail file", True, detail, "delete one of the two", warns=True)


def public_url(chosen: Environment) -> Iterator[DoctorFinding]:
    """Checks that links lead to this service, and by https."""
    https = chosen.public_url.startswith("https://")
    leaves = chosen.email_provider != "sandbox"
    plain = f"{chosen.public_url}: mails offer no one-click unsubscribe"
    detail = chosen.public_url if https else plain
    fix = "set CARILLON_PUBLIC_URL to an https address"
    yield DoctorFinding("public url", https or not leaves, detail, fix)
    served = stored_address(chosen.data_dir)
    links = urlsplit(chosen.public_url)
    is_set = bool(variables_given().get("CARILLON_PUBLIC_URL", "").strip())
    if is_set and served and links.hostname in _LOOPBACK and links.port != urlsplit(served).port:
        yield DoctorFinding(
            "port",
            False,
            f"links lead to {chosen.public_url}, and the web process listens at {served}",
            "set CARILLON_PUBLIC_URL to that address, or remove it",
        )


def proxies(chosen: Environment) -> DoctorFinding:
    """Checks that clients can be distinguished.

    A server that ends TLS in front of this service is a proxy, and all requests have its address.
    """
    known = bool(chosen.trusted_proxies)
    behind = chosen.production and chosen.public_url.startswith("https://")
    return DoctorFinding(
        "proxies",
        known or not behind,
        ", ".join(chosen.trusted_proxies)
        or ("every request has the address of the proxy" if behind else "none"),
        "set CARILLON_TRUSTED_PROXIES to the addresses of the proxies that end TLS",
    )


def settings(chosen: Environment) -> Iterator[DoctorFinding]:
    """Yields the findings of all checks in this module."""
    yield from misspelt(variables_given())
    yield sender(chosen)
    yield from mail_file(chosen)
    yield from public_url(chosen)
    yield proxies(chosen)
