"""The source documents' routes: `broadcasts/` and what is below it."""

from __future__ import annotations

from rest_framework.routers import DefaultRouter

from notifications.broadcast_views import BroadcastViewSet

router = DefaultRouter()
router.include_format_suffixes = False  # an address has one form: `recipients.csv` is its own
router.register("broadcasts", BroadcastViewSet, basename="broadcast")

urlpatterns = router.urls
