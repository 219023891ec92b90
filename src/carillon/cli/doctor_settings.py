"""What `carillon doctor` says of the settings alone: nothing is asked of any server."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit

import click

from carillon.cli.processes import SUPERVISED, stored_address
from carillon.serving.listening import INHERITED
from carillon.settings.environment import SERVED_AT, Environment, dotenv
from carillon.settings.renamed import RENAMED

PREFIX = "CARILLON_"
_OURS = {SUPERVISED, INHERITED, SERVED_AT, "CARILLON_PROOF"}
_LOCAL = ("localhost", "localdomain", "local", "example", "invalid", "test")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class DoctorFinding:
    """One thing that was looked at; mend says what to do where it is not well."""

    name: str
    well: bool
    detail: str
    fix: str = ""


def variables_given() -> dict[str, str]:
    """All variables of the environment and of .env."""
    return {**dotenv(Path(".env")), **os.environ}


def misspelt(given: Mapping[str, str]) -> Iterator[DoctorFinding]:
    """Variables that begin like ours and are read by nobody, each with the nearest name."""
    known = {f"{PREFIX}{item.name.upper()}" for item in fields(Environment)}
    for name in sorted(given):
        if name in RENAMED:
            yield _renamed(name, given)
            continue
        if not name.upper().startswith(PREFIX) or name in known | _OURS:
            continue
        near = difflib.get_close_matches(name.upper(), sorted(known), n=1, cutoff=0.75)
        fix = f"did you mean {near[0]}?" if near else "see docs/reference/settings.md"
        yield DoctorFinding("settings", False, f"nobody reads {name}", fix)


def _renamed(name: str, given: Mapping[str, str]) -> DoctorFinding:
    new = RENAMED[name]
    read = "is ignored, because its new name is set too" if new in given else "is an old name"
    return DoctorFinding("settings", False, f"{name} {read}", f"rename it to {new}")


def warn_of_misspelt() -> None:
    """Says at the start of a process which variables it does not read; its supervisor has detail so
    for those that it starts."""
    if SUPERVISED in os.environ:
        return
    for each in misspelt(variables_given()):
        click.echo(f"warning: {each.detail}: {each.fix}", err=True)


def sender(chosen: Environment) -> DoctorFinding:
    """Whether the address that mails come from is one in the world, once mails leave."""
    domain = parseaddr(chosen.email_from)[1].rpartition("@")[2].lower().rstrip(".")
    leaves = chosen.email_provider != "sandbox"
    well = not leaves or ("." in domain and domain.rpartition(".")[2] not in _LOCAL)
    return DoctorFinding(
        "sender",
        well,
        chosen.email_from if well else f"mails leave as {chosen.email_from}, which is nobody's",
        "set CARILLON_EMAIL_FROM to an address of yours",
    )


def public_url(chosen: Environment) -> Iterator[DoctorFinding]:
    """Whether links lead to this service, and by https."""
    https = chosen.public_url.startswith("https://")
    leaves = chosen.email_provider != "sandbox"
    detail = chosen.public_url if https else f"{chosen.public_url}: mails offer no one-click ending"
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
            "set CARILLON_PUBLIC_URL to that address, or leave it out",
        )


def proxies(chosen: Environment) -> DoctorFinding:
    """Whether clients can be told apart: what ends TLS before us is a proxy, whose address all
    requests have."""
    known = bool(chosen.trusted_proxies)
    behind = chosen.production and chosen.public_url.startswith("https://")
    return DoctorFinding(
        "proxies",
        known or not behind,
        ", ".join(chosen.trusted_proxies)
        or ("every request has the address of the proxy" if behind else "none"),
        "set CARILLON_TRUSTED_PROXIES to the addresses of what ends TLS",
    )


def settings(chosen: Environment) -> Iterator[DoctorFinding]:
    """All findings of this page."""
    yield from misspelt(variables_given())
    yield sender(chosen)
    yield from public_url(chosen)
    yield proxies(chosen)
