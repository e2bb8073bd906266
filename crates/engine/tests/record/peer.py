"""PyPI's cryptography in the role of a partner whose OAEP uses two digests, which Node cannot.

Reads a JSON list of jobs on standard input, each { op, digest, mgf1, key, input, output, record } with paths of files.
"""
import base64
import json
import os
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HASHES = {h().name: h for h in (hashes.SHA1, hashes.SHA224, hashes.SHA256, hashes.SHA384, hashes.SHA512)}


def oaep(job):
    return padding.OAEP(mgf=padding.MGF1(HASHES[job["mgf1"]]()), algorithm=HASHES[job["digest"]](), label=None)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def seal(job):
    public = serialization.load_pem_public_key(read(job["key"]))
    key, iv = os.urandom(32), os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, read(job["input"]), None)
    text = lambda data: base64.b64encode(data).decode()
    record = {
        "EncryptedAESKey": text(public.encrypt(key, oaep(job))),
        "EncodedAESIV": text(iv),
        "AuthTag": text(sealed[-16:]),
    }
    write(job["output"], sealed[:-16])
    write(job["record"], json.dumps(record).encode())


def unseal(job):
    private = serialization.load_pem_private_key(read(job["key"]), None)
    record = {name: base64.b64decode(value) for name, value in json.loads(read(job["record"])).items() if name[0] == "E" or name == "AuthTag"}
    key = private.decrypt(record["EncryptedAESKey"], oaep(job))
    write(job["output"], AESGCM(key).decrypt(record["EncodedAESIV"], read(job["input"]) + record["AuthTag"], None))


jobs = json.load(sys.stdin)
for job in jobs:
    (seal if job["op"] == "seal" else unseal)(job)
print(len(jobs), "done")
