"""Items of periodic work that failed again and again."""

from __future__ import annotations

from notifications.api import set_aside
from notifications.api.pages import PAGE_QUERY
from notifications.api.route import Query, Route
from notifications.api.set_aside import ResumeBody, SetAsideList
from notifications.features.operations.set_aside import ResumedAnswer

ROUTES: tuple[Route, ...] = (
    Route(
        name="list_set_aside",
        method="GET",
        path="/api/v1/set-aside",
        handler=set_aside.items,
        summary="Items of periodic work that failed: waiting for another try, or set aside.",
        scope="operations",
        query=(Query(name="work", about="Only this work, e.g. `receipt`."), *PAGE_QUERY),
        answers={200: SetAsideList},
    ),
    Route(
        name="resume_set_aside",
        method="POST",
        path="/api/v1/set-aside/resume",
        handler=set_aside.resume,
        summary="Have items tried again at once.",
        scope="operations",
        body=ResumeBody,
        answers={200: ResumedAnswer},
        errors=(404,),
        idempotent=True,
    ),
)
