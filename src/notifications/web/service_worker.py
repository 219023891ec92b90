"""`/carillon-sw.js`: a service worker that shows Web Push messages and opens their links."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

# The payload is what the webpush provider sends: {title, body, icon, image, url, tag, data}, or
# {type: "retract", tag, reference}. A newer push may be shown under the same tag, hence the
# reference.
SCRIPT = """self.addEventListener("push", (event) => {
  const payload = event.data ? event.data.json() : {};
  event.waitUntil(payload.type === "retract" ? retract(payload) : show(payload));
});

function show(payload) {
  return self.registration.showNotification(payload.title || "", {
    body: payload.body || "",
    icon: payload.icon,
    image: payload.image,
    tag: payload.tag,
    data: {url: payload.url || "/", reference: payload.data && payload.data.reference},
  });
}

async function retract({tag, reference}) {
  for (const shown of await self.registration.getNotifications({tag})) {
    if (shown.data && shown.data.reference === reference) shown.close();
  }
}

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
