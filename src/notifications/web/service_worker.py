"""`/carillon-sw.js`: a service worker that shows Web Push messages and opens their links."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

# The payload is what the webpush provider sends: {title, body, icon, image, url, tag, data}.
SCRIPT = """self.addEventListener("push", (event) => {
  const payload = event.data ? event.data.json() : {};
  event.waitUntil(self.registration.showNotification(payload.title || "", {
    body: payload.body || "",
    icon: payload.icon,
    image: payload.image,
    tag: payload.tag,
    data: {url: payload.url || "/"},
  }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(clients.openWindow(event.notification.data.url));
});
"""


@require_safe
def service_worker(request: HttpRequest) -> HttpResponse:
    """Returns the script. Its scope is every page of its host."""
    return HttpResponse(
        SCRIPT,
        content_type="text/javascript; charset=utf-8",
        headers={"Service-Worker-Allowed": "/", "Cache-Control": "max-age=3600"},
    )
