"""The views of the web page: what is in them, and what they are allowed to load."""

import re
from pathlib import Path

import pytest
from api_parts import Api, running_api

from facematch.errors import Misconfigured
from facematch.settings import load

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "api" / "static"
VIEWS = ["/", f"/images/{'0' * 64}", "/people", "/people/0123456789abcdef", "/search", "/status"]


@pytest.fixture
def api(tmp_path: Path):
    with running_api(tmp_path) as api:
        yield api


@pytest.mark.parametrize("path", VIEWS)
def test_a_view_loads_nothing_but_what_is_here(api: Api, path: str) -> None:
    client = api.app.test_client()
    answer = client.get(path)
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    loaded = re.findall(r'<(?:link|script|img)[^>]*(?:href|src)="([^"]*)"', answer.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/static/")
        with client.get(address) as file:
            assert file.status_code == 200, address
    # Neither styles nor scripts in the text: the policy would refuse them.
    assert not re.search(r"<style|style=|<script>|\son\w+=|javascript:", answer.text)


def test_every_module_that_is_imported_is_there() -> None:
    modules = {file.name for file in (STATIC / "page").glob("*.js")}
    for file in (STATIC / "page").glob("*.js"):
        named = re.findall(r'from "\./([^"]+)"', file.read_text())
        assert set(named) <= modules, file.name
        assert "innerHTML" not in file.read_text(), "names and errors are text, not markup"
    views = {file.stem for file in (ROOT / "api" / "templates").glob("[a-z]*.html")} - {
        "docs",
        "layout",
    }
    assert {f"{view}.js" for view in views} <= modules


def test_what_is_in_an_address_is_text_in_the_view(api: Api) -> None:
    answer = api.app.test_client().get('/images/"><script>alert(1)<%2fscript>')
    assert "<script>alert" not in answer.text


def test_pictures_come_from_where_the_operator_says(tmp_path: Path) -> None:
    origins = "https://a.example, http://b.example:8080"
    with running_api(tmp_path, picture_origins=origins, keep_thumbnails=True) as api:
        answer = api.app.test_client().get("/people")
    policy = answer.headers["Content-Security-Policy"]
    assert "img-src 'self' blob: https://a.example http://b.example:8080;" in policy
    assert 'data-origins="https://a.example http://b.example:8080"' in answer.text
    assert "thumbnails" in re.search(r'data-offers="([^"]*)"', answer.text)[1].split()


@pytest.mark.parametrize("wrong", ["a.example", "https://", "https://a.example/x", "https://*;x"])
def test_an_origin_that_is_none_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEMATCH_PICTURE_ORIGINS", wrong)
    with pytest.raises(Misconfigured, match="FACEMATCH_PICTURE_ORIGINS"):
        load()


def test_a_view_offers_what_there_is_a_route_for(api: Api) -> None:
    client = api.app.test_client()
    there = set(client.get("/openapi.json").json["paths"])
    offers = re.search(r'data-offers="([^"]*)"', client.get("/").text)[1].split()
    assert ("search" in offers) == ("/v1/search" in there)
    assert ("events" in offers) == ("/v1/events" in there)
    assert "thumbnails" not in offers


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_is_there_for_any_collection(api: Api, view: str) -> None:
    client = api.app.test_client()
    short, answer = client.get(view), client.get(f"/c/holiday{view}")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"] == short.headers["Content-Security-Policy"]
    assert 'data-api="/v1/collections/holiday"' in answer.text
    assert " · holiday · facematch</title>" in answer.text
    # It differs from that of the default one in nothing but the name: every link leads to the same
    # collection, and a collection that is not there looks like one that is.
    named = answer.text.replace("/v1/collections/holiday", "/v1").replace("/c/holiday", "")
    named = named.replace(" holiday ·", "").replace('"holiday"', '"default"')
    assert named == short.text
    links = re.findall(r'href="(/[^"]*)"', answer.text)
    outside = {link for link in links if not link.startswith("/c/holiday/")}
    assert {link for link in outside if not link.startswith("/static/")} == {"/docs"}


def test_the_long_form_of_the_default_collection_is_the_short_one(api: Api) -> None:
    client = api.app.test_client()
    assert client.get("/c/default/people").text == client.get("/people").text
    assert client.get("/c/holiday").location.endswith("/c/holiday/")


def test_what_is_no_name_of_a_collection_has_no_views(api: Api) -> None:
    answer = api.app.test_client().get("/c/No%20Name/people")
    assert (answer.status_code, answer.json["code"]) == (404, "unknown_collection")
