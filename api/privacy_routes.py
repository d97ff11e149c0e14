"""The rules of a collection: how long images are kept, and whether submissions say why."""

from apiflask import APIBlueprint

from api.body import read_document
from api.collection_of import collection_of_request
from api.openapi import problems
from api.privacy_schemas import RulesIn, RulesOut
from api.schemas import Answer
from api.scopes import needs
from facematch.keys import Scope
from facematch.privacy import Privacy, Rules
from facematch.store import Front


def blueprint(privacy: Privacy, store: Front) -> APIBlueprint:
    """`GET` and `PUT /v1/privacy`."""
    routes = APIBlueprint("privacy", __name__, tag="Privacy")

    @routes.get("/privacy")
    @routes.output(RulesOut)
    @routes.doc(responses=problems(404, 503))
    @needs(Scope.READ)
    def rules() -> Answer:
        """How long images are kept, and whether submissions have to say why"""
        store.check()  # for the answer where there is no such collection
        return RulesOut.of(privacy.rules(collection_of_request()))

    @routes.put("/privacy")
    @routes.output(RulesOut)
    @routes.doc(responses=problems(400, 404, 413, 503))
    @needs(Scope.ADMIN)
    def rule() -> Answer:
        """Set both; what is left out is not asked for any more"""
        store.check()
        asked = read_document(RulesIn)
        privacy.rule(collection_of_request(), Rules(asked.keep_days, asked.strict))
        return RulesOut.of(privacy.rules(collection_of_request()))

    return routes
