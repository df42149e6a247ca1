// A client's visit to a hub (local-hub.ts), in any runtime.

import { openFolder } from '../../../../src/io/folder.ts'

/** 'read' if all of the file came, else what the error says. */
const EXPECTED: Readonly<Record<string, string | RegExp>> = {
  'hf:me/nano/größe 1': '"first" read',
  'hf:me/nano/größe 1@refs/pr/1': '"branch" read',
  'hf:me/moving': '"first" read',
  'hf:me/private': '"private" read',
  'hf:me/damaged':
    /WeightsError: .*w\.bin: its bytes are damaged \(SHA-256 [0-9a-f]{64}, the server says [0-9a-f]{64}\)/,
  'hf:me/gated':
    /WeightsError: hf:me\/gated: me\/gated is gated, and the account of the token has not been let in: the hub answers 403 \(Access/,
  'hf:me/nothing': /WeightsError: .*there is no repository me\/nothing, or it is private and the account/,
  'hf:me/nano@v9': /WeightsError: .*has no revision "v9": the hub answers 404 \(Invalid rev id: v9\)/,
  'hf:me/nano':
    /WeightsError: There is no config.json in hf:me\/nano, which has größe 1\/\. Its files are listed at/,
  'hf:me': /UsageError: "hf:me" lacks the name of a repository/,
}

/** @returns for each place what came of it */
export async function visitHub(endpoint: string): Promise<Record<string, string>> {
  const results: Record<string, string> = {}
  for (const place of Object.keys(EXPECTED)) results[place] = await visit(place, endpoint)
  results['leaks'] = await (await fetch(`${endpoint}/leaks`)).text()
  return results
}

/** @returns what came of something else than is expected: nothing, if all is well */
export function surprisesAt(results: Readonly<Record<string, string>>): string[] {
  const all: typeof EXPECTED = { ...EXPECTED, leaks: '[]' }
  return Object.entries(all).flatMap(([place, expected]) => {
    const result = results[place] ?? 'nothing'
    const isExpected = typeof expected === 'string' ? result === expected : expected.test(result)
    return isExpected ? [] : [`${place}: ${result}`]
  })
}

async function visit(place: string, endpoint: string): Promise<string> {
  try {
    const folder = openFolder(place, {
      endpoint,
      token: 'hf_mine',
      cache: 'none',
      blockBytes: 500,
      maxRequests: 1,
    })
    const config = await folder.readText('config.json')
    const source = await folder.open('w.bin')
    const bytes = await source.read(0, source.size)
    await source.verify?.()
    await source.close()
    const isWhole = bytes.length === 4000 && bytes.every((byte, i) => byte === ((i * 7) & 255))
    return `${config} ${isWhole ? 'read' : 'wrong'}`
  } catch (error) {
    return String(error)
  }
}
