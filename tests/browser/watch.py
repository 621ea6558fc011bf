"""What pages must not do: fail in a script, break their content policy, or ask another origin."""

from __future__ import annotations

from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

VIOLATION = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy: ${event.effectiveDirective} ${event.blockedURI}`);
});
"""
# An error page is an answer too: the console names its status.
STATUS = "Failed to load resource: the server responded with a status of "


class Watch:
    """Collects ``problems`` of all pages of a browser; ``origins`` are those where it may go."""

    def __init__(self, context: BrowserContext, origins: set[str]) -> None:
        self.problems: list[str] = []
        self.origins = origins
        self._documents: set[str] = set()
        context.add_init_script(VIOLATION)
        context.on("console", self._console)
        context.on("weberror", self._error)
        context.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.text.startswith(STATUS) and message.location["url"] in self._documents:
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _error(self, error: WebError) -> None:
        self.problems.append(f"script: {error.error}")

    def _request(self, request: Request) -> None:
        origin = origin_of(request.url)
        if request.is_navigation_request():
            self._documents.add(request.url)
            if origin not in self.origins:
                self.problems.append(f"left for {request.url}")
        elif origin != origin_of(request.frame.url):
            self.problems.append(f"asked {request.url} from {request.frame.url}")


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
