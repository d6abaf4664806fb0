"""Bytes: protobuf messages, ratchet, payloads. Written from a description of what the apps send, and from nothing else."""

import base64
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SKIP_MAX = 100


# --- protobuf: only what these services need ---


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def proto(fields):
    """A message from {number: text, flag or map of texts}; what is empty is left out."""
    out = b""
    for number, value in sorted(fields.items()):
        if isinstance(value, bool):
            out += _varint(number << 3) + b"\x01" if value else b""
        elif isinstance(value, dict):
            for key, item in value.items():
                entry = proto({1: key, 2: item})
                out += _varint(number << 3 | 2) + _varint(len(entry)) + entry
        elif value:
            raw = value.encode()
            out += _varint(number << 3 | 2) + _varint(len(raw)) + raw
    return out


def unproto(raw):
    """{number: [values]} of a message; texts stay bytes, since they may be messages."""
    fields, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        key = varint()
        if key & 7 == 0:
            value = varint()
        elif key & 7 == 2:
            size = varint()
            value, at = raw[at : at + size], at + size
            assert len(value) == size, "a field is longer than its message"
        else:
            raise ValueError(f"wire type {key & 7}")
        fields.setdefault(key >> 3, []).append(value)
    return fields


# --- agreement and ratchet ---


def new_key():
    return X25519PrivateKey.generate()


