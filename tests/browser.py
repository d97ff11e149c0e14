"""A real browser for tests of the page: the system's Chromium, driven by playwright."""

import base64
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from axe_playwright_python.base import AXE_FILE_PATH
from missing import missing
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

#: Width and height of the windows in which the page has to look right.
PHONE, DESKTOP = (390, 844), (1440, 900)
SCHEMES = ("light", "dark")

_AXE = "() => axe.run(document, {resultTypes: ['violations']})"
_DROP = """files => {
  const all = new DataTransfer();
  for (const {name, data} of files) {
    const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
    all.items.add(new File([bytes], name));
  }
  return all;
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser; skips the test, or fails it in CI, where there is none."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        missing("there is no chromium; apt-get install chromium")
    with sync_playwright() as playwright:
        # Its own 5 s are too few where a machine has much to do.
        expect.set_options(timeout=30_000)
        # As root, and in containers, Chromium's own sandbox cannot be had.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


class Window:
    """A window, and what went wrong in it: `errors` has each error of a script, and each thing
    that the Content-Security-Policy refused."""

    def __init__(self, browser: Browser, size: tuple[int, int], scheme: str = "light") -> None:
        self.context: BrowserContext = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,  # type: ignore[arg-type] # light or dark
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(30_000)
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)

    def _hear(self, message) -> None:  # type: ignore[no-untyped-def]
        # An answer of 404 is no error of the page: Chromium says so of each.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def visit(self, url: str) -> None:
        """Go there, and wait until the view has been started."""
        self.page.goto(url)
        self.page.wait_for_selector("main[data-ready]")

    def drop(self, files: Sequence[tuple[str, bytes]], on: str = "#drop") -> None:
        """Drop files, as a hand does."""
        told = [{"name": name, "data": base64.b64encode(data).decode()} for name, data in files]
        handle = self.page.evaluate_handle(_DROP, told)
        for kind in ("dragenter", "dragover", "drop"):
            self.page.dispatch_event(on, kind, {"dataTransfer": handle})

    def violations(self) -> list[str]:
        """What axe-core has against what is shown now."""
        self.page.evaluate(AXE_FILE_PATH.read_text())
        found = self.page.evaluate(_AXE)["violations"]
        return [
            f"{one['id']}: {one['help']}: " + "; ".join(node["html"] for node in one["nodes"][:3])
            for one in found
        ]

    def overflow(self) -> int:
        """Pixels that it is wider than its window."""
        return int(
            self.page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
        )

    def fill(self) -> None:
        """Look at all of it once, so that every picture that comes into sight is there."""
        for frame in self.page.locator("main .card .frame").all():
            frame.scroll_into_view_if_needed()
            expect(frame.locator("img")).to_be_visible()
        self.page.evaluate("scrollTo(0, 0)")

    def shoot(self, folder: Path, name: str) -> None:
        """Keep what it looks like."""
        folder.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=folder / f"{name}.png", full_page=True)

    def close(self) -> None:
        """Close it."""
        self.context.close()
