"""The routes about people: who is who, and what somebody says of it."""

from apiflask import APIBlueprint

from api import cursors
from api.body import read_document
from api.openapi import problems
from api.people_schemas import (
    FacesIn,
    ImagePeopleOut,
    MergeIn,
    NameIn,
    OthersOut,
    PeopleOut,
    PeopleQuery,
    PersonOut,
    PersonPageOut,
    PersonQuery,
)
from api.schemas import Answer
from api.scopes import needs
from api.submission import clean_name
from facematch.errors import Rejected
from facematch.faces import is_image_hash
from facematch.keys import Scope
from facematch.people import PeopleFront


def blueprint(people: PeopleFront) -> APIBlueprint:
    """The routes about people, and that of the people of an image."""
    routes = APIBlueprint("people", __name__, tag="People")

    @routes.get("/people")
    @routes.input(PeopleQuery, location="query")
    @routes.output(PeopleOut)
    @routes.doc(responses=problems(400, 503))
    @needs(Scope.READ)
    def everybody(query_data: PeopleQuery) -> Answer:
        """The people of the collection, those with most faces first"""
        after = cursors.decode_people(query_data.cursor) if query_data.cursor else None
        return PeopleOut.of(people.people(query_data.limit, after, query_data.fewest))

    @routes.get("/people/<person>")
    @routes.input(PersonQuery, location="query")
    @routes.output(PersonPageOut)
    @routes.doc(responses=problems(400, 404, 503))
    @needs(Scope.READ)
    def person(person: str, query_data: PersonQuery) -> Answer:
        """A person: faces and images"""
        after = cursors.decode_face(query_data.cursor) if query_data.cursor else 0
        return PersonPageOut.of(people.person(person, query_data.limit, after))

    @routes.patch("/people/<person>")
    @routes.output(PersonOut)
    @routes.doc(responses=problems(400, 404, 413, 503))
    @needs(Scope.SUBMIT)
    def name(person: str) -> Answer:
        """Name a person"""
        return PersonOut.of(people.rename(person, clean_name(read_document(NameIn).name)))

    @routes.post("/people/<person>/merge")
    @routes.output(PersonOut)
    @routes.doc(responses=problems(400, 404, 413, 503))
    @needs(Scope.SUBMIT)
    def merge(person: str) -> Answer:
        """Say that other people are this person"""
        others = dict.fromkeys(read_document(MergeIn).people)
        # That they are themselves need not be said.
        others.pop(person, None)
        return PersonOut.of(
            people.merge(person, list(others)) if others else people.person(person, 1).person
        )

    @routes.post("/people/<person>/split")
    @routes.output(OthersOut)
    @routes.doc(responses=problems(400, 404, 409, 413, 503))
    @needs(Scope.SUBMIT)
    def split(person: str) -> Answer:
        """Say that some faces are one other person"""
        faces = [face.key for face in read_document(FacesIn).faces]
        return OthersOut.of(people.split(person, faces, together=True))

    @routes.post("/people/<person>/exclude")
    @routes.output(OthersOut)
    @routes.doc(responses=problems(400, 404, 409, 413, 503))
    @needs(Scope.SUBMIT)
    def exclude(person: str) -> Answer:
        """Say that some faces are not this person, whoever they are"""
        faces = [face.key for face in read_document(FacesIn).faces]
        return OthersOut.of(people.split(person, faces, together=False))

    @routes.get("/images/<image>/people")
    @routes.output(ImagePeopleOut)
    @routes.doc(responses=problems(400, 404, 503))
    @needs(Scope.READ)
    def of_image(image: str) -> Answer:
        """Who is on an image"""
        if not is_image_hash(image):
            raise Rejected("bad_hash")
        return ImagePeopleOut.of(image, people.people_of(image))

    return routes
