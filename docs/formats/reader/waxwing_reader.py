#!/usr/bin/env python3
"""Opens Waxwing envelopes: an independent reader, written from docs/formats/envelope-v1.md alone.

It proves that text and the vectors, and is not made to be fast. Python 3.11 and PyPI `cryptography`.

    waxwing_reader.py open [--key KEY]… [--passphrase FILE]… [--header HEADER] [--context K=V]… IN OUT
    waxwing_reader.py check MANIFEST

KEY is an RSA or X-Wing private key (PKCS#8 PEM) or a KEK (`waxwing-aes-256 NAME BASE64`); FILE holds a passphrase.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import tempfile
import unicodedata
from collections import namedtuple
from itertools import islice
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

HEADER_LEN_MAX = 1 << 20
CONTEXT_BYTES_MAX = 32768
RECIPIENTS_MAX, TRIES_MAX, PASSPHRASE_TRIES_MAX = 1024, 16, 4
PASSPHRASE_BYTES_MAX = 4096
PAYLOAD_LEN_LOG2_MAX = 48
TAG_LEN = 16
SUITES = {0x0001: AESGCM, 0x0002: ChaCha20Poly1305}
X_WING_PKCS8 = bytes.fromhex("30340201 00300d06 0b2b0601 040183e6 2d81c87a 0420")  # stands before the seed
Key = namedtuple("Key", "kind key_id wrapped_len unwrap")  # unwrap(header, key_id, wrapped) raises when it fails


class Failure(Exception):
    """A failure by its name in the specification."""


def require(condition, name):
    if not condition:
        raise Failure(name)


def read_up_to(stream, length):
    """Reads in pieces, so that memory grows with the bytes present and not with what a header claims."""
    parts = []
    while length and (part := stream.read(min(length, 65536))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def derive(ikm, salt, text, bound):
    """HKDF-SHA-512: Extract with `salt`, Expand with text, 0x00 and SHA-512 of the bytes that the key is bound to."""
    return HKDF(SHA512(), 32, salt, text + b"\0" + hashlib.sha512(bound).digest()).derive(ikm)


def rsa_key(private):
    require(isinstance(private, rsa.RSAPrivateKey) and 2048 <= private.key_size <= 8192, "not RSA of 2048..=8192 bits")
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    oaep = padding.OAEP(padding.MGF1(SHA256()), SHA256(), label=None)
    wrapped_len = (private.key_size + 7) // 8
    key_id = hashlib.sha256(spki).digest()
    return Key(b"rsa-oaep-sha256", key_id, wrapped_len, lambda _header, _id, wrapped: private.decrypt(wrapped, oaep))


def unwrap_under(secret, kind, header, wrapped):
    """The DEK that was wrapped under this KEK."""
    k = derive(secret, header.message_id, b"waxwing/1 wrap " + kind, header.fixed + header.commitment)
    return AESGCM(k).decrypt(bytes(12), wrapped, None)


def kek(name, secret):
    require(name and len(secret) == 32, "the KEK has no name or is not 32 bytes long")
    return Key(b"aes-256", name.encode(), 48, lambda header, _id, w: unwrap_under(secret, b"aes-256", header, w))


def x_wing_key(seed):
    expanded = hashlib.shake_256(seed).digest(96)
    ml_kem = MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
    x25519 = X25519PrivateKey.from_private_bytes(expanded[64:])
    own = x25519.public_key().public_bytes_raw()

    def unwrap(header, _id, wrapped):
        ciphertext, ephemeral, wrapped = wrapped[:1088], wrapped[1088:1120], wrapped[1120:]
        ss_x = x25519.exchange(X25519PublicKey.from_public_bytes(ephemeral))  # raises for a key of small order
        secret = hashlib.sha3_256(ml_kem.decapsulate(ciphertext) + ss_x + ephemeral + own + b"\\.//^\\").digest()
        return unwrap_under(secret, b"x-wing", header, wrapped)

    public = ml_kem.public_key().public_bytes_raw() + own
    return Key(b"x-wing", hashlib.sha256(public).digest(), 1168, unwrap)


def argon2id_costs(key_id):
    """Salt, m, t and p of a `passphrase` recipient, or None where a reader skips it."""
    if len(key_id) != 25:
        return None
    salt, m, t, p = struct.unpack(">16sIIB", key_id)
    accepted = 19456 <= m <= 1048576 and 1 <= t <= 16 and 1 <= p <= 16 and m * t <= 1 << 22
    return (salt, m, t, p) if accepted else None


def passphrase(data):
    line = re.sub(rb"\r?\n\Z", b"", data)
    require(len(line) <= PASSPHRASE_BYTES_MAX, "the passphrase is too long")
    secret = unicodedata.normalize("NFC", line.decode("utf-8")).encode()
    require(secret, "the passphrase is empty")

    def unwrap(header, key_id, wrapped):
        salt, m, t, p = argon2id_costs(key_id)
        derived = Argon2id(salt=salt, length=32, iterations=t, lanes=p, memory_cost=m).derive(secret)
        return unwrap_under(derived, b"passphrase", header, wrapped)

    return Key(b"passphrase", None, 48, unwrap)


def load_key(path):
    data = Path(path).read_bytes()
    if data.startswith(b"waxwing-aes-256 "):
        _, name, encoded = data.decode().removesuffix("\n").split(" ")
        return kek(name, base64.b64decode(encoded, validate=True))
    der = base64.b64decode(b"".join(line for line in data.splitlines() if not line.startswith(b"-")))
    if der.startswith(X_WING_PKCS8) and len(der) == len(X_WING_PKCS8) + 32:
        return x_wing_key(der[-32:])
    return rsa_key(load_pem_private_key(data, password=None))


def load_passphrase(path):
    return passphrase(Path(path).read_bytes())


def is_for(key, kind, key_id, wrapped):
    """Whether a recipient is of the key's kind, in the form that the kind prescribes, and names the key."""
    named = argon2id_costs(key_id) is not None if kind == b"passphrase" else key_id == key.key_id
    return kind == key.kind and named and len(wrapped) == key.wrapped_len


