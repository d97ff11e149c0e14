"""The page asks for a key in a real browser when the service does, and once in each tab."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_parts import Api, running_api
from browser import chromium
from playwright.sync_api import Browser, expect
from werkzeug.serving import make_server

from api.status_routes import Operation
from facematch.keys import Scope, new_key
from facematch.memory_failed_jobs import MemoryFailedJobs
from facematch.memory_reencoding import MemoryReencoding
from facematch.memory_store import MemoryStore
from facematch.policy import PolicyChange
from facematch.vitals import EditionVitals, Vitals


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    """One that has seven pictures to work on, of which workers have three."""
    busy = EditionVitals(0, jobs=7, in_hand=3, oldest_job=12, upload_bytes=2_500_000, images=40)
    store = MemoryStore()
    failed = MemoryFailedJobs(MemoryReencoding(store))
    operation = Operation(lambda: Vitals((busy,)), failed, lambda edition: None)
    with running_api(tmp_path, store, operation=operation) as api:
        yield api


@pytest.fixture
def service(api: Api) -> Iterator[tuple[str, str, str]]:
    """Where it is, a key that is good for all of the default collection, and one for looking at
    images only."""
    key, text = new_key("anna", list(Scope), ["default"], 1.0)
    api.keys.add(key)
    reader, readers_text = new_key("bob", [Scope.READ], ["default"], 1.0)
    api.keys.add(reader)
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", text, readers_text
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_key_is_asked_for_until_one_works_and_kept_in_this_tab(
    browser: Browser, service: tuple[str, str, str], scheme: str
) -> None:
    url, key, _ = service
    page = browser.new_context(
        color_scheme=scheme, viewport={"width": 390, "height": 844}
    ).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url)
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    expect(dialog).to_be_visible()
    field = dialog.get_by_label("API key")
    expect(field).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(dialog).to_contain_text("That key does not work")
    with page.expect_response(lambda answer: "/v1/" in answer.url and answer.ok):
        page.keyboard.type(f" {key} ")
        page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    with page.expect_response(lambda answer: "/v1/" in answer.url and answer.ok):
        page.reload()
    expect(dialog).to_have_count(0)
    kept = page.evaluate("[Object.values(localStorage), document.cookie]")
    assert kept == [[], ""]
    assert errors == []
    other = browser.new_page()
    other.goto(url)
    expect(other.get_by_role("dialog")).to_be_visible()


def test_the_status_says_which_key_it_takes_and_asks_for_another_one(
    browser: Browser, service: tuple[str, str, str]
) -> None:
    url, key, reader = service
    page = browser.new_context().new_page()
    page.goto(f"{url}status")
    dialog = page.get_by_role("dialog", name="This service asks for a key")
    dialog.get_by_label("API key").fill(reader)
    page.keyboard.press("Enter")
    expect(page.locator("#ready")).to_contain_text("a key with the scope admin")
    expect(page.locator("#failures")).to_be_hidden()
    page.get_by_role("button", name="Use another key").click()
    dialog.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    tiles = page.locator("#tiles .tile")
    expect(tiles.nth(0)).to_have_text("Waiting42.5 MB of uploads, with those in hand")
    expect(tiles.nth(1)).to_have_text("In hand3the oldest picture came 12 s ago")
    expect(tiles.nth(2)).to_contain_text("Images with faces")
    expect(page.get_by_role("button", name="Use another key")).to_be_hidden()


def test_a_key_sees_its_own_collections_and_no_other_name(
    browser: Browser, service: tuple[str, str, str], api: Api
) -> None:
    url, every, _ = service
    for name in ("holiday", "secret", "work"):
        api.collections.create(name, PolicyChange())
    key, text = new_key("carl", list(Scope), ["holiday", "work"], 1.0)
    api.keys.add(key)
    lone, lone_text = new_key("dora", list(Scope), ["work"], 1.0)
    api.keys.add(lone)

    def window(key: str, path: str) -> Any:
        page = browser.new_context().new_page()
        page.add_init_script(f"sessionStorage.setItem('facematch-key', '{key}')")
        page.goto(url + path)
        page.wait_for_selector("main[data-ready]")
        return page

    page = window(text, "c/holiday/people")
    choice = page.get_by_label("Collection")
    expect(choice).to_have_value("holiday")
    assert choice.locator("option").all_inner_texts() == ["holiday", "work"]
    assert page.title() == "People · holiday · facematch"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    choice.select_option("work")
    page.wait_for_url(f"{url}c/work/people")
    expect(page.locator("#none")).to_be_visible()
    page.get_by_role("link", name="Search").click()
    page.wait_for_url(f"{url}c/work/search")
    assert page.title() == "Search · work · facematch"
    about = [
        one for one in asked if "/v1/" in one and not one.endswith("/v1/collections?limit=200")
    ]
    assert about
    assert all("/v1/collections/work/" in one for one in about)

    # One that is not theirs looks like one that is not there, and nothing of it is told.
    for name in ("secret", "nowhere", "default"):
        page = window(text, f"c/{name}/people")
        expect(page.locator("h1")).to_have_text("No such collection")
        assert page.locator("main .others a").all_inner_texts() == ["holiday", "work"]
        expect(page.get_by_label("Collection")).to_be_hidden()
        page.get_by_role("link", name="work").click()
        page.wait_for_url(f"{url}c/work/")

    # Who has a key for one collection only is led there from the front door.
    page = window(lone_text, "")
    page.wait_for_url(f"{url}c/work/")
    expect(page.get_by_label("Collection")).to_be_hidden()
    page = window(every, "")
    expect(page.locator("#drop")).to_be_visible()
    expect(page.get_by_label("Collection")).to_be_hidden()
