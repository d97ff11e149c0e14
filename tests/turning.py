"""A reindex taken on as far as its phase lets it."""

from facematch.reindexing import Phase, Reindex, Reindexing


def turn(reindexing: Reindexing, about: Reindex, *, ends: bool) -> bool:
    """End it, or switch or roll it back where it is ready for that; whether anything was done."""
    if ends:
        switched = about.phase is Phase.SWITCHED
        (reindexing.drop if switched else reindexing.cancel)(about.id)
    elif about.phase is Phase.BUILT:
        reindexing.switch(about.id)
    elif about.phase is Phase.SWITCHED:
        reindexing.rollback(about.id)
    else:
        return False
    return True
