"""Answer the probes of containers and load balancers."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse

from status import readiness


class ProbeMiddleware:
    """Answer `/status/` (alive) and `/status/ready/` (ready for traffic) before anything else is asked.

    Probes name an IP address as their host and come without TLS, so they would fail where the host and the
    scheme are checked, and those checks need not be opened for them.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.probes = {"/status/": live, "/status/ready/": ready}

    def __call__(self, request: HttpRequest) -> HttpResponse:
        probe = self.probes.get(request.path_info)
        if probe is None:
            return self.get_response(request)
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        response = probe()
        response["Cache-Control"] = "no-store"
        return response


def live() -> JsonResponse:
    """Say that the process answers; nothing else is asked."""
    return JsonResponse({"status": "ok"})


def ready() -> JsonResponse:
    """Say whether a request can be served now, and what is missing if not."""
    results = readiness.run()
    ok = all(result.ok for result in results.values())
    return JsonResponse(
        {
            "status": "ok" if ok else "unavailable",
            "checks": {
                name: {"ok": True} if result.ok else {"ok": False, "detail": result.detail}
                for name, result in results.items()
            },
        },
        status=200 if ok else 503,
    )
