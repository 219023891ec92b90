"""What the row of engagement says of the program and the device: kinds, no versions or models."""

from __future__ import annotations

_PROGRAMS = (
    ("googleimageproxy", "Gmail"),
    ("yahoomailproxy", "Yahoo Mail"),
    ("thunderbird", "Thunderbird"),
    ("outlook", "Outlook"),
    ("edg", "Edge"),
    ("opr/", "Opera"),
    ("samsungbrowser", "Samsung Internet"),
    ("yabrowser", "Yandex Browser"),
    ("firefox", "Firefox"),
    ("fxios", "Firefox"),
    ("crios", "Chrome"),
    ("chrome", "Chrome"),
    ("safari", "Safari"),
    ("applewebkit", "Apple Mail"),
)
_SYSTEMS = (
    ("iphone", "iOS"),
    ("ipad", "iPadOS"),
    ("android", "Android"),
    ("windows", "Windows"),
    ("mac os", "macOS"),
    ("macintosh", "macOS"),
    ("cros", "ChromeOS"),
    ("linux", "Linux"),
)


def family_of(agent: str) -> str:
    """Returns the program and the system, such as `Firefox on Windows`; empty for neither."""
    text = agent.lower()
    program = next((name for word, name in _PROGRAMS if word in text), "")
    system = next((name for word, name in _SYSTEMS if word in text), "")
    return f"{program or 'other'} on {system}" if system else program


def device_of(agent: str) -> str:
    """Returns phone, tablet or computer; empty where the agent does not say."""
    text = agent.lower()
    if "ipad" in text or ("android" in text and "mobile" not in text):
        return "tablet"
    if "iphone" in text or "android" in text:
        return "phone"
    is_computer = any(word in text for word in ("windows", "macintosh", "cros", "x11", "linux"))
    return "computer" if is_computer else ""
