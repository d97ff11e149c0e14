"""Why a submission may be made: what its request says of purpose, legal basis and consent."""

import unicodedata

from flask import has_request_context, request

from facematch.errors import Rejected
from facematch.privacy import HEADERS, MOST_WORD, Basis


def basis_here() -> Basis:
    """That of the request that is being answered; none where there is no request.

    Raises Rejected("bad_request") for words that are too long or have control characters.
    """
    if not has_request_context():
        return Basis()
    return Basis(*(_word(*names) for names in HEADERS.items()))


def _word(name: str, header: str) -> str:
    sent = request.headers.get(header)
    word = (_decoded(sent, name) if sent else request.args.get(name, "")).strip(" ")
    if len(word) > MOST_WORD:
        raise Rejected("bad_request", f"{name} has at most {MOST_WORD} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in word):
        raise Rejected("bad_request", f"{name} has no control characters in it")
    return word


def _decoded(sent: str, name: str) -> str:
    try:
        return sent.encode("latin-1").decode()
    except UnicodeError:
        raise Rejected("bad_request", f"{name} is not UTF-8") from None
