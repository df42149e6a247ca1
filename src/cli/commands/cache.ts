// flowseg cache: the weights that were downloaded and kept, and a way to get rid of them.

import { type CachedFile, cachedWeights, clearCachedWeights } from '../../io/cache/block-cache.ts'
import { type Command, expectOperands, type Given, type Page, SHARED } from '../args.ts'
import { jsonLine } from '../json.ts'
import { painter, type Terminal, table } from '../output/terminal.ts'

const page: Page = {
  name: 'cache',
  operands: '[ADDRESS]',
  summary: 'list the weights that were downloaded and kept, or delete them',
  details:
    'Weights that are loaded from an address are kept in the cache folder of the user, below ~/.cache/flowseg or ' +
    'XDG_CACHE_HOME, so that they are downloaded once. ADDRESS is that of a folder or ' +
    'of a file, or its place on Hugging Face; without it all are meant.',
  options: {
    clear: { help: 'delete what is kept' },
    json: SHARED.json,
  },
  examples: [
    ['cache', 'what is kept'],
    ['cache https://host/models/nano --clear', 'delete the files of one model'],
    ['cache hf:owner/name --clear', 'the same, of one from Hugging Face'],
  ],
}

/** `flowseg cache` */
export const cache: Command = { page, run }

async function run(args: Given, { out }: Terminal): Promise<number> {
  expectOperands(page, args, 0, 1)
  const [address] = args.operands
  const json = args.has('json')
  if (args.has('clear')) {
    const freed = await clearCachedWeights(address)
    out.write(json ? jsonLine({ freed }) : `Cleared: ${megabytes(freed)}\n`)
    return 0
  }
  const files = (await cachedWeights(address)).sort((a, b) => (a.url < b.url ? -1 : 1))
  out.write(json ? jsonLine({ files }) : `${lines(files, out).join('\n')}\n`)
  return 0
}

function lines(files: readonly CachedFile[], out: Terminal['out']): string[] {
  if (files.length === 0) return ['Nothing is kept.']
  const rows = files.map(({ url, bytes, size }) => [
    url,
    megabytes(bytes),
    bytes < size ? `of ${megabytes(size)}` : '',
  ])
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0)
  return [...table(rows), painter(out)('bold', `${megabytes(total)} in all`)]
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
