"""The report in a real headless browser: what a reader sees and clicks. Screenshots are left in `build/screenshots`.

Chromium is the system's own; without it, or without Playwright (`make test-browser` installs it), all is skipped.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: make test-browser installs it")
ROOT = Path(__file__).parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt-get install chromium")
SCREENS = {"laptop": (1440, 900), "phone": (390, 844)}
PROFILE = """
algorithms = ["bully", "ring", "lamport", "chang_roberts", "randomized", "raft", "echo_extinction"]
engine = "simulate"
nodes = [4, 5, 6]
faults = "none,leader-crash,delay:1ms,delay:5ms,delay:20ms"
trials = 3
[[also]]
nodes = [5]
detector = "heartbeat"
faults = "pause:leader,for=600ms,partition:halves,for=800ms,leader-crash+duplicate:0.2"
trials = 20
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        root = ["--no-sandbox"] * (os.geteuid() == 0)
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small run in simulation."""
    folder = tmp_path_factory.mktemp("browser")
    (folder / "small.toml").write_text(PROFILE)
    command = [sys.executable, "-m", "bench", "run", "--profile", str(folder / "small.toml"), "-o", str(folder / "run")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=200)
    return folder / "run" / "report.html"


@pytest.fixture
def page(browser: Any, report: Path) -> Iterator[Any]:
    """The page on a laptop, which may say nothing on the console and ask nothing of any network."""
    said: list[str] = []
    tab = browser.new_page(viewport=dict(zip(("width", "height"), SCREENS["laptop"], strict=True)))
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
    tab.on("requestfailed", lambda request: said.append(f"failed: {request.url[:80]}"))
    tab.goto(report.as_uri())
    yield tab
    tab.close()
    assert said == []


def column(page: Any, table: str, place: int) -> list[str]:
    cells = page.locator(f"#{table} tbody tr:visible td:nth-child({place + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_it_fits_the_screen(page: Any, screen: str, scheme: str) -> None:
    width, height = SCREENS[screen]
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    shown = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, shown.strip("rgb()").split(","))) < 100) == (scheme == "dark")
    path = ROOT / "build" / "screenshots" / f"{screen}-{scheme}.png"
    page.screenshot(path=path, full_page=True)
    assert path.stat().st_size > 50_000


def test_no_table_is_cut_on_a_laptop(page: Any) -> None:
    page.set_viewport_size({"width": 1280, "height": 800})
    page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.querySelector('table').id)"
    assert page.eval_on_selector_all(".wide", cut) == []


def test_every_figure_is_drawn(page: Any) -> None:
    widths = page.eval_on_selector_all("figure img", "images => images.map(image => image.naturalWidth)")
    assert len(widths) >= 8
    assert min(widths) > 300


def test_letters_of_a_figure_can_be_read_on_a_phone(page: Any) -> None:
    page.set_viewport_size(dict(zip(("width", "height"), SCREENS["phone"], strict=True)))
    scale = "images => images.map(image => image.clientWidth / image.naturalWidth)"
    assert min(page.eval_on_selector_all("figure img", scale)) > 0.6


def test_tables_sort_by_number_and_by_word(page: Any) -> None:
    for table in page.eval_on_selector_all("table.grid", "tables => tables.map(table => table.id)"):
        page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
        before = column(page, table, 0)
        page.click(f"#{table} th:first-child button")
        assert column(page, table, 0) == sorted(before, key=str.lower)
        page.click(f"#{table} th:first-child button")
        assert column(page, table, 0) == sorted(before, key=str.lower, reverse=True)
    messages = [float(text.replace(",", "")) for text in column(page, "answers", 1)]
    page.click("#answers th:nth-child(2) button")
    assert [float(text.replace(",", "")) for text in column(page, "answers", 1)] == sorted(messages)
    assert page.get_attribute("#answers th:nth-child(2)", "aria-sort") == "ascending"


def test_tables_filter_by_words(page: Any) -> None:
    everyone = column(page, "claims", 0)
    page.locator("#claims").locator("xpath=../preceding-sibling::input[1]").fill("ring traffic")
    assert column(page, "claims", 0) == ["Ring"]
    page.locator("#claims").locator("xpath=../preceding-sibling::input[1]").fill("")
    assert column(page, "claims", 0) == everyone


def test_every_link_leads_somewhere(page: Any, report: Path) -> None:
    links = page.eval_on_selector_all("a", "links => links.map(link => link.getAttribute('href'))")
    assert len(links) > 20
    for link in set(links):
        if link.startswith("#"):
            assert page.locator(f"[id='{link[1:]}']").count() == 1, link
        else:
            assert (report.parent / link).is_file(), link


def test_a_printer_gets_everything(page: Any) -> None:
    pdf = page.pdf(format="A4")
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type/Page") > 2
    assert page.eval_on_selector_all("details:not([open])", "all => all.length") == 0


def test_paper_is_white(page: Any) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    shown = "cells => cells.map(cell => getComputedStyle(cell).backgroundColor.match(/[0-9.]+/g).map(Number))"
    colours = page.eval_on_selector_all("td, th", shown)
    assert min(sum(parts[:3]) for parts in colours if len(parts) == 3 or parts[3]) > 500
