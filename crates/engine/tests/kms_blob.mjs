// kms-blob as a Node.js service writes and reads it: AWS SDK v3 and Web Crypto, u16be(len) || CiphertextBlob || iv12 ||
// ciphertext || tag16 in memory.
//
//   node kms_blob.mjs create ENDPOINT            prints the ARN of a new key
//   node kms_blob.mjs seal ENDPOINT KEY          standard input to standard output
//   node kms_blob.mjs open ENDPOINT KEY          standard input to standard output
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.WAXWING_PEER_NODE_AWS, 'package.json'))
const { CreateKeyCommand, DecryptCommand, GenerateDataKeyCommand, KMSClient } = require('@aws-sdk/client-kms')
const { subtle } = globalThis.crypto

const IV_LEN = 12
const [, , command, endpoint, KeyId] = process.argv
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
const kms = new KMSClient({ endpoint, region: 'eu-central-1', credentials })
const importKey = (key, use) => subtle.importKey('raw', key, 'AES-GCM', false, [use])

async function seal(plaintext) {
  const { CiphertextBlob, Plaintext } = await kms.send(new GenerateDataKeyCommand({ KeyId, KeySpec: 'AES_256' }))
  const iv = crypto.getRandomValues(new Uint8Array(IV_LEN))
  const ciphertext = await subtle.encrypt({ name: 'AES-GCM', iv }, await importKey(Plaintext, 'encrypt'), plaintext)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(CiphertextBlob.length)
  return Buffer.concat([length, CiphertextBlob, iv, Buffer.from(ciphertext)])
}

async function open(blob) {
  const at = 2 + blob.readUInt16BE(0)
  const { Plaintext } = await kms.send(new DecryptCommand({ KeyId, CiphertextBlob: blob.subarray(2, at) }))
  const [iv, ciphertext] = [blob.subarray(at, at + IV_LEN), blob.subarray(at + IV_LEN)]
  return Buffer.from(await subtle.decrypt({ name: 'AES-GCM', iv }, await importKey(Plaintext, 'decrypt'), ciphertext))
}

if (command === 'create') {
  process.stdout.write((await kms.send(new CreateKeyCommand({}))).KeyMetadata.Arn)
} else {
  const input = readFileSync(0)
  process.stdout.write(command === 'seal' ? await seal(input) : await open(input))
}
