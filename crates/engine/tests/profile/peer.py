"""Opens messages as a partner would who knows the scheme and nothing of profiles: PyPI's `cryptography` and the pages of
docs/profiles. Arguments: the preset, the private key (PEM), the folder with a file for each part. The plaintext goes to
standard output."""

import base64
import hashlib
import hmac
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

preset, pem, folder = sys.argv[1], Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
rsa = serialization.load_pem_private_key(pem, None)
b64 = base64.b64decode
KEK = bytes(range(32))
STAGE_KEY = bytes(range(32))


def raw(part):
    return (folder / part).read_bytes()


def doc(part):
    return json.loads(raw(part))


def oaep(wrapped, digest):
    return rsa.decrypt(wrapped, padding.OAEP(padding.MGF1(digest()), digest(), None))


def pkcs1(wrapped):
    return rsa.decrypt(wrapped, padding.PKCS1v15())


def run(key, mode, data):
    cipher = Cipher(algorithms.AES(key), mode).decryptor()
    return cipher.update(data) + cipher.finalize()


def unpad(data, block=16):
    n = data[-1]
    assert 1 <= n <= block and data[-n:] == bytes([n]) * n and len(data) % block == 0, "padding"
    return data[:-n]


def cbc(key, iv, data):
    return unpad(run(key, modes.CBC(iv), data))


def gcm(key, iv, sealed, aad=b""):
    cipher = Cipher(algorithms.AES(key), modes.GCM(iv, sealed[-16:])).decryptor()
    cipher.authenticate_additional_data(aad)
    return cipher.update(sealed[:-16]) + cipher.finalize()


def b64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwe(token, iv_len):
    header, wrapped, iv, sealed, tag = token.split(".")
    fields = json.loads(b64url(header))
    assert (fields["alg"], fields["enc"]) == ("RSA-OAEP-256", "A256GCM") and len(b64url(iv)) == iv_len
    key = oaep(b64url(wrapped), hashes.SHA256)
    return gcm(key, b64url(iv), b64url(sealed) + b64url(tag), header.encode())


def record():
    fields, digest = doc("record"), hashes.SHA1 if "sha1" in preset else hashes.SHA256
    wrapped, iv = b64(fields["EncryptedAESKey"]), b64(fields["EncodedAESIV"])
    key = pkcs1(wrapped) if "pkcs1" in preset else oaep(wrapped, digest)
    if "gcm" in preset:
        return gcm(key, iv, raw("body") + b64(fields["AuthTag"]))
    return cbc(key, iv, raw("body"))


def ms_graph():
    content = doc("msg")["value"][0]["encryptedContent"]
    key, data = oaep(b64(content["dataKey"]), hashes.SHA1), b64(content["data"])
    assert hmac.new(key, data, "sha256").digest() == b64(content["dataSignature"])
    return cbc(key, key[:16], data)


def whatsapp_request():
    fields = doc("msg")
    key, iv = oaep(b64(fields["encrypted_aes_key"]), hashes.SHA256), b64(fields["initial_vector"])
    assert (len(key), len(iv)) == (16, 16)
    return gcm(key, iv, b64(fields["encrypted_flow_data"]))


def whatsapp_response():
    fields = doc("msg")
    key = oaep(b64(fields["encrypted_aes_key"]), hashes.SHA256)
    return gcm(key, bytes(b ^ 255 for b in b64(fields["initial_vector"])), b64(raw("response")))


def mastercard():
    fields = doc("msg")["encryptedPayload"]
    decode = b64 if preset.endswith("base64") else bytes.fromhex
    if preset.endswith("headers"):
        headers = {name.lower(): value for name, value in doc("headers").items()}
        fields |= {"encryptedKey": headers["x-encrypted-key"], "iv": headers["x-iv"]}
        fields["oaepHashingAlgorithm"] = headers["x-oaep-hashing-algorithm"]
    assert fields["oaepHashingAlgorithm"] == "SHA256"
    key = oaep(decode(fields["encryptedKey"]), hashes.SHA256)
    assert len(key) == 16
    return cbc(key, decode(fields["iv"]), decode(fields["encryptedData"]))


def s3ec():
    fields, body = doc("metadata"), raw("body")
    if "v1" in preset:
        wrapped = b64(fields["x-amz-key"])
        key = pkcs1(wrapped) if "rsa" in preset else unpad(run(KEK, modes.ECB(), wrapped))
        return cbc(key, b64(fields["x-amz-iv"]), body)
    wrapped, algorithm = b64(fields["x-amz-key-v2"]), fields["x-amz-cek-alg"].encode()
    assert algorithm == b"AES/GCM/NoPadding" and fields["x-amz-tag-len"] == "128"
    if fields["x-amz-wrap-alg"] == "RSA-OAEP-SHA1":
        blob = oaep(wrapped, hashes.SHA1)
        assert blob[0] == 32 and blob[33:] == algorithm
        key = blob[1:33]
    else:
        key = AESGCM(KEK).decrypt(wrapped[:12], wrapped[12:], algorithm)
    return gcm(key, b64(fields["x-amz-iv"]), body)


def snowflake():
    fields = doc("metadata")
    if preset.endswith("azure"):
        inner, digest = json.loads(fields["encryptiondata"]), fields["sfcdigest"]
        wrapped, iv = inner["WrappedContentKey"]["EncryptedKey"], inner["ContentEncryptionIV"]
        assert inner["WrappedContentKey"]["KeyId"] == "symmKey1"
    else:
        wrapped, iv, digest = fields["x-amz-key"], fields["x-amz-iv"], fields["sfc-digest"]
    plaintext = cbc(unpad(run(STAGE_KEY, modes.ECB(), b64(wrapped))), b64(iv), raw("body"))
    assert hashlib.sha256(plaintext).digest() == b64(digest)
    return plaintext


