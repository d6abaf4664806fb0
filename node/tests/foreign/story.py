#!/usr/bin/env python3
"""The life of an account, against running nodes: `story.py DEMO_JSON`. Ends with 0 if everything was as it must be."""

import base64
import json
import random
import re
import sys
import time
import urllib.parse

import vectors
import wire
from phone import Phone, Refused, Stranger, channel, text
from world import Inbox, MailServer, Platform, ask, eventually, forward

PASSWORD, SECOND, THIRD = "Mango-tree-7", "Papaya-tree-8", "Guava-tree-9"
INVALID_TOKEN = "The long-lived token is invalid. Please log in again to generate a new token."
OTP = "Your SMSWithoutBorders-Auth verification code is: "


def refused(code, start, call, *args, **more):
    """The call must be refused, with this status and a text that begins so."""
    try:
        call(*args, **more)
    except Refused as refusal:
        assert refusal.code == code and refusal.text.startswith(start), (code, start, str(refusal))
        return
    raise AssertionError(f"not refused: {code} {start}")


def some_number():
    return f"+23765{random.randrange(10**7):07}"


class Story:
    def __init__(self, told):
        home = told["nodes"][-1]
        self.told, self.home = told, home
        self.doors = [client["url"] for client in told["gateways"]]
        self.open_door = told["nodes"][0]["http"] + "/v3/publish"
        self.number = some_number()
        self.channel = channel(home["grpc"])
        self.inbox = Inbox(told["sms_outbox"], self.number)
        self.platform = Platform(told["platform_log"])
        self.phone = self.new_phone()
        self.login = f"foreign{random.randrange(10**6)}"

    def new_phone(self):
        return Phone(self.channel, self.number, "CM")

    def code(self):
        found = re.search(re.escape(OTP) + r"(\d{6})\b", self.inbox.take(OTP))
        return found.group(1)

    def hand_in(self, sms, door=None):
        status, answer = forward(door or self.doors[0], self.number, sms)
        assert status == 200 and re.match(r"accepted [0-9a-f]+|Successfully sent message", answer), (status, answer)

    # --- acts ---

    def signs_up(self):
        phone = self.phone
        refused("INVALID_ARGUMENT", "Missing required field: password", phone.sign_up, "")
        refused("INVALID_ARGUMENT", "Password must be at least 8 characters long", phone.sign_up, "Aa1!")
        refused("INVALID_ARGUMENT", "The phone number does not match the provided country code FR. Expected country "
                "code is CM.", phone.sign_up, PASSWORD, country="FR")
        keyless = {1: "CM", 2: self.number, 3: PASSWORD, 4: "AAAA", 5: "AAAA"}
        refused("INVALID_ARGUMENT", "The client_publish_pub_key field has an ", phone.vault, "CreateEntity", keyless)
        refused("NOT_FOUND", "Entity with this phone_number not found.", phone.log_in, PASSWORD)
        refused("UNAUTHENTICATED", "OTP not initiated. Request a new OTP first.", phone.sign_up, PASSWORD, "123456")

        answer = phone.sign_up(PASSWORD)
        assert answer[1] == [1] and text(answer, 5) == "OTP sent. Check your phone.", answer
        assert answer[6][0] > time.time(), "the next attempt is in the future"
        code = self.code()
        wrong = f"{(int(code) + 1) % 10**6:06}"
        refused("UNAUTHENTICATED", "Incorrect OTP. Try again.", phone.sign_up, PASSWORD, wrong)
        answer = phone.sign_up(PASSWORD, code)
        assert text(answer, 5) == "Entity created successfully" and phone.token, answer
        assert phone.claims["iss"] == "https://smswithoutborders.com", phone.claims
        assert phone.claims["exp"] - phone.claims["iat"] == 3650 * 86400, phone.claims
        refused("ALREADY_EXISTS", "Entity with this phone_number already exists.", phone.sign_up, PASSWORD)
        assert phone.stored() == []

    def connects(self):
        phone = self.phone
        refused("UNIMPLEMENTED", "The platform 'nowhere' with protocol 'oauth2' is currently not supported.",
                phone.authorization, "nowhere")
        url, _, state = phone.authorization("mastodon")
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))
        assert query["response_type"] == "code" and query["code_challenge_method"] == "S256", query
        assert query["state"] == state and "request_identifier" not in query, query
        refused("INVALID_ARGUMENT", "", phone.exchange, "mastodon", "wrong", "wrong")
        answer = phone.connect("mastodon", self.login)
        assert answer[1] == [1] and text(answer, 2) == "Successfully fetched and stored token", answer
        ((platform, self.account, tokens, on_device),) = phone.stored()
        assert (platform, tokens, on_device) == ("mastodon", {}, False)
        # The name of the instance is a part of the identifier; apps hand it back as they got it.
        assert self.account.startswith(self.login + "@"), self.account

    def posts_in_every_version(self):
        said = []
        for version in (0, 1, 2, 3):
            words = f"Version {version} from {self.login}: état de siège, à 5 h : oui"
            payload = self.phone.compose(version, self.account, words)
            text_of = wire.wrapped if version == 2 else wire.sms
            for door in self.doors:
                self.hand_in(text_of(payload), door)
                self.hand_in(text_of(payload), door)
            said.append(words)
        self.platform.check_once(*said)
        assert all(post["account"] == self.login for words in said for post in self.platform.posts(words))
        for _ in said:
            sms = self.inbox.take("RelaySMS Delivery:")
            form = (r"RelaySMS Delivery: Successfully sent message to mastodon at "
                    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\)\.( #\d+)?")
            assert re.fullmatch(form, sms), sms

    def posts_without_device_id(self):
        words = [f"No device id, version {version}, {self.login}" for version in (0, 2)]
        for version, one in zip((0, 2), words):
            self.hand_in(wire.sms(self.phone.compose(version, self.account, one, device=False)))
        self.platform.check_once(*words)

    def posts_through_open_doors(self):
        words = [f"Open door {name}, {self.login}" for name in "abc"]
        for one, door in zip(words, (self.open_door, self.open_door.replace("v3/publish", "sms/platform/mastodon"))):
            self.hand_in(wire.wrapped(self.phone.compose(2, self.account, one)), door)
        sms = wire.sms(self.phone.compose(2, self.account, words[2]))
        now = str(int(time.time()))
        answer = self.phone.publish(sms, {"From": self.number, "Date": now, "Date_sent": now})
        assert answer[1] == [1], answer
        self.platform.check_once(*words)
        for body, what in (({}, "text"), ({"text": "AAAA"}, "address or MSISDN")):
            status, answer = ask(self.open_door, body)
            assert (status, answer) == (400, {"error": f"Missing required field: {what}"}), (status, answer)

    def posts_in_french(self):
        words = f"Bonjour de {self.login}"
        self.hand_in(wire.sms(self.phone.compose(2, self.account, words, language="fr")))
        self.platform.check_once(words)
        # The app looks for its own marker, which has a space before the colon.
        sms = self.inbox.take("Livraison RelaySMS :")
        assert "Envoyé avec succès" in sms and "mastodon" in sms, sms

    def has_a_neighbour_whose_messages_overtake_each_other(self):
        other = Story(self.told)
        code = (other.phone.sign_up(PASSWORD), other.code())[1]
        other.phone.sign_up(PASSWORD, code)
        other.phone.connect("mastodon", other.login)
        ((_, account, _, _),) = other.phone.stored()
        words = [f"Shuffled {number}, {other.login}" for number in range(30)]
        texts = [wire.sms(other.phone.compose(2, account, one)) for one in words]
        random.shuffle(texts)
        for at, sms in enumerate(texts):
            other.hand_in(sms, self.doors[at % len(self.doors)])
        # Nobody else's session opens them, and a replay is published once.
        other.hand_in(texts[0])
        forward(self.doors[0], self.number, texts[1])
        self.platform.check_once(*words)

    def is_not_fooled_by_damage(self):
        words = f"Damaged on its way, {self.login}"
        payload = self.phone.compose(2, self.account, words)
        for at in (60, 100, 5 + 76):
            broken = bytearray(payload)
            broken[at] ^= 1
            forward(self.doors[0], self.number, wire.sms(bytes(broken)))
        status, answer = forward(self.doors[0], self.number, wire.sms(payload[:-40]))
        assert status == 400, (status, answer)
        self.platform.check_never(words)
        self.hand_in(wire.sms(payload))
        self.platform.check_once(words)

    def posts_an_image(self):
        image = b"\x89PNG\r\n\x1a\n" + random.randbytes(900)
        words = f"With an image, {self.login}"
        payload, text_len = self.phone.compose_image(self.account, words, image)
        parts = wire.segments(wire.wrapped(payload), 1, len(image), text_len)
        random.shuffle(parts)
        # Through two nodes it would be the same, after ten minutes.
        for part in parts:
            for _ in range(2):
                status, answer = forward(self.doors[0], self.number, part)
                told = re.match(r"(Segment \d+/\d+ received and cached for session 1 |accepted )", answer)
                assert status == 200 and told, (status, answer)
        self.platform.check_once(words)
        (post,) = self.platform.posts(words)
        assert len(post["media_ids"]) == 1, post

    def tests_a_gateway_client(self):
        # Who counts is the node that the test was begun at; it must be the person's home.
        doors = [client["url"] for client in self.told["gateways"] if client["node"] == self.home["name"]]
        if not doors:
            print("  no gateway client at home, so none is tested")
            return
        node = self.home["http"]
        status, clients = ask(node + "/v3/clients")
        assert status == 200 and clients, (status, clients)
        for client in clients:
            assert isinstance(client["reliability"], int) and isinstance(client["last_published_date"], int), client
        tests = f"{node}/v3/clients/{urllib.parse.quote(clients[0]['msisdn'])}/tests"
        for version in (0, 2):
            status, begun = ask(tests, {"test_start_time": "now"})
            assert status == 200 and begun["message"] == "Test started successfully.", (status, begun)
            assert isinstance(begun["test_start_time"], int), begun
            payload = self.phone.compose_test(version, str(begun["test_id"]))
            status, answer = forward(doors[0], self.number, wire.sms(payload))
            assert status == 200, (status, answer)
            eventually("the test's result", lambda: self.passed(tests, begun["test_id"]))

    @staticmethod
    def passed(tests, test_id):
        _, told = ask(tests)
        assert {"data", "total_records", "total_success", "total_failed"} <= told.keys(), told
        return [row for row in told["data"] if row["id"] == test_id and row["status"] == "success"]

    def shows_its_platforms(self):
        status, platforms = ask(self.home["http"] + "/v1/platforms")
        keys = {"name", "shortcode", "protocol_type", "service_type", "icon_svg", "icon_png", "support_url_scheme"}
        assert status == 200 and platforms, (status, platforms)
        for platform in platforms:
            assert platform.keys() == keys and platform["name"], platform
            assert platform["service_type"] in ("email", "text", "message", "test"), platform

    def logs_in_elsewhere(self):
        old, new = self.phone, self.new_phone()
        refused("UNAUTHENTICATED", "Incorrect credentials. Please double-check your details and try again.",
                new.log_in, SECOND)
        answer = new.log_in(PASSWORD)
        assert answer[1] == [1], answer
        # A login that was only begun changes nothing for the phone in use.
        words = [f"Before the new phone, {self.login}", f"After the new phone, {self.login}"]
        self.hand_in(wire.sms(old.compose(2, self.account, words[0])))
        self.platform.check_once(words[0])
        code = self.code()
        refused("UNAUTHENTICATED", "", new.log_in, SECOND, code)
        answer = new.log_in(PASSWORD, code)
        assert text(answer, 5) == "Entity authenticated successfully!", answer
        refused("UNAUTHENTICATED", INVALID_TOKEN, old.stored)
        assert [row[1] for row in new.stored()] == [self.account]
        late = f"The old phone speaks, {self.login}"
        forward(self.doors[0], self.number, wire.sms(old.compose(2, self.account, late)))
        self.phone = new
        self.hand_in(wire.sms(new.compose(0, self.account, words[1])))
        self.platform.check_once(words[1])
        self.platform.check_never(late)

    def takes_its_tokens_along(self):
        ((_, account, tokens, _),) = self.phone.stored(migrate=True)
        assert tokens.keys() == {"access_token", "refresh_token", "id_token"} and tokens["access_token"], tokens.keys()
        ((_, _, again, on_device),) = self.phone.stored()
        assert again == {} and on_device
        pair = (tokens["access_token"], tokens["refresh_token"] or tokens["access_token"])
        words = [f"Token in the SMS, version {version}, {self.login}" for version in (0, 1, 2, 3)]
        for version, one in enumerate(words):
            self.hand_in(wire.wrapped(self.phone.compose(version, account, one, tokens=pair)))
        self.platform.check_once(*words)
        without = f"No token anywhere, {self.login}"
        forward(self.doors[0], self.number, wire.sms(self.phone.compose(2, account, without)))
        assert "Failed to send" in self.inbox.take("Failed to send")
        self.platform.check_never(without)

    def changes_its_password(self):
        phone = self.phone
        refused("UNAUTHENTICATED", "The current password you entered is incorrect. Please try again.",
                phone.new_password, SECOND, THIRD)
        answer = phone.new_password(PASSWORD, SECOND)
        assert answer[2] == [1] and text(answer, 1) == "Password updated successfully.", answer
        refused("UNAUTHENTICATED", INVALID_TOKEN, phone.stored)
        answer = phone.reset(THIRD)
        assert answer[1] == [1], answer
        code = self.code()
        refused("UNAUTHENTICATED", "OTP action mismatch. Request a new OTP.", phone.log_in, SECOND, code)
        answer = phone.reset(THIRD, code)
        assert text(answer, 5) == "Password reset successfully!" and phone.token, answer
        refused("UNAUTHENTICATED", "Incorrect credentials.", phone.log_in, SECOND)
        # Who proves no more than the number gets no platform along with it; the apps connect again.
        assert phone.stored() == []
        phone.connect("mastodon", self.login)
        words = f"After the new password, {self.login}"
        self.hand_in(wire.sms(phone.compose(2, self.account, words)))
        self.platform.check_once(words)

    def leaves(self):
        phone = self.phone
        refused("FAILED_PRECONDITION", "You cannot delete entity because it still has stored tokens. Revoke stored "
                "tokens with the following platforms and try again: ", phone.delete)
        refused("NOT_FOUND", "No token found with account identifier", phone.revoke, "mastodon", "nobody")
        answer = phone.revoke("mastodon", self.account)
        assert answer[2] == [1] and text(answer, 1) == "Successfully deleted token", answer
        assert phone.stored() == []
        answer = phone.delete()
        assert answer[2] == [1] and text(answer, 1) == "Entity deleted successfully.", answer
        refused("UNAUTHENTICATED", INVALID_TOKEN, phone.stored)
        refused("NOT_FOUND", "Entity with this phone_number not found.", phone.log_in, THIRD)

    def writes_mail_over_the_bridge(self):
        if "smtp_port" not in self.told:
            print("  no mail server, so no mail is written")
            return
        mail = MailServer(self.told["smtp_port"])
        _, keys = ask(self.home["http"] + "/v3/keys/static-x25519")
        kid, server = keys[-1]["kid"], base64.b64decode(keys[-1]["keypair"], validate=True)
        assert keys[-1]["status"] == "active" and keys[-1]["version"] == "v1", keys[-1]
        fields = lambda subject: ("anna@example.org", "bela@example.org", "", subject, f"Il est {self.login}: midi.")

        def send(payload, sender):
            for door in self.doors:
                status, answer = forward(door, sender, wire.sms(payload))
                assert status == 200 and answer.startswith("accepted"), (status, answer)

        def check(subject, sender):
            to, letter = mail.one(subject)
            assert to == ["anna@example.org", "bela@example.org"], to
            assert letter["To"] == "anna@example.org" and letter["Cc"] == "bela@example.org", letter.items()
            assert sender[1:] + "@" in letter["From"], letter["From"]
            assert f"Il est {self.login}: midi." in letter.get_body().get_content()
            return letter

        # One key and a running ratchet, brought along again each time (iOS), in all three layouts.
        for marker in (0x0A, 2, 3):
            # A number that is new has three mails a day.
            one, number = Stranger(kid, server), some_number()
            for nth in range(2):
                send(one.compose_mail(marker, *fields(f"Marker {marker}, mail {nth}"), language=""), number)
                check(f"Marker {marker}, mail {nth}", number)
            send(one.compose_mail(marker, *fields(f"Marker {marker} without key"), again=True), number)
            check(f"Marker {marker} without key", number)

        # A fresh key for each mail (Android without account), with a picture.
        image, number = b"RIFF" + random.randbytes(600), some_number()
        payload = Stranger(kid, server).compose_mail(2, *fields("With a picture"), image=image)
        length = len(wire.mail_content(2, *fields("With a picture")))
        for part in wire.segments(wire.sms(payload), 9, len(image), length):
            status, answer = forward(self.doors[0], number, part)
            assert status == 200, (status, answer)
        (attached,) = check("With a picture", number).iter_attachments()
        assert attached.get_filename() == "attached_image.webp" and attached.get_content() == image

        # With an account the phone has one ratchet for posts and mail.
        send(self.phone.compose_mail(2, *fields("With an account")), self.number)
        check("With an account", self.number)
        # A mail of the account's number does not touch the account.
        send(Stranger(kid, server).compose_mail(2, *fields("Who am I")), self.number)
        check("Who am I", self.number)
        words = f"After mail, {self.login}"
        self.hand_in(wire.sms(self.phone.compose(2, self.account, words)))
        self.platform.check_once(words)
        # What no app sends any more, and a door that takes no mail.
        for inner in (b"\x00\x00", b"\x00\x09"):
            told = forward(self.doors[0], number, wire.sms(inner + bytes(60)))
            assert told[0] == 400 or told == (200, "ignored"), told
        status, answer = forward(self.open_door, number, wire.sms(payload))
        assert status == 400, (status, answer)

    ACTS = [signs_up, shows_its_platforms, connects, posts_in_every_version, posts_without_device_id,
            posts_through_open_doors, posts_in_french, has_a_neighbour_whose_messages_overtake_each_other,
            is_not_fooled_by_damage, posts_an_image, tests_a_gateway_client, writes_mail_over_the_bridge,
            logs_in_elsewhere, takes_its_tokens_along, changes_its_password, leaves]


def main():
    vectors.check()
    print("the vectors of the protocol agree", flush=True)
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    story = Story(told)
    for act in Story.ACTS:
        begun = time.monotonic()
        act(story)
        print(f"{act.__name__.replace('_', ' ')} ({time.monotonic() - begun:.1f} s)", flush=True)
    print("everything was as it must be")


if __name__ == "__main__":
    main()
