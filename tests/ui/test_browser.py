"""The page in a real browser: headless Chromium, by keyboard and by touch, on a screen and on a phone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from ..chat_server import chat_server
from .conftest import HOSTILE

QUERY = "why did the pump stop with E-4012"
expect.set_options(timeout=20_000)
PHONE = {"width": 390, "height": 844}
SCREEN = {"width": 1280, "height": 900}


@contextmanager
def served(database: Path, *options: str) -> Iterator[str]:
    """The address of the page as the command line serves it, in a process of its own; Ctrl-C ends it."""
    program = str(Path(sys.executable).with_name("lsb-rag"))
    command = [program, "ui", "--db", str(database), "-c", "manual", "--port", "0", *options]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "sk-of-nobody"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            found = re.search(r"http://127\.0\.0\.1:\d+/", said)
            assert found, said
            yield found[0]
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 130
            assert "Stopped." in process.stderr.read()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def address(database: Path) -> Iterator[str]:
    with served(database) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        if "CI" in os.environ:
            pytest.fail("CI needs a Chromium: install one, or name it in $CHROMIUM.")
        pytest.skip("There is no Chromium here; install one, or name it in $CHROMIUM.")
    # None of the browser's own requests: the tests need no network.
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu", *quiet])
        yield started
        started.close()


@pytest.fixture(params=[SCREEN], ids=["screen"])
def page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A new tab; what it complains of, or asks of another host, fails the test."""
    opened = browser.new_page(viewport=request.param)
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(dialog.message))
    opened.on("request", lambda sent: complaints.append(sent.url) if "//127.0.0.1" not in sent.url else None)
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()
    expected = ("data:,", "Failed to load resource: net::ERR_INTERNET_DISCONNECTED")  # the icon; a test is offline
    assert [one for one in complaints if not one.startswith(expected)] == []


def ask(page: Page, query: str) -> None:
    page.get_by_label("Question").fill(query)
    page.get_by_role("button", name="Ask").click()


def test_ask_see_two_columns_and_click_a_citation(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(address)
    ask(page, QUERY)
    expect(page.get_by_role("heading", name="Vanilla dense").last).to_be_visible()
    expect(page.locator("#lsb-1")).to_contain_text("E-4012")
    left, right = (page.locator(f"#{side}-title").bounding_box() for side in ("vanilla", "lsb"))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]
    assert left["x"] < right["x"]
    answer = page.locator(".answer").last
    expect(answer).to_contain_text("inlet is blocked")
    citation = answer.get_by_role("link").first
    target = citation.get_attribute("href") or ""
    citation.click()
    assert page.url.endswith(target)
    assert page.evaluate("document.querySelector(':target').id") == target[1:]
    expect(answer).to_contain_text("inlet is blocked")  # a citation does not load the page anew
    shot = tmp_path / "page.png"
    page.screenshot(path=shot, full_page=True)
    assert shot.stat().st_size > 20_000


def test_the_sliders_change_what_is_found(page: Page, address: str) -> None:
    page.goto(f"{address}?q=E-5101&collection=manual&k=3")
    expect(page.locator("#lsb-title ~ .passages > li")).to_have_count(3)
    turned = page.locator("#moved p").first
    before = turned.inner_text()
    strength = page.get_by_label("Strength of the bridge")
    strength.focus()
    page.keyboard.press("End")
    expect(page.locator("output[for=strength]")).to_have_text("1.6")
    expect(turned).not_to_have_text(before)
    assert "strength=1.6" in page.url
    expect(page.locator("#status")).to_have_text("3 passages from each.")
    page.locator("#lsb-1").get_by_role("link", name="Why?").click()
    expect(page.locator("#moved")).to_contain_text("The score of")
    strength.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("output[for=strength]")).to_have_text("1.55")
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator("#moved")).to_contain_text("The score of")  # the passage stays explained
    page.keyboard.press("Home")
    expect(turned).to_contain_text("At strength 0 nothing does")
    page.get_by_label("Passages").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lsb-title ~ .passages > li")).to_have_count(4)
    expect(page.get_by_label("Passages")).to_be_focused()


def test_the_keyboard_alone_is_enough(page: Page, address: str) -> None:
    page.goto(address)
    expect(page.get_by_label("Question")).to_be_focused()
    page.keyboard.type(QUERY)
    page.keyboard.press("Enter")
    expect(page.locator(".answer").last.get_by_role("link").first).to_be_visible()
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("(document.activeElement.id || document.activeElement.getAttribute('href')) ?? ''"))
    assert {"collection", "k", "strength", "rerank", "#lsb-1"} <= reached
    page.locator(".answer").last.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    assert re.search(r"#lsb-\d$", page.url)


