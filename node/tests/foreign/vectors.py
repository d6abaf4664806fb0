"""Our bytes against recorded ones of the apps' own libraries, so that an error of this phone is not taken for one of the node."""

import json
import os
import pathlib

import wire
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE.parents[2] / "crates/ratchet/tests/vectors/relaysms.json"


def _key(text):
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(text))


def _same(got, want):
    assert got.hex() == want, (got.hex(), want)


def _conversation(record):
    ratchet = _key(record["alice_after_init"]["DHs"]["priv"])
    session = wire.Session(_key(record["client_publish_priv"]), bytes.fromhex(record["server_publish_pub"]), ratchet)
    sent = {}
    for step in record["steps"]:
        if step["op"] == "encrypt":
            sent[step["id"]] = step
            if step["actor"] == "client":
                _same(session.encrypt(bytes.fromhex(step["plaintext"])), step["framed"])
        elif step["actor"] == "client":
            step_key = _key(step["state_after"]["DHs"]["priv"])
            came = sent[step["id"]]
            _same(session.decrypt(bytes.fromhex(came["framed"]), step_key), came["plaintext"])


def check():
    with open(os.environ.get("RELAYMESH_VECTORS", RECORDED), encoding="utf-8") as file:
        records = json.load(file)
    for one in records["conversations"]:
        _conversation(one)
    for one in records["device_id"]:
        shared, own = bytes.fromhex(one["device_id_shared"]), bytes.fromhex(one["client_device_id_pub"])
        _same(wire.device_id(shared, one["identifier_text"], own), one["device_id_bytes_in_payload"])
    for one in records["platform_content"]:
        version, fields = int(one["version"][1]), one["fields"]
        tokens = fields.get("access_token", ""), fields.get("refresh_token", "")
        if one["service_type"] == "text":
            _same(wire.content(version, fields["from"], fields["body"], *tokens), one["content"])
        if one["service_type"] == "test":
            _same(wire.test_content(version, fields["from"]), one["content"])
    for one in records["platform_payload"]:
        block, device = bytes.fromhex(one["ciphertext_block"]), bytes.fromhex(one["device_id"])
        language = one["language"] or "en"
        got = wire.platform_payload(one["payload_version"], one["shortcode_text"], block, device, language)
        _same(got, one["payload"])
        assert wire.sms(got) == one["sms_text"]
    for one in records["bridge_content"]:
        fields, marker = one["upstream_parse"], {"v1": 0x0A, "v2": 2, "v3": 3}.get(one["version"])
        if marker and isinstance(fields, dict):
            names = ("to", "cc", "bcc", "subject", "body")
            _same(wire.mail_content(marker, *(fields[name] for name in names)), one["content"])
    for one in records["bridge_payload"]:
        own = one["kid"], bytes.fromhex(one["session"]["client_publish_pub"])
        block, key = bytes.fromhex(one["ciphertext_block"]), own if one["switch"] == 0 else None
        _same(wire.bridge_payload(one["marker"], block, key, one["language"] or "")[1:], one["inner"])
    for one in records["image_text"]:
        got = wire.segments(one["assembled_text"], one["itp_session_id"], one["image_length"], one["text_length"])
        if one["style"] == "clean":
            assert [part.replace("\n", "", 1) for part in got] == one["segments_text"]
