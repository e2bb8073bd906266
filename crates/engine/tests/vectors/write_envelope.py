"""Writes an envelope from docs/formats/envelope-v1.md alone, for an X-Wing public key (PEM) and a passphrase.

    write_envelope.py READER_FOLDER PUBLIC_KEY PASSPHRASE_FILE < PAYLOAD > ENVELOPE
"""

import base64
import hashlib
import hmac
import os
import struct
import sys
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from waxwing_reader import derive

SPKI = bytes.fromhex("308204d4 300d060b 2b060104 0183e62d 81c87a03 8204c100")  # stands before the public key
COSTS = 20000, 2, 3


def sized(size, data):
    return len(data).to_bytes(size, "big") + data


def x_wing(pem):
    """The key_id, an encapsulation and its secret."""
    der = base64.b64decode("".join(line for line in pem.splitlines() if not line.startswith("-")))
    assert der.startswith(SPKI) and len(der) == 1240, der[:24].hex()
    public = der[24:]
    ss_m, ciphertext = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    ephemeral = X25519PrivateKey.generate()
    ss_x = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[1184:]))
    ct_x = ephemeral.public_key().public_bytes_raw()
    secret = hashlib.sha3_256(ss_m + ss_x + ct_x + public[1184:] + b"\\.//^\\").digest()
    return hashlib.sha256(public).digest(), ciphertext + ct_x, secret


def passphrase(text):
    """A key_id and the KEK; the text is in NFC."""
    salt, (m, t, p) = os.urandom(16), COSTS
    kek = Argon2id(salt=salt, length=32, iterations=t, lanes=p, memory_cost=m).derive(text)
    return salt + struct.pack(">IIB", m, t, p), b"", kek


payload, dek, message_id = sys.stdin.buffer.read(), os.urandom(32), os.urandom(32)
fixed = b"\0\1\x18\0" + message_id + b"\0\0"  # one frame, of at most 16 MiB; no context
keys = {label: derive(dek, message_id, b"waxwing/1 " + label, fixed) for label in (b"commit", b"header", b"frames")}
recipients = b"\0\2"
made = {b"x-wing": x_wing(Path(sys.argv[2]).read_text()), b"passphrase": passphrase(Path(sys.argv[3]).read_bytes())}
for kind, (key_id, encapsulation, kek) in made.items():
    k = derive(kek, message_id, b"waxwing/1 wrap " + kind, fixed + keys[b"commit"])
    wrapped = encapsulation + AESGCM(k).encrypt(bytes(12), dek, None)
    recipients += sized(1, kind) + sized(2, key_id) + sized(2, wrapped)
rest = fixed + keys[b"commit"] + recipients
header = b"WAXWING\1" + (len(rest) + 32).to_bytes(4, "big") + rest
mac = hmac.digest(keys[b"header"], header, "sha256")
frame = AESGCM(keys[b"frames"]).encrypt(b"\1" + bytes(11), payload, None)
sys.stdout.buffer.write(header + mac + frame)