def without_late_passphrases(candidates):
    passphrases = 0
    for candidate in candidates:
        passphrases += candidate[0].kind == b"passphrase"
        if candidate[0].kind != b"passphrase" or passphrases <= PASSPHRASE_TRIES_MAX:
            yield candidate


class Cursor:
    """Takes fields from the bytes that header_len announced."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, length):
        require(length <= len(self.data) - self.at, "header-length-mismatch")
        self.at += length
        return self.data[self.at - length : self.at]

    def uint(self, size):
        return int.from_bytes(self.bytes(size), "big")

    def text(self, limit, may_be_empty):
        length = self.uint(2)
        require(self.at + length <= limit, "context-too-long")
        data = self.bytes(length)
        require(data or may_be_empty, "context-empty-key")
        try:
            require("\0" not in data.decode("utf-8"), "context-invalid-text")
            return data
        except UnicodeDecodeError:
            raise Failure("context-invalid-text") from None

    def recipient(self):
        length = self.uint(1)
        require(1 <= length <= 64, "recipient-kind-invalid")
        kind = self.bytes(length)
        require(re.fullmatch(rb"[a-z0-9-]+", kind), "recipient-kind-invalid")
        return kind, self.bytes(self.uint(2)), self.bytes(self.uint(2))


class Header:
    """A header that obeys every rule that needs no key."""

    def __init__(self, stream):
        prefix = read_up_to(stream, 12)
        require(prefix[:7] == b"WAXWING"[: len(prefix)], "bad-magic")
        require(prefix[7:8] in (b"", b"\x01"), "unsupported-version")
        require(len(prefix) == 12, "header-cut")
        length = int.from_bytes(prefix[8:], "big")
        require(length <= HEADER_LEN_MAX, "header-too-long")
        data = read_up_to(stream, length)
        require(len(data) == length, "header-cut")
        cursor = Cursor(data)
        self.suite = SUITES.get(cursor.uint(2))
        require(self.suite is not None, "unknown-suite")
        self.frame_len_log2 = cursor.uint(1)
        require(12 <= self.frame_len_log2 <= 24, "frame-len-out-of-range")
        require(cursor.uint(1) == 0, "reserved-not-zero")
        self.message_id = cursor.bytes(32)
        count = cursor.uint(2)
        self.context, previous, limit = {}, b"", cursor.at + CONTEXT_BYTES_MAX
        for _ in range(count):
            key = cursor.text(limit, may_be_empty=False)
            require(key > previous, "context-not-ascending")
            previous, self.context[key] = key, cursor.text(limit, may_be_empty=True)
        self.fixed = data[: cursor.at]
        self.commitment = cursor.bytes(32)
        count = cursor.uint(2)
        require(1 <= count <= RECIPIENTS_MAX, "recipient-count-out-of-range")
        self.recipients = [cursor.recipient() for _ in range(count)]
        self.authenticated = prefix + data[: cursor.at]
        self.mac = cursor.bytes(32)
        require(cursor.at == length, "trailing-header-bytes")

    def open(self, keys, required):
        """Checks the required context, finds the DEK, verifies the MAC; gives the cipher of the frames."""
        for key, value in required.items():
            require(self.context.get(key.encode()) == value.encode(), "context-mismatch")
        candidates = [
            (key, key_id, wrapped) for kind, key_id, wrapped in self.recipients for key in keys
            if is_for(key, kind, key_id, wrapped)
        ]
        require(candidates, "no-usable-key")
        for key, key_id, wrapped in islice(without_late_passphrases(candidates), TRIES_MAX):
            try:
                dek = key.unwrap(self, key_id, wrapped)
            except (InvalidTag, ValueError):
                continue
            if len(dek) == 32 and hmac.compare_digest(self._key(dek, b"commit"), self.commitment):
                mac = hmac.digest(self._key(dek, b"header"), self.authenticated, "sha256")
                require(hmac.compare_digest(mac, self.mac), "not-authentic")
                return self.suite(self._key(dek, b"frames"))
        raise Failure("not-authentic")

    def _key(self, dek, label):
        return derive(dek, self.message_id, b"waxwing/1 " + label, self.fixed)


class Frames:
    def __init__(self, cipher, frame_len_log2):
        self.cipher = cipher
        self.frame_len = 1 << frame_len_log2
        self.sealed_len = self.frame_len + TAG_LEN
        self.frames_max = 1 << (PAYLOAD_LEN_LOG2_MAX - frame_len_log2)

    def decrypt(self, index, last, frame):
        try:
            return self.cipher.decrypt(bytes([last, 0, 0, 0]) + index.to_bytes(8, "big"), frame, None)
        except InvalidTag:
            return None

    def open_one(self, index, last, frame):
        require(index < self.frames_max, "body-too-long")
        require(not last or len(frame) > TAG_LEN or (index == 0 and len(frame) == TAG_LEN), "truncated")
        plaintext = self.decrypt(index, last, frame)
        if plaintext is None:
            cut = last and len(frame) == self.sealed_len and self.decrypt(index, False, frame) is not None
            raise Failure("truncated" if cut else "not-authentic")
        return plaintext

    def in_order(self, body):
        """Yields the plaintext of each frame; complete only when it ends without a failure."""
        index, frame = 0, read_up_to(body, self.sealed_len)
        while frame or index == 0:
            following = read_up_to(body, self.sealed_len) if len(frame) == self.sealed_len else b""
            yield self.open_one(index, not following, frame)
            index, frame = index + 1, following

    def in_range(self, body, start, end):
        """Yields plaintext bytes start..end, after the last frame has proved the length of the body."""
        base, body_end = body.tell(), body.seek(0, os.SEEK_END)
        last = max(body_end - base - 1, 0) // self.sealed_len

        def frame(index):
            body.seek(base + index * self.sealed_len)
            return self.open_one(index, index == last, read_up_to(body, self.sealed_len))

        payload_len = last * self.frame_len + len(frame(last))
        require(0 <= start <= end <= payload_len, f"the range is not within {payload_len} bytes")
        while start < end:
            index, offset = divmod(start, self.frame_len)
            plaintext = frame(index)[offset : offset + end - start]
            start += len(plaintext)
            yield plaintext


def open_envelope(path, keys, header_path=None, required=None, byte_range=None):
    """Gives the header, from the front of the body or a file of its own, and an iterator over the plaintext."""
    source = open(path, "rb")
    detached = open(header_path, "rb") if header_path else None
    header = Header(detached or source)
    require(detached is None or not detached.read(1), "trailing-header-bytes")
    frames = Frames(header.open(keys, required or {}), header.frame_len_log2)
    return header, frames.in_range(source, *byte_range) if byte_range else frames.in_order(source)


def open_command(args):
    required = dict(pair.split("=", 1) for pair in args.context)
    keys = [load_key(path) for path in args.key] + [load_passphrase(path) for path in args.passphrase]
    _, frames = open_envelope(args.IN, keys, args.header, required)
    with tempfile.NamedTemporaryFile(dir=Path(args.OUT).parent) as out:  # mode 0600, removed at the end
        out.writelines(frames)
        out.flush()
        os.link(out.name, args.OUT)  # refuses a target that exists


def run_case(case, keys, folder):
    """Gives what came of the case, in the words of its `expect`, or a line that says what else is wrong."""
    envelope = folder / (case.get("file") or case["body"])
    header_path = folder / case["header"] if "header" in case else None
    configured, byte_range = [keys[name] for name in case["keys"]], case.get("range")
    try:
        header, frames = open_envelope(envelope, configured, header_path, case.get("context"), byte_range)
        plaintext = b"".join(frames)
    except Failure as failure:
        return str(failure)
    start, length = byte_range[0] if byte_range else 0, case.get("plaintext_len", 0)
    expected = bytes((i * 7 + (i >> 8) * 13 + 5) % 256 for i in range(start, start + length))
    if plaintext != expected or hashlib.sha256(plaintext).hexdigest() != case.get("plaintext_sha256"):
        return f"{len(plaintext)} bytes that are not the payload"
    matches = header.frame_len_log2 == case.get("frame_len_log2", header.frame_len_log2)
    return "plaintext" if matches else f"frame_len_log2 {header.frame_len_log2}"


def check_command(args):
    folder = Path(args.MANIFEST).parent
    manifest = json.loads(Path(args.MANIFEST).read_text("utf-8"))
    require(manifest["format"] == "waxwing-envelope-1", "the manifest is of another format")
    keys = {}
    for name, entry in manifest["keys"].items():
        load = load_passphrase if entry["type"] == "passphrase" else load_key
        keys[name] = key = load(folder / entry["file"])
        key_id = key.key_id.hex() if key.key_id else None
        require(key_id == entry.get("key_id"), f"key {name}: key_id is {key_id}")
    outcomes = [(case, run_case(case, keys, folder)) for case in manifest["cases"]]
    failed = [(case, got) for case, got in outcomes if got != case["expect"]]
    for case, got in failed:
        print(f"{case['id']}: expected {case['expect']}, got {got} ({case['why']})")
    print(f"{len(outcomes) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not outcomes else 0


def main():
    parser = argparse.ArgumentParser(description="Opens Waxwing envelopes.")
    commands = parser.add_subparsers(required=True)
    opening = commands.add_parser("open", help="open one envelope into a file")
    opening.add_argument("--key", action="append", default=[])
    opening.add_argument("--passphrase", action="append", default=[], help="a file that holds one")
    opening.add_argument("--header", help="the detached header of IN")
    opening.add_argument("--context", action="append", default=[], metavar="K=V", help="a value that is required")
    opening.add_argument("IN")
    opening.add_argument("OUT")
    commands.add_parser("check", help="run the cases of a manifest").add_argument("MANIFEST")
    args = parser.parse_args()
    try:
        return check_command(args) if hasattr(args, "MANIFEST") else open_command(args)
    except (Failure, OSError, ValueError, KeyError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
