"""The documented routes of broadcasts: `broadcasts/` and the paths below it."""

from __future__ import annotations

from rest_framework.routers import DefaultRouter

from notifications.broadcast_views import BroadcastViewSet

router = DefaultRouter()
router.include_format_suffixes = False  # `recipients.csv` is a route of its own, not a format
router.register("broadcasts", BroadcastViewSet, basename="broadcast")

urlpatterns = router.urls
