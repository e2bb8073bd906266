// Node's own crypto in the role of a partner: seals and opens files of the record scheme.
// Reads a JSON list of jobs on standard input; each is { op, wrap, cipher, tag, key, input, output, record } with paths of
// files. PKCS#1 v1.5 opens only under `node --security-revert=CVE-2023-46809`.
import { readFileSync, writeFileSync } from "node:fs";
import crypto from "node:crypto";

const { RSA_PKCS1_PADDING, RSA_PKCS1_OAEP_PADDING } = crypto.constants;

// oaep-sha1 is what Node does without options, and is called so.
const rsa = (wrap, key) =>
  wrap === "pkcs1" ? { key, padding: RSA_PKCS1_PADDING }
  : wrap === "oaep-sha1" ? key
  : { key, padding: RSA_PKCS1_OAEP_PADDING, oaepHash: wrap.slice("oaep-".length) };

const size = (cipher) => (cipher.startsWith("aes-128") ? 16 : 32);
const isGcm = (cipher) => cipher.endsWith("gcm");
const base64 = (bytes) => Buffer.from(bytes).toString("base64");

async function sealContent(job, key, iv, data) {
  if (job.tag === "appended") {
    // Web Crypto puts the tag behind the ciphertext.
    const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
    return { body: Buffer.from(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, imported, data)) };
  }
  const cipher = crypto.createCipheriv(job.cipher, key, iv);
  const body = Buffer.concat([cipher.update(data), cipher.final()]);
  return { body, tag: isGcm(job.cipher) ? cipher.getAuthTag() : undefined };
}

async function seal(job) {
  const key = crypto.randomBytes(size(job.cipher));
  const iv = crypto.randomBytes(isGcm(job.cipher) ? 12 : 16);
  const { body, tag } = await sealContent(job, key, iv, readFileSync(job.input));
  const record = {
    EncryptedAESKey: base64(crypto.publicEncrypt(rsa(job.wrap, readFileSync(job.key)), key)),
    EncodedAESIV: base64(iv),
  };
  if (tag) record.AuthTag = base64(tag);
  writeFileSync(job.output, body);
  writeFileSync(job.record, JSON.stringify(record));
}

async function open(job) {
  const record = JSON.parse(readFileSync(job.record, "utf8"));
  const bytes = (name) => Buffer.from(record[name], "base64");
  const key = crypto.privateDecrypt(rsa(job.wrap, readFileSync(job.key)), bytes("EncryptedAESKey"));
  const [iv, body] = [bytes("EncodedAESIV"), readFileSync(job.input)];
  if (job.tag === "appended") {
    const imported = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
    writeFileSync(job.output, Buffer.from(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, imported, body)));
    return;
  }
  const decipher = crypto.createDecipheriv(job.cipher, key, iv);
  if (isGcm(job.cipher)) decipher.setAuthTag(bytes("AuthTag"));
  writeFileSync(job.output, Buffer.concat([decipher.update(body), decipher.final()]));
}

const jobs = JSON.parse(readFileSync(0, "utf8"));
for (const job of jobs) await (job.op === "seal" ? seal(job) : open(job));
console.log(`${jobs.length} done`);
