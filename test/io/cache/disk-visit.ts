// One visit of a process of its own: reads a file of a folder on a server, and tells what it read and was told.

import { cachedWeights } from '../../../src/io/cache/block-cache.ts'
import { openFolder } from '../../../src/io/folder.ts'

const [url = '', file = '', blockBytes = ''] = process.argv.slice(2)
const folder = openFolder(url, { blockBytes: Number(blockBytes), retryMs: 1 })
const source = await folder.open(file)
const bytes = await source.read(0, source.size)
await source.verify?.() // waits until it is kept
await source.close()
const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
console.log(JSON.stringify({ sha256, notes: folder.notes, kept: await cachedWeights() }))
