"""The web page: one template for each of its views.

A template has all words and forms of its view; what is in the collection the browser asks the REST
interface for. A key that somebody has typed in lies in the browser and comes along with those
requests only, so nothing of a collection may be in a template: that of a collection which is not
there, or which the key is not for, is the same but for the name in its address.
"""

from dataclasses import dataclass

from apiflask import APIBlueprint
from flask import current_app, make_response, render_template
from flask.wrappers import Response

from api.collection_of import SHORT, collection_of_request, path_here
from api.scopes import open_to_all
from facematch import __version__
from facematch.collection_name import DEFAULT

#: Where the views of a collection are other than the default one.
LONG = "/c/<collection>"

#: What the page offers only where there is a route for it.
_OFFERS = {"search": "/search", "events": "/events", "pairs": "/faces/<face>/matches"}


@dataclass(frozen=True)
class Showing:
    """Which pictures the page shows besides those that were sent from it: `thumbnails`: those that
    are kept; `origins`: those behind a URL that begins so."""

    thumbnails: bool = False
    origins: tuple[str, ...] = ()


def blueprint(showing: Showing = Showing()) -> APIBlueprint:
    """`GET /`, and the other views; `GET /c/<collection>/` and so on."""
    routes = APIBlueprint("page", __name__, enable_openapi=False)

    def show(view: str, **values: str) -> Response:
        collection = collection_of_request()
        rules = {rule.rule for rule in current_app.url_map.iter_rules()}
        offers = [name for name, route in _OFFERS.items() if SHORT + route in rules]
        text = render_template(
            f"{view}.html",
            view=view,
            version=__version__,
            collection=collection,
            base="" if collection == DEFAULT else LONG.replace("<collection>", collection),
            api=path_here(""),
            offers=offers + ["thumbnails"] * showing.thumbnails,
            origins=showing.origins,
            **values,
        )
        answer = make_response(text)
        answer.headers["Content-Security-Policy"] = policy(showing.origins)
        return answer

    @routes.get("/")
    @open_to_all
    def upload() -> Response:
        return show("upload")

    @routes.get("/images/<image>")
    @open_to_all
    def image(image: str) -> Response:
        return show("image", image=image)

    @routes.get("/people")
    @open_to_all
    def people() -> Response:
        return show("people")

    @routes.get("/people/<person>")
    @open_to_all
    def person(person: str) -> Response:
        return show("person", person=person)

    @routes.get("/search")
    @open_to_all
    def search() -> Response:
        return show("search")

    @routes.get("/status")
    @open_to_all
    def status() -> Response:
        return show("status")

    return routes


def policy(origins: tuple[str, ...] = ()) -> str:
    """The Content-Security-Policy of every answer; `origins`: where pictures may come from, too."""
    pictures = " ".join(("'self'", "blob:", *origins))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        f"img-src {pictures}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
