// A provider in Node.js as its own team would write it: seals each file under a fresh key, wraps that for the agent, uploads,
// pre-signs, and puts a job.
//
//   node provider.mjs < deliveries.json    [{ agent, file, id, wrap, cipher, expiresIn?, indexed? }]
//   prints                                 [the jobs' ids]
//
// WAXWING_PEER_NODE_AWS is the folder with the AWS SDK; BUCKET and TABLE say where things go.

import { constants, createCipheriv, publicEncrypt, randomBytes, randomUUID } from 'node:crypto'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const require = createRequire(join(process.env.WAXWING_PEER_NODE_AWS, 'package.json'))
const { S3Client, PutObjectCommand, GetObjectCommand } = require('@aws-sdk/client-s3')
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner')
const { SecretsManagerClient, GetSecretValueCommand } = require('@aws-sdk/client-secrets-manager')
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb')
const { DynamoDBDocumentClient, PutCommand } = require('@aws-sdk/lib-dynamodb')

const { BUCKET, TABLE } = process.env
const s3 = new S3Client({ forcePathStyle: true })
const secrets = new SecretsManagerClient({})
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}))

const PADDINGS = {
  'oaep-sha1': {},
  'oaep-sha256': { oaepHash: 'sha256' },
  pkcs1: { padding: constants.RSA_PKCS1_PADDING },
}

function seal(plaintext, cipher) {
  const key = randomBytes(cipher.startsWith('aes-128') ? 16 : 32)
  const iv = randomBytes(cipher.endsWith('gcm') ? 12 : 16)
  const sealing = createCipheriv(cipher, key, iv)
  const body = Buffer.concat([sealing.update(plaintext), sealing.final()])
  return { key, iv, body, tag: cipher.endsWith('gcm') ? sealing.getAuthTag() : undefined }
}

async function deliver({ agent, file, id, wrap, cipher, expiresIn = 1800, indexed = false }) {
  const { SecretString: pem } = await secrets.send(new GetSecretValueCommand({ SecretId: agent }))
  const { key, iv, body, tag } = seal(readFileSync(file), cipher)
  const encryptedKey = publicEncrypt({ key: pem, ...PADDINGS[wrap] }, key)
  const Key = 'data/' + randomBytes(12).toString('base64url')
  await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body: body }))
  const presignedUrl = await getSignedUrl(s3, new GetObjectCommand({ Bucket: BUCKET, Key }), { expiresIn })
  const job = {
    JobID: randomUUID(),
    PresignedURL: presignedUrl,
    EncryptedAESKey: encryptedKey.toString('base64'),
    EncodedAESIV: iv.toString('base64'),
    FileID: id,
    Priority: 3,
    ...(tag && { AuthTag: tag.toString('base64') }),
    // What a worker that looks for work by itself finds it by.
    ...(indexed && { Queue: 'open', DueAt: Date.now() }),
  }
  await table.send(
    new PutCommand({ TableName: TABLE, Item: job, ConditionExpression: 'attribute_not_exists(JobID)' }),
  )
  return job.JobID
}

const deliveries = JSON.parse(readFileSync(0, 'utf8'))
const jobs = []
for (const delivery of deliveries) jobs.push(await deliver(delivery))
console.log(JSON.stringify(jobs))
