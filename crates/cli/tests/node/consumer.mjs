// A consumer in Node.js as its own team would write it: downloads, unwraps, decrypts, uploads, and sets the job's status. All of a
// file is in memory.
//
//   node consumer.mjs [JOB…]    those jobs, or every job that is pending; prints { done, failed, peak }, the last in KiB
//
// WAXWING_PEER_NODE_AWS is the folder with the AWS SDK; TABLE and OUTPUT_BUCKET say where things are, PRIVATE_KEY_SECRET_ARN holds
// the private key, WRAP and CIPHER say how files are sealed, JOBS how many jobs are at hand at once.

import { createDecipheriv, privateDecrypt } from 'node:crypto'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.WAXWING_PEER_NODE_AWS, 'package.json'))
const { S3Client, PutObjectCommand } = require('@aws-sdk/client-s3')
const { DynamoDBClient } = require('@aws-sdk/client-dynamodb')
const { DynamoDBDocumentClient, GetCommand, UpdateCommand, paginateScan } = require('@aws-sdk/lib-dynamodb')

const { TABLE, OUTPUT_BUCKET, PRIVATE_KEY_SECRET_ARN, WRAP, CIPHER, JOBS = '1' } = process.env
const s3 = new S3Client({ forcePathStyle: true })
const table = DynamoDBDocumentClient.from(new DynamoDBClient({}))
const key = { key: PRIVATE_KEY_SECRET_ARN, ...(WRAP === 'oaep-sha256' && { oaepHash: 'sha256' }) }

async function consume(job) {
  const response = await fetch(job.PresignedURL)
  if (!response.ok) throw new Error(`Download failed: ${response.status}`)
  const body = Buffer.from(await response.arrayBuffer())
  const aesKey = privateDecrypt(key, Buffer.from(job.EncryptedAESKey, 'base64'))
  const opening = createDecipheriv(CIPHER, aesKey, Buffer.from(job.EncodedAESIV, 'base64'))
  if (job.AuthTag) opening.setAuthTag(Buffer.from(job.AuthTag, 'base64'))
  const plaintext = Buffer.concat([opening.update(body), opening.final()])
  await s3.send(
    new PutObjectCommand({
      Bucket: OUTPUT_BUCKET,
      Key: `${job.FileID}.csv`,
      Body: plaintext,
      ContentType: 'text/csv',
      ServerSideEncryption: 'AES256',
    }),
  )
}

async function settle(JobID, Status) {
  const update = {
    TableName: TABLE,
    Key: { JobID },
    UpdateExpression: 'SET #status = :status',
    ExpressionAttributeNames: { '#status': 'Status' },
    ExpressionAttributeValues: { ':status': Status },
  }
  await table.send(new UpdateCommand(update))
}

async function* jobs(named) {
  if (named.length > 0) {
    for (const JobID of named) yield (await table.send(new GetCommand({ TableName: TABLE, Key: { JobID } }))).Item
    return
  }
  for await (const { Items } of paginateScan({ client: table }, { TableName: TABLE })) {
    yield* Items.filter((job) => job.Status === 'pending')
  }
}

const counts = { done: 0, failed: 0 }
const waiting = jobs(process.argv.slice(2))
async function work() {
  for await (const job of waiting) {
    try {
      await consume(job)
      await settle(job.JobID, 'done')
      counts.done += 1
    } catch (error) {
      console.error(`${job.JobID}: ${error.message}`)
      await settle(job.JobID, 'failed')
      counts.failed += 1
    }
  }
}
await Promise.all(Array.from({ length: Number(JOBS) }, work))
console.log(JSON.stringify({ ...counts, peak: process.resourceUsage().maxRSS }))
