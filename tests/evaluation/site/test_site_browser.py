"""The site in a real Chromium: opened from the disk, at the width of a desk and of a phone, in light and in dark."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
from site_samples import (
    BROKEN,
    EVIL,
    experiment_table,
    write_evaluation,
    write_experts,
    write_lines,
    write_run,
    write_training,
)

from srl_swe.evaluation.site.build import Sources, write_site
from srl_swe.evaluation.site.serve import LiveSite, make_server
from srl_swe.experts.dataset import format_instance
from srl_swe.experts.instances import step_instances
from srl_swe.experts.trajectories import read_trajectories

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
UNNAMED = (
    "[...document.querySelectorAll('input, select, button')].filter(e => !e.labels?.length && !e.textContent).length"
)
BROWSING = ("steps", "episodes", "rollouts", "trajectories", "instances")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    experts = write_experts(folder / "experts.jsonl")
    steps = [i for t in read_trajectories(experts) if t.split == "train" for i in step_instances(t)]
    (folder / "instances.jsonl").write_bytes(b"".join(map(format_instance, steps)))
    run = write_run(folder / EVIL.replace("/", "_"))
    (run / "table.json").write_text(json.dumps(experiment_table()))
    sources = Sources(runs=(run,), trajectories=(experts,), instances=(folder / "instances.jsonl",))
    return write_site(sources, folder / "out").parent


class Visit:
    """A page, and everything that went wrong on it."""

    def __init__(self, browser, *, phone=False, dark=False):
        size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 900}
        scheme = "dark" if dark else "light"
        self.context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=phone)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.wrong, self.asked, self.allowed = [], [], ("file://", "data:")
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.wrong.append(dialog.message), dialog.dismiss()))
        self.page.on("requestfailed", lambda request: self.wrong.append(request.url))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.context.close()
        if error[0] is None:
            assert self.wrong == []
            assert all(url.startswith(self.allowed) for url in self.asked)

    def open(self, site, name):
        self.page.goto(f"file://{site}/{name}")
        return self.page

    def is_within_its_width(self):
        return self.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.fixture
def visit(browser):
    with Visit(browser) as found:
        yield found


@pytest.mark.parametrize(("phone", "dark"), [(False, False), (False, True), (True, False), (True, True)])
def test_every_page(browser, site, phone, dark):
    with Visit(browser, phone=phone, dark=dark) as visit:
        for path in sorted(site.glob("*.html")):
            page = visit.open(site, path.name)
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (ground == "rgb(21, 23, 26)") is dark
            assert visit.is_within_its_width(), path.name
            assert page.evaluate(UNNAMED) == 0
            assert page.evaluate("document.querySelectorAll('h1').length") == 1
            for link in page.evaluate("[...document.querySelectorAll('a[href]')].map(a => a.href)"):
                file, _, fragment = link.removeprefix("file://").partition("#")
                assert Path(file).is_file(), link
                if fragment and not fragment.isdigit():
                    assert page.evaluate(f"Boolean(document.getElementById('{fragment}'))")
            if path.stem in BROWSING:
                page.locator("#list a").first.click()
                page.locator("#entry h2").wait_for()
                page.keyboard.press("o")
                assert visit.is_within_its_width(), path.name
                if phone:
                    assert not page.locator("#list").is_visible()
                    page.get_by_text("Back to the list").click()
                    page.locator("#list").wait_for()


def test_hostile_text_is_text(visit, site):
    page = visit.open(site, "episodes.html#1")
    page.locator("#entry h2").wait_for()
    page.keyboard.press("o")
    shown = page.locator("#entry").inner_text()
    assert EVIL in shown
    assert "half a pair \ufffd, a zero \ufffd" in shown
    assert BROKEN[-7:] in shown
    assert "characters left out" in shown
    assert page.evaluate("document.querySelectorAll('#entry img, #entry script').length") == 0
    page = visit.open(site, "index.html")
    assert EVIL.replace("/", "_") in page.locator("h1").inner_text()


def test_filters_search_and_orders(visit, site):
    page = visit.open(site, "trajectories.html")
    count, rows = page.locator("#count"), page.locator("#list a")
    assert count.inner_text() == "6 trajectories"
    page.get_by_label("Outcome").select_option(label="solved")
    assert count.inner_text() == "4 of 6 trajectories"
    page.get_by_label("Task").select_option(label="suite/t3")
    assert rows.count() == 1
    page.get_by_label("Task").select_option(label="all")
    page.get_by_label("Outcome").select_option(label="not verified")
    assert "suite/t2" in rows.first.inner_text()
    page.get_by_label("Outcome").select_option(label="all")
    page.get_by_label("Replay").select_option(label="drifted")
    assert rows.count() == 2
    page.get_by_label("Replay").select_option(label="all")
    page.get_by_label("Search").fill("ORACLE t4")
    assert rows.count() == 1
    page.get_by_label("Search").fill("nowhere")
    assert count.inner_text() == "0 of 6 trajectories"
    page.get_by_label("Search").press("Enter")
    page = visit.open(site, "steps.html")
    page.get_by_label("Order").select_option(label="largest gain first")
    badges = [text.split(" → ") for text in page.locator("#list .badge").all_inner_texts()]
    gains = [float(after) - float(before) for before, after in badges]
    assert gains == sorted(gains, reverse=True)
    assert gains[0] > gains[-1]


def test_drift_rewards_and_what_cannot_run_are_marked(visit, site):
    page = visit.open(site, "trajectories.html#1")
    part = page.locator("#entry .part")
    assert "slip, mended later" in part.nth(0).inner_text()
    assert "drifted in the replay" in part.nth(1).inner_text()
    assert "student, warm" in part.nth(1).inner_text()
    page.goto(page.url.replace("#1", "#2"))
    page.locator("#entry h2", has_text="suite/t1").wait_for()
    assert "rejected: not solved" in page.locator("#entry").inner_text()
    assert "observation in the replay 0.500" in part.nth(1).inner_text()
    page.goto(page.url.replace("#2", "#4"))
    page.locator("#entry h2", has_text="suite/t3").wait_for()
    assert "reward 0.500" in part.nth(2).inner_text()
    page.goto(page.url.replace("#4", "#5"))
    page.locator("#entry h2", has_text="suite/t4").wait_for()
    assert "cannot run" in part.nth(1).inner_text()


def test_marks_are_the_matching_blocks(visit, site):
    page = visit.open(site, "steps.html#1")
    pair = page.locator("#entry .pair", has=page.locator("mark")).first
    pair.wait_for()
    student, expert = (pair.locator("pre").nth(side) for side in (0, 1))
    matched = [side.locator("mark").all_text_contents() for side in (student, expert)]
    assert matched[0] == matched[1]
    assert "𝔖" in "".join(matched[0])
    size = len(student.text_content()) + len(expert.text_content())
    said = float(
        page.locator("#entry .part", has=page.locator("mark")).first.locator(".scores").inner_text().split()[-1]
    )
    assert 2 * len("".join(matched[0])) / size == pytest.approx(said, abs=0.001)


def test_keys(visit, site):
    page = visit.open(site, "episodes.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    title = page.locator("#entry h2")
    for key, place in (("j", 1), ("j", 2), ("k", 1)):
        page.keyboard.press(key)
        title.wait_for()
        assert page.evaluate("location.hash") == f"#{place}"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("location.hash") == "#2"
    assert page.evaluate("document.activeElement.getAttribute('aria-current')") == "true"
    page.locator("#entry .part").nth(1).wait_for()
    page.keyboard.press("n")
    assert page.evaluate("document.activeElement.querySelector('h3').innerText").startswith("Step 1")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.querySelector('h3').innerText").startswith("Step 2")
    assert page.locator("#entry details[open]").count() == 0
    page.keyboard.press("o")
    assert page.locator("#entry details:not([open])").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("jk")
    assert page.get_by_label("Search").input_value() == "jk"
    page.get_by_label("Search").fill("")
    page.locator(".keys summary").click()
    page.locator("#keys").uncheck()
    page.locator("h1").click()
    page.keyboard.press("j")
    assert page.evaluate("location.hash") == "#2"
    outline = page.evaluate(
        "(document.querySelector('.top a').focus(), getComputedStyle(document.activeElement).outlineStyle)"
    )
    assert outline == "solid"


def test_ten_thousand_steps(visit, tmp_path):
    run = tmp_path / "run"
    write_evaluation(run, gain=1, solved=1, tasks=1)
    samples = [
        {"text": "<think>\na\n</think>\n```bash\nls\n```", "reward": 0.5, "similarity": 0.5, "well_formed": True}
    ]
    record = {"expert_action": "ls -l", "context": "c" * 500, "samples": samples}
    write_lines(
        run / "steps.jsonl",
        [{"instance_id": f"t{k % 100}#{k}", "task_id": f"t{k % 100}", "step": k} | record for k in range(10_000)],
    )
    write_site(Sources(runs=(run,)), tmp_path / "out")
    assert max(path.stat().st_size for path in (tmp_path / "out" / "data").iterdir()) < 3_000_000
    page = visit.open(tmp_path / "out", "steps.html")
    assert page.locator("#count").inner_text() == "10,000 steps, 1 to 50 shown"
    assert page.locator("#list a").count() == 50
    loaded = page.evaluate("document.querySelectorAll('script').length")
    page.get_by_role("button", name="Later").click()
    assert "51 to 100 shown" in page.locator("#count").inner_text()
    page.get_by_label("Task").select_option(label="t42")
    assert page.locator("#count").inner_text() == "100 of 10,000 steps, 1 to 50 shown"
    for _ in range(51):
        page.keyboard.press("Escape")
        page.locator("h1").press("j")
    assert "51 to 100 shown" in page.locator("#count").inner_text()
    page.locator("#entry h2", has_text="t42, step 5043").wait_for()
    assert page.evaluate("document.querySelectorAll('script').length") - loaded < 60


def test_a_part_of_the_report_that_is_gone(visit, site, tmp_path):
    shutil.copytree(site, tmp_path / "copy")
    (tmp_path / "copy" / "data" / "episodes-1.js").unlink()
    page = visit.open(tmp_path / "copy", "episodes.html#1")
    page.locator("#entry .bad").wait_for()
    assert "episodes-1.js cannot be read" in page.locator("#entry").inner_text()
    visit.wrong.clear()


def test_a_live_page_takes_over_what_is_new(visit, tmp_path):
    run = tmp_path / "run"
    write_training(run, updates=3)
    live = LiveSite(Sources(runs=(run,)), tmp_path / "out", on_error=visit.wrong.append)
    server = make_server(live, 0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}"
        visit.allowed = (address, "data:")
        page = visit.page
        page.goto(f"{address}/index.html")
        page.get_by_text("Live.").wait_for()
        browsing = visit.context.new_page()
        browsing.goto(f"{address}/rollouts.html#1")
        browsing.get_by_text("Live.").wait_for()
        assert "3 of 20" in page.locator("main").inner_text()
        page.evaluate("window.stayed = true")
        write_training(run, updates=4)
        page.get_by_text("4 of 20").wait_for(timeout=30_000)
        assert page.evaluate("window.stayed")
        browsing.get_by_text("There is news").wait_for(timeout=30_000)
        browsing.close()
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    page.get_by_text("The server has stopped").wait_for(timeout=30_000)
    visit.wrong = [text for text in visit.wrong if "ERR_CONNECTION_REFUSED" not in text and "version.txt" not in text]
