"""Who calls: a valid token of our issuer, or one refusal that tells nothing."""

import base64
import json
import os
import time
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.kit.http.tokens import TokenReader, TokenRefused
from services.kit.ids import new_id
from tests.kit.lamps import Running
from tests.serving import KEY_ID, make_token, public_keys, signing_key

REFUSED = {
    "type": "about:blank",
    "title": "A valid access token is needed",
    "status": 401,
    "code": "kit.unauthenticated",
}


def make_claims(**given) -> dict:
    claims = {
        "iss": "baton",
        "aud": "baton",
        "sub": "s",
        "exp": int(time.time()) + 3600,
        "roles": ["steward"],
    }
    return {name: value for name, value in {**claims, **given}.items() if value is not None}


def sign(key, algorithm="EdDSA", kid=KEY_ID, header=None, **given) -> str:
    head = {"kid": kid, **(header or {})}
    return jwt.encode(make_claims(**given), key, algorithm=algorithm, headers=head)


def encode(part) -> str:
    written = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(written).rstrip(b"=").decode()


def forge(header, claims=None, signature=b"") -> str:
    return f"{encode(header)}.{encode(claims or make_claims())}.{encode(signature)}"


def sign_symmetrically() -> str:
    public = signing_key().public_key()
    return sign(public.public_bytes(Encoding.Raw, PublicFormat.Raw), "HS256")


own, other = signing_key(), Ed25519PrivateKey.generate()
now = int(time.time())
WRONG = {
    "nothing": "",
    "no token": "abc",
    "three dots": "a.b.c.d",
    "no algorithm": jwt.encode(make_claims(), None, algorithm="none", headers={"kid": KEY_ID}),
    "no algorithm, written otherwise": forge({"alg": "NoNe", "kid": KEY_ID}),
    "the public key as a secret": sign_symmetrically(),
    "another algorithm": sign(ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "another algorithm's name": forge({"alg": "RS256", "kid": KEY_ID}, signature=b"x" * 64),
    "a key nobody knows": sign(own, kid="foreign"),
    "no key's name": jwt.encode(make_claims(), own, algorithm="EdDSA"),
    "another's key": sign(other),
    "a key of its own": sign(
        other, header={"jwk": jwt.algorithms.OKPAlgorithm.to_jwk(other.public_key(), as_dict=True)}
    ),
    "a key from elsewhere": sign(other, kid="x", header={"jku": "https://evil.example/jwks.json"}),
    "an extension we must know": sign(own, header={"crit": ["exp"]}),
    "expired": sign(own, exp=now - 61),
    "of the future": sign(own, nbf=now + 86_400),
    "issued in the future": sign(own, iat=now + 86_400),
    "for another service": sign(own, aud="bank"),
    "of another issuer": sign(own, iss="mallory"),
    "without an end": sign(own, exp=None),
    "without an audience": sign(own, aud=None),
    "without an issuer": sign(own, iss=None),
    "without a subject": sign(own, sub=None),
    "an end that is no number": sign(own, exp="soon"),
    "an end beyond all numbers": forge({"alg": "EdDSA", "kid": KEY_ID}, claims={"exp": 1e308}),
    "roles that are none": sign(own, roles=7),
    "a household that is none": sign(own, household_id="next door"),
    "a household that is a number": sign(own, household_id=7),
    "zones that are none": sign(own, zone_ids=["everywhere"]),
    "a header of no kind": forge([1]),
    "a header nested deeply": forge(b"[" * 5000),
    "a header with an endless number": forge(b'{"alg": ' + b"9" * 5000 + b"}"),
    "a changed subject": ".".join(
        [*(parts := sign(own).split("."))[:1], encode(make_claims(sub="commander")), parts[2]]
    ),
    "100 KB": sign(own, words="x" * 100_000),
}


@pytest.mark.parametrize("token", WRONG.values(), ids=WRONG.keys())
async def test_whatever_is_wrong_with_a_token_the_answer_is_the_same(lamps: Running, token) -> None:
    answer = await lamps.client.get("/v1/lamps", headers={"authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()) == (401, REFUSED)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("given", [{}, {"authorization": "Basic eDp5"}, {"authorization": "Bearer \xff\xfe"}])
async def test_without_a_token_the_answer_is_the_same(lamps: Running, given: dict) -> None:
    head = httpx.Headers(given, encoding="latin-1")
    answer = await lamps.client.get("/v1/lamps", headers=head)
    assert (answer.status_code, answer.json()) == (401, REFUSED)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(public_keys()))
    return path


def read_by(keys: Path) -> TokenReader:
    return TokenReader(keys, issuer="baton", audience="baton")


def test_a_token_tells_who_calls_and_what_for(keys: Path) -> None:
    person, household, zone = new_id(), new_id(), new_id()
    token = make_token("steward", "leader", subject=person, household_id=household, zone_ids=[zone])
    caller = read_by(keys).read(token)
    assert (caller.subject, caller.person_id) == (str(person), person)
    assert caller.roles == {"steward", "leader"}
    assert (caller.household_id, caller.outlet_id, caller.zone_ids) == (household, None, (zone,))


def test_a_clock_a_little_apart_does_no_harm(keys: Path) -> None:
    at = int(time.time())
    for claims in ({"exp": at - 50}, {"nbf": at + 50}, {"iat": at + 50}):
        assert read_by(keys).read(sign(own, **claims)).subject == "s"


@pytest.mark.parametrize("make", [lambda: ec.generate_private_key(ec.SECP256R1())])
def test_a_key_of_another_allowed_kind_serves_as_well(tmp_path: Path, make) -> None:
    private = make()
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(private.public_key(), as_dict=True)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [{**jwk, "kid": KEY_ID, "alg": "ES256"}]}))
    assert read_by(keys).read(sign(private, "ES256")).subject == "s"