def ksef():
    session = doc("session")["encryption"]
    key, iv = oaep(b64(session["encryptedSymmetricKey"]), hashes.SHA256), session.get("initializationVector")
    if preset == "ksef-iv-prefix":
        return cbc(key, raw("body")[:16], raw("body")[16:])
    invoice = doc("invoice")
    sealed = b64(invoice["encryptedInvoiceContent"])
    plaintext = cbc(key, b64(iv), sealed)
    for name, data in [("encryptedInvoice", sealed), ("invoice", plaintext)]:
        assert b64(invoice[name + "Hash"]) == hashlib.sha256(data).digest() and invoice[name + "Size"] == len(data)
    return plaintext


def ides():
    blob = pkcs1(raw("key_file"))
    assert len(blob) == 48
    return cbc(blob[:32], blob[32:], raw("payload"))


def azure():
    fields, body = json.loads(doc("metadata")["encryptiondata"]), raw("body")
    assert fields["WrappedContentKey"]["Algorithm"] == "RSA-OAEP-256"
    key = oaep(b64(fields["WrappedContentKey"]["EncryptedKey"]), hashes.SHA256)
    if fields["EncryptionAgent"]["Protocol"] == "1.0":
        return cbc(key, b64(fields["ContentEncryptionIV"]), body)
    assert key[:8] == b"2.0\0\0\0\0\0"
    size, out = fields["EncryptedRegionInfo"]["DataLength"] + 28, b""
    for n, at in enumerate(range(0, len(body), size)):
        region = body[at : at + size]
        assert region[:12] == n.to_bytes(12, "big")
        out += gcm(key[8:], region[:12], region[12:])
    return out


def odk():
    text = {e.tag.rsplit("}", 1)[-1]: e.text for e in ET.fromstring(raw("manifest")).iter()}
    key = oaep(b64(text["base64EncryptedKey"]), hashes.SHA256)
    iv = bytearray(hashlib.md5(text["instanceID"].encode() + key).digest())
    iv[0] = (iv[0] + 1) & 255
    return unpad(run(key, modes.CFB(bytes(iv)), raw("body")))


def xml_enc():
    root = ET.fromstring(raw("msg"))
    assert "sha1" in next(e for e in root.iter() if e.tag.endswith("DigestMethod")).get("Algorithm")
    wrapped, whole = [b64(e.text) for e in root.iter() if e.tag.endswith("CipherValue")]
    key = oaep(wrapped, hashes.SHA1)
    if preset.endswith("gcm"):
        return gcm(key, whole[:12], whole[12:])
    plaintext = run(key, modes.CBC(whole[:16]), whole[16:])
    return plaintext[: -plaintext[-1]]


def wechatpay():
    fields = doc("msg")["resource"]
    assert fields["algorithm"] == "AEAD_AES_256_GCM"
    return gcm(b"0123456789abcdef" * 2, fields["nonce"].encode(), b64(fields["ciphertext"]))


def wecom():
    sealed = b64(ET.fromstring(raw("msg")).find("Encrypt").text)
    plaintext = unpad(run(KEK, modes.CBC(KEK[:16]), sealed), 32)
    length = int.from_bytes(plaintext[16:20], "big")
    assert plaintext[20 + length :] == b"wx1234"
    return plaintext[20 : 20 + length]


def feishu():
    whole = b64(doc("msg")["encrypt"])
    return cbc(hashlib.sha256(b"some key").digest(), whole[:16], whole[16:])


def adyen():
    fields = doc("msg")["SaleToPOIRequest"]
    derived = hashlib.pbkdf2_hmac("sha1", b"a passphrase", b"AdyenNexoV1Salt", 4000, 80)
    iv = bytes(a ^ b for a, b in zip(derived[64:], b64(fields["SecurityTrailer"]["Nonce"])))
    plaintext = cbc(derived[32:64], iv, b64(fields["NexoBlob"]))
    assert hmac.new(derived[:32], plaintext, "sha256").digest() == b64(fields["SecurityTrailer"]["Hmac"])
    return plaintext


def matrix():
    info, body = doc("info"), raw("body")
    pad = lambda text: b64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))
    assert pad(info["hashes"]["sha256"]) == hashlib.sha256(body).digest() and info["v"] == "v2"
    iv = pad(info["iv"])
    assert iv[8:] == bytes(8)
    return run(b64url(info["key"]["k"]), modes.CTR(iv), body)


def kms_blob():
    whole = raw("body")
    at = 2 + int.from_bytes(whole[:2], "big")
    key = keywrap.aes_key_unwrap(bytes([7]) * 32, whole[2:at])
    return gcm(key, whole[at : at + 12], whole[at + 12 :])


def web_crypto():
    whole = raw("body")
    return gcm(b"0123456789abcdef" * 2, whole[:12], whole[12:])


OPENERS = {
    "record": record, "ms-graph": ms_graph, "whatsapp-flows-request": whatsapp_request,
    "whatsapp-flows-response": whatsapp_response, "mastercard-fle": mastercard,
    "mastercard-jwe": lambda: jwe(doc("msg")["encryptedData"], 16), "jwe-rsa": lambda: jwe(doc("msg")["encData"], 12),
    "s3ec": s3ec, "snowflake": snowflake, "ksef": ksef, "ides": ides, "azure-cse": azure, "odk": odk,
    "xml-enc": xml_enc, "wechatpay": wechatpay, "wecom": wecom, "feishu": feishu, "adyen": adyen, "matrix": matrix,
    "kms-blob": kms_blob, "web-crypto": web_crypto,
}
opener = next(opener for name, opener in OPENERS.items() if preset.startswith(name))
sys.stdout.buffer.write(opener())
