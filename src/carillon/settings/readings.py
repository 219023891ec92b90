"""Parses settings with a structure: rates of domains, countries, networks, prices, keywords."""

from __future__ import annotations

import base64
import ipaddress
import re
from pathlib import Path

from notifications.domain.sms import micros_of, read_keywords, read_prices

_DOMAIN_RATE = re.compile(
    r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})+=[1-9][0-9]{0,8}/(s|min|h)", re.IGNORECASE
)
_LONGEST_DOMAIN = 40
_CONTACT = re.compile(r"(?:mailto:[!-~]{3,300}|tel:[+0-9().-]{3,40}|https://[!-~]{3,500})")
_MOST_CONTACTS = 5


def flag(text: str) -> bool:
    """true or false (also 1, 0, yes, no, on, off)"""
    words = {"1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    return words[text.strip().lower()]


def domain_rates(text: str) -> tuple[str, ...]:
    """domain=rate pairs separated by commas, such as gmail.com=5/s,example.org=100/min"""
    pairs = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for pair in pairs:
        if not _DOMAIN_RATE.fullmatch(pair) or pair.index("=") > _LONGEST_DOMAIN:
            raise ValueError
    return pairs


def countries(text: str) -> tuple[str, ...]:
    """countries by their two letters, separated by commas, such as US,CA,GB"""
    found = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    if not all(re.fullmatch("[A-Z]{2}", each) for each in found):
        raise ValueError
    return found


def networks(text: str) -> tuple[str, ...]:
    """addresses and networks separated by commas, such as 10.0.0.0/8,192.0.2.7"""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for each in found:
        ipaddress.ip_network(each, strict=False)
    return found


def prices(text: str) -> tuple[str, ...]:
    """country=price pairs separated by commas, such as US=0.0079,GB=0.04,*=0.1"""
    pairs = tuple(part.strip() for part in text.split(",") if part.strip())
    read_prices(pairs)
    return pairs


def micros(text: str) -> int:
    """an amount of money such as 50 or 12.50, or 0 for no limit"""
    return micros_of(text)


def keywords(text: str) -> tuple[str, ...]:
    """word=stop, word=start or word=help, separated by commas"""
    pairs = tuple(part.strip() for part in text.split(",") if part.strip())
    read_keywords(pairs)
    return pairs


def seeds(text: str) -> tuple[str, ...]:
    """seeds of Ed25519 keys separated by commas: standard base64 of 32 bytes each, or nothing"""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if any(len(base64.b64decode(each, validate=True)) != 32 for each in found):
        raise ValueError
    return found


def log_place(text: str) -> str:
    """stderr, or the absolute path of a file in a folder that exists"""
    if text == "stderr":
        return text
    place = Path(text)
    if not place.is_absolute() or not place.parent.is_dir() or place.is_dir():
        raise ValueError
    return text


def contacts(text: str) -> tuple[str, ...]:
    """mailto:, tel: or https:// addresses separated by commas, at most five"""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if len(found) > _MOST_CONTACTS or not all(_CONTACT.fullmatch(each) for each in found):
        raise ValueError
    return found
