"""A phone: an account over gRPC, and SMS for it. No generated code, and nothing of the node's own client."""

import base64
import json
import hashlib
import hmac
import time
import urllib.parse
import urllib.request

import grpc
from cryptography.fernet import Fernet

import wire

REDIRECT = "https://relay.smswithoutborders.com/android"
CALL_S = 30
# Apps with Fernet's usual validator refuse a token that is older.
TOKEN_AGE_S = 60


class Refused(Exception):
    """A call that ended with a status other than OK."""

    def __init__(self, error):
        super().__init__(f"{error.code().name}: {error.details()}")
        self.code, self.text = error.code().name, error.details()


class Service:
    """One gRPC service, called with field numbers."""

    def __init__(self, channel, name):
        self.channel, self.name = channel, name

    def __call__(self, method, fields):
        call = self.channel.unary_unary(f"/{self.name}/{method}", wire.proto, wire.unproto)
        try:
            return call(fields, timeout=CALL_S)
        except grpc.RpcError as error:
            raise Refused(error) from None


def text(answer, number):
    return answer.get(number, [b""])[-1].decode()


def flag(answer, number):
    return bool(answer.get(number, [0])[-1])


def texts(answer, number):
    entries = [wire.unproto(raw) for raw in answer.get(number, [])]
    return {text(entry, 1): text(entry, 2) for entry in entries}


def channel(url):
    return grpc.insecure_channel(url.split("://")[-1])


class Phone:
    """Somebody's phone. Each method is one thing that the app does."""

    def __init__(self, open_channel, number, country):
        self.vault = Service(open_channel, "vault.v1.Entity")
        self.publisher = Service(open_channel, "publisher.v1.Publisher")
        self.number, self.country = number, country
        self.token = self.session = self.device = None

    # --- account ---

    def _phase(self, method, fields, publish_field, code_field, code):
        """One phase of three calls that differ in field numbers; keys are fresh in each, as in the apps."""
        publish, device = wire.new_key(), wire.new_key()
        keys = [base64.b64encode(wire.public(key)).decode() + "\n" for key in (publish, device)]
        fields = fields | {publish_field: keys[0], publish_field + 1: keys[1], code_field: code}
        answer = self.vault(method, fields)
        if text(answer, 2):
            self._keep(answer, publish, device)
        return answer

    def sign_up(self, password, code="", country=None):
        fields = {1: country or self.country, 2: self.number, 3: password}
        return self._phase("CreateEntity", fields, 4, 6, code)

    def log_in(self, password, code=""):
        return self._phase("AuthenticateEntity", {1: self.number, 2: password}, 3, 5, code)

    def reset(self, password, code=""):
        return self._phase("ResetPassword", {1: self.number, 2: password}, 3, 5, code)

    def _keep(self, answer, publish, device):
        server_publish, server_device = (base64.b64decode(text(answer, at), validate=True) for at in (3, 4))
        shared = wire.agree(device, server_device)
        self.device = wire.device_id(shared, self.number, wire.public(device))
        fernet = Fernet(base64.urlsafe_b64encode(shared))
        sealed = base64.b64decode(text(answer, 2), validate=True)
        self.token = fernet.decrypt(sealed, ttl=TOKEN_AGE_S).decode()
        self.claims = self._claims(shared)
        self.session = wire.Session(publish, server_publish)

    def _claims(self, shared):
        """What the token says, after its signature was checked."""
        eid, jwt = self.token.split(":", 1)
        signed, signature = jwt.rsplit(".", 1)
        pad = lambda part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        assert hmac.digest(shared, signed.encode(), hashlib.sha256) == pad(signature), "the token's signature is wrong"
        head, claims = (json.loads(pad(part)) for part in signed.split("."))
        assert head["alg"] == "HS256" and claims["eid"] == eid, (head, claims)
        assert abs(claims["iat"] - time.time()) < TOKEN_AGE_S, claims
        return claims

    def new_password(self, old, new):
        return self.vault("UpdateEntityPassword", {1: self.token, 2: old, 3: new})

    def delete(self):
        return self.vault("DeleteEntity", {1: self.token})

    def stored(self, migrate=False):
        """Connected accounts: (platform, account, tokens, whether the tokens are on the phone)."""
        answer = self.vault("ListEntityStoredTokens", {1: self.token, 2: migrate})
        rows = [wire.unproto(raw) for raw in answer.get(1, [])]
        return [(text(row, 1), text(row, 2), texts(row, 3), flag(row, 4)) for row in rows]

    # --- platforms ---

    def authorization(self, platform):
        """The page to open, and the verifier to keep."""
        state = base64.b64encode(f"{platform},false".encode()).decode() + "\n"
        request = base64.b64encode(self.session.server).decode()
        fields = {1: platform, 2: state, 4: True, 5: REDIRECT, 6: request}
        answer = self.publisher("GetOAuth2AuthorizationUrl", fields)
        assert text(answer, 2) == state, "the state came back changed"
        return text(answer, 1), text(answer, 3), state

    def connect(self, platform, login):
        """Says yes on the platform's page as `login`, and brings the code back."""
        url, verifier, state = self.authorization(platform)
        place = consent(url + "&" + urllib.parse.urlencode({"login": login}))
        assert place.startswith(REDIRECT), place
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(place).query))
        assert query["state"] == state, "the platform got another state"
        return self.exchange(platform, query["code"], verifier)

    def exchange(self, platform, code, verifier):
        fields = {1: self.token, 2: platform, 3: code, 4: verifier, 5: REDIRECT, 6: False}
        return self.publisher("ExchangeOAuth2CodeAndStore", fields)

    def revoke(self, platform, account):
        return self.publisher("RevokeAndDeleteOAuth2Token", {1: self.token, 2: platform, 3: account})

    def publish(self, sms, metadata):
        return self.publisher("PublishContent", {1: sms, 2: metadata})

    # --- SMS ---

    def compose(self, version, account, words, letter="m", device=True, language="en", tokens=("", "")):
        """The payload of a post."""
        block = self.session.encrypt(wire.content(version, account, words, *tokens))
        return wire.platform_payload(version, letter, block, self.device if device else b"", language)

    def compose_image(self, account, words, image):
        """The payload of a post with an image, and the length of its text part."""
        content = wire.content(2, account, words)
        block = self.session.encrypt(image + content)
        return wire.platform_payload(2, "m", block, self.device), len(content)

    def compose_test(self, version, test_id):
        block = self.session.encrypt(wire.test_content(version, test_id))
        return wire.platform_payload(version, "r", block, self.device)

    def compose_mail(self, marker, *fields):
        """A bridge mail under the session of the account."""
        return wire.bridge_payload(marker, self.session.encrypt(wire.mail_content(marker, *fields)))


class Stranger:
    """A phone without account that writes mail: a key of its own, and one that came with the app."""

    def __init__(self, kid, server):
        self.key, self.kid = wire.new_key(), kid
        self.session = wire.Session(self.key, server)

    def compose_mail(self, marker, *fields, again=False, image=b"", language="en"):
        block = self.session.encrypt(image + wire.mail_content(marker, *fields))
        key = None if again else (self.kid, wire.public(self.key))
        return wire.bridge_payload(marker, block, key, language)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def consent(url):
    """Where the platform sends the browser."""
    try:
        with urllib.request.build_opener(_Stay).open(url, timeout=CALL_S) as answer:
            raise AssertionError(f"{answer.status} is no redirect")
    except urllib.error.HTTPError as answer:
        assert answer.code in (302, 303), (answer.code, answer.read())
        return answer.headers["Location"]