def public(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _hkdf(algorithm, length, salt, info, secret):
    return HKDF(algorithm=algorithm, length=length, salt=salt, info=info).derive(secret)


def agree(key, other):
    raw = key.exchange(X25519PublicKey.from_public_bytes(other))
    return _hkdf(hashes.SHA256(), 32, None, b"x25591_key_exchange", raw)


def device_id(shared, identifier, own_public):
    return hmac.digest(shared, identifier.encode() + own_public, hashlib.sha256)


def _root_step(root, dh):
    out = _hkdf(hashes.SHA512(), 64, root, b"KDF_RK", dh)
    return out[:32], out[32:]


def _chain_step(chain):
    return hmac.digest(chain, b"\x01", hashlib.sha256), hmac.digest(chain, b"\x02", hashlib.sha256)


def _message_keys(key):
    out = _hkdf(hashes.SHA512(), 80, bytes(80), b"ENCRYPT", key)
    return out[:32], out[32:64], out[64:]


def seal(key, plain, bound):
    enc, auth, iv = _message_keys(key)
    pad = padding.PKCS7(128).padder()
    cipher = Cipher(algorithms.AES(enc), modes.CBC(iv)).encryptor()
    text = cipher.update(pad.update(plain) + pad.finalize()) + cipher.finalize()
    return text + hmac.digest(auth, bound + text, hashlib.sha256)


def unseal(key, sealed, bound):
    enc, auth, iv = _message_keys(key)
    text, mac = sealed[:-32], sealed[-32:]
    if not hmac.compare_digest(hmac.digest(auth, bound + text, hashlib.sha256), mac):
        raise ValueError("the MAC is wrong")
    cipher = Cipher(algorithms.AES(enc), modes.CBC(iv)).decryptor()
    pad = padding.PKCS7(128).unpadder()
    return pad.update(cipher.update(text) + cipher.finalize()) + pad.finalize()


class Session:
    """The phone's side of one ratchet."""

    def __init__(self, own, server, ratchet_key=None):
        self.server, self.own_public = server, public(own)
        self.key, self.peer = ratchet_key or new_key(), server
        self.root, self.sending = _root_step(agree(own, server), agree(self.key, server))
        self.receiving, self.sent, self.received, self.previous, self.skipped = None, 0, 0, 0, {}

    def encrypt(self, plain):
        self.sending, key = _chain_step(self.sending)
        header = struct.pack("<ii", self.previous, self.sent) + public(self.key)
        self.sent += 1
        return struct.pack("<i", len(header)) + header + seal(key, plain, self.server + header)

    def _skip(self, until):
        if until > self.received + SKIP_MAX:
            raise ValueError("too many are missing")
        while self.receiving and self.received < until:
            self.receiving, key = _chain_step(self.receiving)
            self.skipped[self.peer, self.received] = key
            self.received += 1

    def decrypt(self, block, next_key=None):
        """A message of the server. The session is of no more use after a failure."""
        (size,) = struct.unpack_from("<i", block)
        header, sealed = block[4 : 4 + size], block[4 + size :]
        previous, number = struct.unpack_from("<ii", header)
        peer, bound = header[8:], self.own_public + header
        key = self.skipped.pop((peer, number), None)
        if key:
            return unseal(key, sealed, bound)
        if peer != self.peer or not self.receiving:
            self._skip(previous)
            self.previous, self.sent, self.received, self.peer = self.sent, 0, 0, peer
            self.root, self.receiving = _root_step(self.root, agree(self.key, peer))
            self.key = next_key or new_key()
            self.root, self.sending = _root_step(self.root, agree(self.key, peer))
        self._skip(number)
        self.receiving, key = _chain_step(self.receiving)
        self.received += 1
        return unseal(key, sealed, bound)


# --- contents ---


def colons(*fields):
    """Contents of V0 and of bridge v1."""
    return ":".join(fields).encode()


def _sized(layout, *fields):
    raw = [field.encode() for field in fields]
    return struct.pack("<" + layout, *map(len, raw)) + b"".join(raw)


def content(version, account, text, access="", refresh=""):
    """A post."""
    if version == 0:
        tokens = (access, refresh) if access and refresh else ()
        return colons(account, text, *tokens)
    if version == 3:
        return _sized("BHHH", account, text, access, refresh)
    layout = {1: "BHHHBHBB", 2: "BHHHBHHH"}[version]
    return _sized(layout, account, "", "", "", "", text, access, refresh)


def test_content(version, test_id):
    """A reliability test."""
    if version == 0:
        return test_id.encode()
    return _sized("B", test_id) if version == 3 else content(version, test_id, "")


def mail_content(marker, to, cc, bcc, subject, body):
    """A bridge mail."""
    if marker == 0x0A:
        return colons(to, cc, bcc, subject, body)
    if marker == 2:
        return _sized("HHHBH", to, cc, bcc, subject, body)
    optional = [field for field in (cc, bcc) if field]
    bitmap = bytes([bool(cc) | bool(bcc) << 1])
    return bitmap + _sized("H" * (1 + len(optional)) + "BH", to, *optional, subject, body)


# --- payloads and their SMS ---


def platform_payload(version, letter, block, device=b"", language="en"):
    if version == 0:
        return struct.pack("<i", len(block)) + letter.encode() + block + device
    head = struct.pack("<BHB", version, len(block), len(device))
    return head + letter.encode() + block + device + language.encode()


def bridge_payload(marker, block, key=None, language="en"):
    """`key` is (kid, the phone's public key) for a mail that brings its key along."""
    if key:
        kid, own = key
        head = struct.pack("<BBBH", marker, 0, len(own), len(block)) + b"e" + bytes([kid]) + own
    else:
        head = struct.pack("<BBH", marker, 1, len(block)) + b"e"
    return b"\x00" + head + block + language.encode()


def sms(payload):
    return base64.b64encode(payload).decode()


def wrapped(payload):
    """As Android writes it: a line break after every 76 characters and at the end."""
    text = sms(payload)
    return "".join(text[at : at + 76] + "\n" for at in range(0, len(text), 76))


def segments(text, session, image_len, text_len, size=141):
    """An SMS text in parts; the first has Android's line break after its header."""
    chunks = [text[at : at + size] for at in range(0, len(text), size)]
    first = struct.pack("<BBBBHH", 4, session, 0, len(chunks), image_len, text_len)
    parts = [sms(first) + "\n" + chunks[0]]
    return parts + [sms(bytes([4, session, k])) + chunk for k, chunk in enumerate(chunks) if k]


def read_reply(text, session, next_key=None):
    """Fields and time of an answer to a bridge mail, as it stands in an SMS."""
    lines = text.split("\n")
    raw = base64.b64decode(lines[1])
    alias, sender, cc, bcc, subject, body, size = struct.unpack_from("<BBBBBHH", raw)
    assert raw[9:10] == b"e" and len(raw) == 10 + size, "not a reply"
    plain = session.decrypt(raw[10:], next_key).decode()
    fields, at = [], 0
    for length in (alias, sender, cc, bcc, subject, body):
        fields.append(plain[at : at + length])
        at += length
    return fields, int(lines[2].split(".")[0])
