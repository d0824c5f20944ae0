"""Who may call, and what every response tells the browser to refuse.

Enters: a request and the server's settings. Leaves: the request, marked with whether its caller presented the token,
or a refusal of one sentence; and every response with its security headers.

- Bound to another address than loopback, `/api/…` and `/metrics` need `Authorization: Bearer <api_token>`.
- Bound to loopback, no token is needed, so a web page elsewhere must not be able to use the visitor's browser as a
  bridge: a Host that is not this machine is refused (DNS rebinding), and so is a foreign Origin (cross-site posting).

Not guaranteed: transport encryption; put a TLS proxy in front when the network is not trusted.
"""

from __future__ import annotations

import ipaddress
import secrets
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bot.web.wire import ErrorBody
from config.errors import ConfigError
from config.settings import Audience, ServerSettings

GUARDED = ("/api/", "/metrics")
# Signed by who sends it, which is checked where it is taken; a proxy passes it on under its own name.
SIGNED = ("/slack/events",)
REACH = {Audience.ALL: 0, Audience.MANAGERS: 1, Audience.HR: 2}

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware that lets a request through or refuses it.

    Raises:
        ConfigError: The server is to listen beyond this machine and no token is set.
    """

    def __init__(self, app: ASGIApp, server: ServerSettings) -> None:
        self._app = app
        self._server = server
        self._token = server.api_token.get_secret_value()
        self._trusted = server.trusted_token.get_secret_value()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request and harden its response."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def hardened(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                is_file = scope["path"] == "/" or scope["path"].startswith("/static/")
                headers["Cache-Control"] = "no-cache" if is_file else "no-store"
            await send(message)

        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], scope["method"], headers)
        if refusal:
            await refusal(scope, receive, hardened)
            return
        scope.setdefault("state", {})["is_trusted"] = _matches(_bearer(headers), self._trusted)
        await self._app(scope, receive, hardened)

    def _refusal(self, path: str, method: str, headers: Headers) -> JSONResponse | None:
        if path in SIGNED:
            return None
        if is_loopback(self._server.host):
            if not is_loopback(_hostname(headers.get("host", ""))):
                return _refuse(403, "This address answers only as localhost; open http://localhost instead.")
            if method not in {"GET", "HEAD"} and _is_foreign(headers):
                return _refuse(403, "Another web site sent this request, so it was refused; use the chat page itself.")
        if not path.startswith(GUARDED):
            return None
        bearer = _bearer(headers)
        if (self._token or self._trusted) and bearer and not self._is_known(bearer):
            return _refuse(401, "That token is not right; ask whoever runs this server for the current one.")
        if needs_token(self._server) and not bearer:
            return _refuse(401, "This needs the server's token; send it as 'Authorization: Bearer …'.")
        return None

    def _is_known(self, bearer: str) -> bool:
        return _matches(bearer, self._token) or _matches(bearer, self._trusted)


def _matches(bearer: str, token: str) -> bool:
    return bool(token) and secrets.compare_digest(bearer.encode(), token.encode())


def needs_token(server: ServerSettings) -> bool:
    """Whether callers must present the token.

    Raises:
        ConfigError: They must, and none is set.
    """
    if is_loopback(server.host):
        return False
    if not server.api_token.get_secret_value():
        raise ConfigError(
            f"server.host is {server.host!r}, which others can reach, and server.api_token is empty; set "
            "QUANTAHR_SERVER__API_TOKEN to a long random text, or server.host to 127.0.0.1."
        )
    return True


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def may_read(request: Request, asked: Audience | None, server: ServerSettings) -> Audience | None:
    """The audience to answer for; None when the caller asks for more than they may have."""
    if asked is None:
        return server.audience
    if request.state.is_trusted or REACH[asked] <= REACH[server.audience]:
        return asked
    return None


def _bearer(headers: Headers) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that another site's page sent this. Programs send neither header."""
    if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host", "")


def _refuse(status: int, message: str) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(ErrorBody(message=message).model_dump(), status, headers)
