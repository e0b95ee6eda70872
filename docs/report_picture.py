"""The README's picture of a report: two of its pages side by side.

``python docs/report_picture.py SITE [PAGE PAGE]`` writes docs/report.png. It needs Chromium and the ``dev`` extra; the
first page is drawn in light, the second in dark, by default the overview and the first group of rollouts.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1000, 1060


def main(site: Path, pages: list[str]) -> None:
    """Draw them."""
    out = Path(__file__).parent / "report.png"
    picture = Image.new("RGB", (2 * WIDTH, HEIGHT))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for place, (page_name, scheme) in enumerate(zip(pages, ("light", "dark"), strict=True)):
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            page.goto(f"file://{site.resolve()}/{page_name}")
            page.wait_for_timeout(500)
            page.screenshot(path=str(out))
            with Image.open(out) as drawn:
                picture.paste(drawn, (place * WIDTH, 0))
        browser.close()
    picture.save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["index.html", "rollouts.html#1"])
