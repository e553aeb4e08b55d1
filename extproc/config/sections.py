"""The parts of extproc.yaml about the gateway itself: where it listens, who counts, policy, records, limits, times."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from extproc.config.fields import Address, IssuerUrl, Level, Origin, Seconds, Section, Text, unique

ALGORITHMS = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Control(Section):
    listen: Address = "127.0.0.1:8081"
    public_url: str = ""


class Metrics(Section):
    listen: Address = "127.0.0.1:8082"


class JobIssuer(Section):
    issuer: IssuerUrl
    audience: Text
    algorithms: list[ALGORITHMS] = ["RS256", "ES256"]
    groups_claim: str = "groups"


class PeopleIssuer(JobIssuer):
    actor_claim: str = "preferred_username"


class DevIssuer(Section):
    listen: Address = "127.0.0.1:8083"


class IdentitySection(Section):
    jobs: Annotated[list[JobIssuer], Field(min_length=1)]
    people: list[PeopleIssuer] = []
    actors: dict[str, str] = {}
    dev_issuer: DevIssuer | None = None

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        # A job chooses its token's audience, so only the issuer keeps it from what people may do.
        both = {rule.issuer for rule in self.jobs} & {rule.issuer for rule in self.people}
        if both:
            raise ValueError(f"expected different issuers for jobs and people; {min(both)} is in both")
        # Only one rule for an issuer could count, and nothing would say which.
        unique("issuer", [rule.issuer for rule in (*self.jobs, *self.people)])
        return self


class PolicySection(Section):
    engine: Literal["embedded", "opa"] = "embedded"
    path: str | None = None
    url: Origin | None = None
    timeout: Annotated[float, Field(gt=0, le=60)] = 1.0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.engine == "embedded" and not self.path:
            raise ValueError("expected `path`, the folder of the policy, with engine: embedded")
        if self.engine == "opa" and not self.url:
            raise ValueError("expected `url`, the address of the OPA server, with engine: opa")
        return self


class Recording(Section):
    level: Level = "full"
    body_limit: Annotated[int, Field(ge=0, le=1 << 30)] = 1 << 20


class LimitsSection(Section):
    request_body: Annotated[int, Field(ge=0, le=1 << 28)] = 8 << 20
    request_bodies: Annotated[int, Field(ge=0, le=1 << 34)] = 256 << 20
    statement: Annotated[int, Field(ge=1 << 10, le=1 << 26)] = 1 << 20
    row: Annotated[int, Field(ge=1 << 16, le=1 << 30)] = 64 << 20


class Timeouts(Section):
    """Seconds. `hold` bounds every hold, whatever policy says."""

    idle: Seconds = 300.0
    record: Seconds = 5.0
    hold: Annotated[float, Field(gt=0, le=3500)] = 3500.0
    drain: Annotated[float, Field(gt=0, le=600)] = 8.0