def test_keys_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    strange = [{"kid": "e", "kty": "RSA", "alg": "RSA-OAEP", "n": "AQ", "e": "AQAB"}, {"kty": "OKP"}]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": strange + public_keys()["keys"]}))
    assert read_by(keys).read(sign(own)).subject == "s"


def test_a_verified_token_is_not_verified_again_until_it_ends(keys: Path) -> None:
    reader = read_by(keys)
    token = make_token("steward")
    first = reader.read(token)
    assert reader.read(token) is first
    ended = sign(own, exp=int(time.time()) - 30)
    assert reader.read(ended) is not reader.read(ended)


def test_a_key_that_goes_takes_its_tokens_with_it_and_a_new_one_is_known_at_once(keys: Path) -> None:
    reader = read_by(keys)
    old = make_token("steward")
    reader.read(old)
    jwk = jwt.algorithms.OKPAlgorithm.to_jwk(other.public_key(), as_dict=True)
    fresh = keys.with_name("fresh.json")
    fresh.write_text(json.dumps({"keys": [{**jwk, "kid": "next", "alg": "EdDSA"}]}))
    os.replace(fresh, keys)  # noqa: PTH105 - as those who rotate do
    assert reader.read(sign(other, kid="next")).subject == "s"
    with pytest.raises(TokenRefused):
        reader.read(old)


@pytest.mark.parametrize("written", ['{"keys": [', '{"keys": 1}', "[]", ""])
def test_keys_half_written_leave_the_keys_of_before(keys: Path, written: str) -> None:
    reader = read_by(keys)
    token = make_token("steward")
    reader.read(token)
    keys.write_text(written)
    assert reader.read(token).roles == {"steward"}
    keys.unlink()
    assert reader.read(make_token("guard")).roles == {"guard"}


async def test_without_any_key_file_the_caller_is_told_to_come_again(lamps: Running, tmp_path: Path) -> None:
    (tmp_path / "keys.json").unlink()
    answer = await lamps.client.get("/v1/lamps", headers={"authorization": f"Bearer {make_token('steward')}"})
    assert (answer.status_code, answer.json()["code"]) == (503, "kit.unavailable")
