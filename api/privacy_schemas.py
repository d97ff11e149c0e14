"""The shapes of the rules of a collection."""

from pydantic import BaseModel, ConfigDict, Field

from facematch.privacy import Rules

_MOST_DAYS = 36_525


class RulesIn(BaseModel):
    """The rules from now on."""

    model_config = ConfigDict(extra="forbid")
    keep_days: float | None = Field(
        None,
        gt=0,
        le=_MOST_DAYS,
        allow_inf_nan=False,
        strict=True,  # `true` is no day
        description="an image is erased by itself so many days after it was submitted; null: never",
    )
    strict: bool = Field(
        False,
        strict=True,
        description="submissions without `purpose` and `legal_basis` are refused",
    )


class RulesOut(BaseModel):
    """The rules of a collection."""

    keep_days: float | None
    strict: bool

    @classmethod
    def of(cls, rules: Rules) -> "RulesOut":
        """Show them."""
        return cls(keep_days=rules.keep_days, strict=rules.strict)
