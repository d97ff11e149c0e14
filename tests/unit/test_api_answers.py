"""What answers have around them: tags, gzip, what other origins may do; and the page of the
interface."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_parts import Api, running_api
from flask.testing import FlaskClient

from facematch.errors import Misconfigured
from facematch.privacy import HEADERS
from facematch.settings import load

PAGE = "https://page.example"
ASKED = {"Origin": PAGE, "Access-Control-Request-Method": "DELETE"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, cors_origins=f"{PAGE},http://localhost:8000") as api:
        yield api


@pytest.fixture
def client(api: Api) -> FlaskClient:
    return api.app.test_client()


def submit(client: FlaskClient, data: bytes, name: str = "a.jpg") -> None:
    assert client.post("/v1/images", query_string={"name": name}, data=data).status_code in (
        200,
        202,
    )


class TestETag:
    def test_who_has_the_answer_is_not_sent_it_again(self, api: Api, client: FlaskClient) -> None:
        submit(client, b"one")
        path = f"/v1/images/{api.finish(b'one')}/matches"
        first = client.get(path)
        tag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "private, no-cache"
        for known in (tag, f'"other", {tag}', "*"):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
        for other in ('"other"', "nonsense", ""):
            assert client.get(path, headers={"If-None-Match": other}).json == first.json
        # Another page is another answer.
        assert client.get(f"{path}?max_distance=0.1").headers["ETag"] == tag
        assert client.get(f"{path}?limit=1").headers["ETag"] == tag

    def test_whatever_the_page_shows_changes_the_tag(self, api: Api, client: FlaskClient) -> None:
        submit(client, b"one")
        image = api.finish(b"one")
        path = f"/v1/images/{image}/matches"
        seen = {client.get(path).headers["ETag"]}

        def changed() -> None:
            answer = client.get(path, headers={"If-None-Match": ", ".join(seen)})
            assert answer.status_code == 200
            seen.add(answer.headers["ETag"])

        submit(client, b"two", "b.jpg")
        other = api.finish(b"two", [(b"one", 0.25)])
        changed()
        submit(client, b"two", "c.jpg")  # a name of the other image
        changed()
        submit(client, b"three")
        api.finish(b"three")  # the collection is complete up to a later image
        changed()
        assert client.delete(f"/v1/images/{other}").status_code == 204
        changed()
        known = {"If-None-Match": ", ".join(seen)}
        assert client.delete(f"/v1/images/{image}").status_code == 204
        assert client.get(path, headers=known).status_code == 410

    def test_what_is_not_known_yet_has_none(self, api: Api, client: FlaskClient) -> None:
        submit(client, b"one")
        image = api.commit(api.next_job(), b"one").image
        answer = client.get(f"/v1/images/{image}/matches", headers={"If-None-Match": "*"})
        assert (answer.status_code, answer.headers.get("ETag")) == (202, None)


class TestGzip:
    def long_answer(self, api: Api, client: FlaskClient) -> str:
        submit(client, b"one")
        image = api.finish(b"one")
        for number in range(10):
            submit(client, b"%d" % number, f"{number}.jpg")
            api.finish(b"%d" % number, [(b"one", 0.5)])
        return f"/v1/images/{image}/matches"

    def test_long_answers_for_who_takes_it(self, api: Api, client: FlaskClient) -> None:
        path = self.long_answer(api, client)
        plain = client.get(path)
        assert "Content-Encoding" not in plain.headers
        assert "Accept-Encoding" in plain.vary
        short = client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})
        assert short.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in short.vary
        assert int(short.headers["Content-Length"]) == len(short.data) < len(plain.data) / 2
        assert gzip.decompress(short.data) == plain.data
        assert short.headers["ETag"] == plain.headers["ETag"]
        refused = client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
        assert refused.data == plain.data

    def test_not_what_is_short_and_no_file(self, client: FlaskClient) -> None:
        for path in ("/healthz", "/nothing", "/static/page.js"):
            with client.get(path, headers={"Accept-Encoding": "gzip"}) as answer:
                assert "Content-Encoding" not in answer.headers


class TestOtherOrigins:
    def test_a_page_that_may_is_told_so(self, client: FlaskClient) -> None:
        for path in ("/healthz", "/v1/jobs/none", "/nothing"):
            headers = client.get(path, headers={"Origin": PAGE}).headers
            assert headers["Access-Control-Allow-Origin"] == PAGE
            assert "ETag" in headers["Access-Control-Expose-Headers"]
            assert "Access-Control-Allow-Credentials" not in headers
        answer = client.options("/v1/images/x", headers=ASKED)
        assert answer.status_code == 200
        methods = set().union(*(rule.methods for rule in client.application.url_map.iter_rules()))
        allowed = answer.headers["Access-Control-Allow-Methods"].split(", ")
        assert set(allowed) >= methods - {"OPTIONS"}
        asked_with = answer.headers["Access-Control-Allow-Headers"].split(", ")
        assert {"Authorization", *HEADERS.values()} <= set(asked_with)

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", f"{PAGE}.evil.example", "http://page.example"]
    )
    def test_no_other_is(self, client: FlaskClient, origin: str) -> None:
        for answer in (
            client.get("/healthz", headers={"Origin": origin}),
            client.options("/v1/images/x", headers={**ASKED, "Origin": origin}),
        ):
            assert not [name for name, _ in answer.headers if "Access-Control" in name]
            assert "Origin" in answer.vary

    def test_all_may_where_that_is_set_and_none_where_nothing_is(self, tmp_path: Path) -> None:
        for origins, told in (("*", "*"), ("", None)):
            with running_api(tmp_path / origins, cors_origins=origins) as api:
                answer = api.app.test_client().get("/healthz", headers={"Origin": "https://x"})
            assert answer.headers.get("Access-Control-Allow-Origin") == told

    @pytest.mark.parametrize(
        "value", ["page.example", "https://page.example/", "https://page.example,null", "https://"]
    )
    def test_what_is_no_origin_is_refused(
        self, value: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FACEMATCH_CORS_ORIGINS", value)
        with pytest.raises(Misconfigured, match="FACEMATCH_CORS_ORIGINS"):
            load()


def test_the_page_of_the_interface_has_every_route_and_nothing_from_elsewhere(
    client: FlaskClient,
) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    for path, operations in client.get("/openapi.json").json["paths"].items():
        # What is there for each collection is shown once.
        once = path.replace("/v1/collections/{collection}/", "/v1/")
        for method in operations:
            assert f'id="{method}-{once}"' in answer.text
    places = set(re.findall(r'id="([^"]+)"', answer.text))
    for link in re.findall(r'(?:href|src)="([^"]+)"', answer.text):
        if link.startswith("#"):
            assert link[1:] in places
        else:
            with client.get(link) as found:
                assert found.status_code == 200, link
    assert "None" not in re.sub("If-None-Match", "", answer.text)
    assert "<script" not in answer.text
