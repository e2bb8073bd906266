// The record scheme as a Node.js program would write it with node:crypto alone: the benchmark's Node.js peer.
//
//   node node_record.mjs seal PUB IN BODY RECORD
//   node node_record.mjs open KEY OUT BODY RECORD
//
// AES-256-GCM with the tag in the record, the key wrapped with RSA-OAEP-SHA-256. IN, OUT, BODY and RECORD are files, or all
// four folders of files with the same names. Data is streamed; a plaintext appears by rename once its tag has verified.
import { constants, createCipheriv, createDecipheriv, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto'
import { createReadStream, createWriteStream, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'

const CIPHER = 'aes-256-gcm'
const CHUNK = { highWaterMark: 1 << 20 }
const oaep = (key) => ({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' })

async function seal(pem, input, body, record) {
  const key = randomBytes(32)
  const iv = randomBytes(12)
  const cipher = createCipheriv(CIPHER, key, iv)
  await pipeline(createReadStream(input, CHUNK), cipher, createWriteStream(body))
  writeFileSync(record, JSON.stringify({
    EncryptedAESKey: publicEncrypt(oaep(pem), key).toString('base64'),
    EncodedAESIV: iv.toString('base64'),
    EncodedAuthTag: cipher.getAuthTag().toString('base64'),
  }))
}

async function open(pem, output, body, record) {
  const fields = JSON.parse(readFileSync(record, 'utf8'))
  const bytes = (name) => Buffer.from(fields[name], 'base64')
  const decipher = createDecipheriv(CIPHER, privateDecrypt(oaep(pem), bytes('EncryptedAESKey')), bytes('EncodedAESIV'))
  decipher.setAuthTag(bytes('EncodedAuthTag'))
  const partial = `${output}.partial`
  try {
    await pipeline(createReadStream(body, CHUNK), decipher, createWriteStream(partial))
  } catch (error) {
    rmSync(partial, { force: true })
    throw error
  }
  renameSync(partial, output)
}

const [verb, pemPath, plain, body, record] = process.argv.slice(2)
if (!['seal', 'open'].includes(verb) || !record) {
  console.error('usage: node_record.mjs seal PUB IN BODY RECORD | open KEY OUT BODY RECORD')
  process.exit(2)
}
const work = verb === 'seal' ? seal : open
const pem = readFileSync(pemPath)
const source = verb === 'seal' ? plain : body
if (statSync(source).isDirectory()) {
  for (const folder of [plain, body, record]) mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(source)) await work(pem, join(plain, name), join(body, name), join(record, name))
} else {
  await work(pem, plain, body, record)
}
