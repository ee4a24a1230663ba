"""A picture of the NOC page as a browser shows it, where there is a browser."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SIZE = (1920, 1080)
_WAIT_MS = 15_000
_SETTLE_MS = 700


class Camera:
    """Takes one picture: when it is asked to, or at the end. ``busy`` while it does."""

    def __init__(self, url: str, path: Path) -> None:
        self.url = url
        self.path = path
        self._taking: asyncio.Task[str] | None = None

    async def __aenter__(self) -> "Camera":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._taking is not None and not self._taking.done():
            self._taking.cancel()
            with suppress(asyncio.CancelledError):
                await self._taking

    def shoot(self) -> None:
        """Take the picture now, if none was taken yet."""
        if self._taking is None:
            self._taking = asyncio.create_task(_take(self.url, self.path))

    def busy(self) -> bool:
        """Whether the picture is being taken."""
        return self._taking is not None and not self._taking.done()

    async def why_none(self) -> str:
        """Wait for the picture; why there is none, or nothing where there is one."""
        self.shoot()
        return await self._taking if self._taking else ""


async def _take(url: str, path: Path) -> str:
    """Write a PNG of the page; why there is none, or nothing where there is one."""
    try:
        from playwright.async_api import Error, ViewportSize, async_playwright
    except ImportError:
        return "playwright is not installed (pip install playwright)"
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        return f"no browser is installed (looked for {', '.join(_BROWSERS)})"
    # Chromium does not sandbox what root starts.
    arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    try:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=found, args=arguments)
            size = ViewportSize(width=_SIZE[0], height=_SIZE[1])
            page = await browser.new_page(viewport=size, color_scheme="dark")
            await page.goto(url)
            await page.wait_for_selector(".card", timeout=_WAIT_MS)
            await page.wait_for_timeout(_SETTLE_MS)
            await page.screenshot(path=path)
            await browser.close()
    except Error as error:
        return f"{found}: {str(error).splitlines()[0]}"
    return ""
