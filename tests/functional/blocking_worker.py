"""`carillon worker` whose filter `wordcount` holds the interpreter, in C, where the text is `hold`.

No template is known to do so: this stands for the one that somebody will find.
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
def _holding(context: Any, value: Any) -> Any:
    if value == "hold":
        re.match(r"(a+)+$", "a" * 60 + "b")
    return FILTERS["wordcount"](context, value)


if __name__ == "__main__":
    engine.TEXT.filters["wordcount"] = _holding
    sys.argv = ["carillon", *sys.argv[1:]]
    main()
