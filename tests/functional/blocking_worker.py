"""`carillon worker` whose filter `wordcount` blocks the interpreter in C when the text is `hold`.

No template is known to do so; this simulates one.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from jinja2.utils import pass_context

from carillon.cli import main
from notifications.rendering import engine
from notifications.rendering.language.filters import FILTERS


@pass_context
def _blocking(context: Any, value: Any) -> Any:
    if value == "hold":
        re.match(r"(a+)+$", "a" * 60 + "b")
    return FILTERS["wordcount"](context, value)


if __name__ == "__main__":
    engine.TEXT.filters["wordcount"] = _blocking
    sys.argv = ["carillon", *sys.argv[1:]]
    main()
