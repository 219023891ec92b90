"""`/inbound/<vendor>`: receives incoming texts from a vendor, by POST.

`/sms/twilio`, the address from before there were several vendors, stays.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from notifications.domain.errors import InvalidRequest, NotFound, Refused
from notifications.features.receipts.inbound_sms import InboundSmsService
from notifications.infra import clock
from notifications.infra.conf import environment


@csrf_exempt
@require_POST
def inbound(request: HttpRequest, provider: str) -> HttpResponse:
    """Receives one request of a vendor. The signature is the credential."""
    try:
        response = InboundSmsService().receive(
            provider=provider,
            method="POST",
            # The URL that was registered with the vendor, whatever proxies are between.
            url=environment().public_url + request.get_full_path(),
            query={name: str(value) for name, value in request.GET.items()},
            headers={name.lower(): value for name, value in request.headers.items()},
            body=request.body,
            now=clock.now(),
        )
    except Refused as error:
        return HttpResponse(error.detail, status=403, content_type="text/plain")
    except NotFound as error:
        return HttpResponse(error.detail, status=404, content_type="text/plain")
    except InvalidRequest as error:
        return HttpResponse(error.detail, status=400, content_type="text/plain")
    return HttpResponse(response.body, content_type=response.content_type)
