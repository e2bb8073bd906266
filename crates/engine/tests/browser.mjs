// Lets a page in Chromium seal and open files with Web Crypto, as a page of somebody's own would.
//
//   node browser.mjs FOLDER    reads FOLDER/jobs.json: [{ op, shape, key, blob, from, to }]
//                              prints ["done" or the name of the error, …]
//
// WAXWING_PEER_BROWSER is the folder with playwright-core, WAXWING_PEER_CHROMIUM the browser.

import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = process.argv[2]
const require = createRequire(join(process.env.WAXWING_PEER_BROWSER, 'package.json'))
const { chromium } = require('playwright-core')

const PAGE = `<!doctype html><title>vault</title><script type="module">
const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (two) => parseInt(two, 16))

async function seal(job, key, plaintext) {
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key, plaintext)
  const blob = bytes(job.blob)
  const front = job.shape === 'kms-blob' ? [Uint8Array.of(blob.length >> 8, blob.length & 255), blob] : []
  return new Blob([...front, iv, sealed])
}

async function open(job, key, sealed) {
  let at = 0
  if (job.shape === 'kms-blob') {
    at = 2 + new DataView(sealed).getUint16(0)
    const blob = new Uint8Array(sealed.slice(2, at))
    if (blob.join() !== bytes(job.blob).join()) throw new Error('another blob than the one that the KMS knows')
  }
  const iv = sealed.slice(at, at + 12)
  return crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key, sealed.slice(at + 12))
}

window.run = async (job) => {
  try {
    const key = await crypto.subtle.importKey('raw', bytes(job.key), 'AES-GCM', false, ['encrypt', 'decrypt'])
    const input = await (await fetch('/' + job.from)).arrayBuffer()
    const output = job.op === 'seal' ? await seal(job, key, input) : await open(job, key, input)
    await fetch('/' + job.to, { method: 'PUT', body: output })
    return 'done'
  } catch (error) {
    return error.name
  }
}
</script>`

const server = createServer(async (request, response) => {
  const name = request.url.slice(1)
  if (name === '') return response.setHeader('content-type', 'text/html').end(PAGE)
  if (!/^[a-z0-9.-]+$/.test(name)) return response.writeHead(404).end()
  if (request.method === 'GET') {
    return existsSync(join(folder, name)) ? response.end(readFileSync(join(folder, name))) : response.writeHead(404).end()
  }
  const pieces = []
  for await (const piece of request) pieces.push(piece)
  writeFileSync(join(folder, name), Buffer.concat(pieces))
  response.end()
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))

const browser = await chromium.launch({
  executablePath: process.env.WAXWING_PEER_CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
})
try {
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${server.address().port}/`)
  const results = []
  for (const job of JSON.parse(readFileSync(join(folder, 'jobs.json')))) {
    results.push(await page.evaluate((job) => window.run(job), job))
  }
  console.log(JSON.stringify(results))
} finally {
  await browser.close()
  server.close()
}