def test_a_model_is_asked_once_for_what_is_the_same(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "/answer/" in sent.url else None)
    page.goto(f"{address}?q={QUERY}&collection=manual")
    expect(page.locator(".answer").last).to_contain_text("inlet is blocked")
    page.locator("#lsb-1").get_by_role("link", name="Why?").click()
    expect(page.locator("#moved")).to_contain_text("The score of")
    expect(page.locator(".answer").last).to_contain_text("inlet is blocked")
    assert len(asked) == 2
    page.get_by_label("Strength of the bridge").press("End")
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")
    expect(page.locator(".answer").last).to_contain_text("inlet is blocked")
    assert [url for url in asked[2:] if "/answer/vanilla" in url] == []


def test_another_collection_and_back(page: Page, address: str) -> None:
    page.goto(f"{address}?q=E-4013&collection=manual&strength=0.3")
    expect(page.locator("#lsb-1")).to_contain_text("drain")
    page.get_by_label("Collection").select_option("hostile")
    expect(page.locator("#lsb-1")).to_contain_text("long word")
    expect(page.get_by_label("Strength of the bridge")).to_have_value("0.8")
    page.go_back()
    expect(page.locator("#lsb-1")).to_contain_text("drain")
    expect(page.get_by_label("Collection")).to_have_value("manual")
    expect(page.get_by_label("Strength of the bridge")).to_have_value("0.3")


def test_what_the_address_asks_is_kept_until_a_slider_is_moved(page: Page, address: str) -> None:
    page.goto(f"{address}?q=E-4013&collection=manual&strength=0.33&rerank=3")
    page.get_by_label("Passages").press("ArrowRight")
    expect(page.locator("#lsb-title ~ .passages > li")).to_have_count(6)
    assert "strength=0.33" in page.url
    assert "rerank=3" in page.url
    page.goto(address)
    ask(page, "E-4013")
    expect(page.locator("#lsb-1")).to_contain_text("drain")
    assert "strength" not in page.url


def test_a_lost_connection_is_said_and_asking_again_mends_it(page: Page, address: str) -> None:
    page.goto(f"{address}?q=E-4013&collection=manual")
    expect(page.locator("#lsb-1")).to_contain_text("drain")
    page.context.set_offline(True)
    page.get_by_label("Collection").select_option("hostile")
    expect(page.locator("#status")).to_contain_text("does not answer")
    page.context.set_offline(False)
    ask(page, "E-4013")
    expect(page.locator("#lsb-1")).to_contain_text("long word")
    page.get_by_label("Strength of the bridge").press("ArrowLeft")
    expect(page.locator("output[for=strength]")).to_have_text("0.75")


def test_hostile_text_is_text(page: Page, address: str) -> None:
    page.goto(f"{address}?collection=hostile")
    ask(page, HOSTILE)
    expect(page.locator("#lsb-1")).to_contain_text("<script>alert(1)</script>")
    expect(page.locator(".answer").last).not_to_have_text("Answering…")
    page.locator("#lsb-1").get_by_role("link", name="Why?").click()
    expect(page.locator("#moved")).to_contain_text("The score of")
    expect(page.locator("#moved")).to_be_focused()
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("page", [PHONE], indirect=True, ids=["phone"])
def test_on_a_phone_everything_fits_and_columns_stand_below_each_other(page: Page, address: str) -> None:
    for asked in (f"q={QUERY}&collection=manual&passage=pump", "q=E-4013 long&collection=hostile"):
        page.goto(f"{address}?{asked}")
        expect(page.locator(".answer").last).not_to_have_text("Answering…")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        left, right = (page.locator(f"#{side}-title").bounding_box() for side in ("vanilla", "lsb"))
        assert left is not None
        assert right is not None
        assert left["x"] == right["x"]
        assert left["y"] < right["y"]


def test_without_javascript(browser: Browser, address: str) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(address)
        ask(page, QUERY)
        expect(page.locator("#lsb-1")).to_contain_text("E-4012")
        page.get_by_role("button", name="Show the answers").first.click()
        expect(page.locator(".answer").last).to_contain_text("inlet is blocked")


def test_an_answer_that_nobody_waits_for_is_not_made(database: Path) -> None:
    def slow(_: object) -> str:
        time.sleep(1.5)
        return "The inlet is blocked [1]."

    def get(query: str, timeout: float) -> httpx.Response:
        asked, ours = {"q": query, "collection": "manual"}, {"x-lsb-rag": "page"}
        return httpx.get(f"{found}answer/lsb", params=asked, headers=ours, timeout=timeout)

    with chat_server(slow) as model, served(database, "-g", f"openai:some-model@{model.url}") as found:
        with ThreadPoolExecutor(3) as threads:
            first = threads.submit(get, "E-4012", 20)
            time.sleep(0.5)
            left = [threads.submit(get, f"E-{number}", 0.3) for number in (4013, 5100)]
            for one in left:
                with suppress(httpx.TimeoutException):
                    one.result()
            assert "inlet is blocked" in first.result().text
        assert "inlet is blocked" in get("E-5101", 20).text
        assert len(model.requests) == 2
