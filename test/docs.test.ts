// Documents link only to files and folders that are there.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const documents = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync('docs')
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
]

test.each(documents)('the links of %s lead somewhere', (file) => {
  const text = readFileSync(file, 'utf8')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
  const own = links.filter((link) => !/^(?:https?:|#)/.test(link))
  expect(own.length).toBeGreaterThan(0)
  const missing = own.filter((link) => !existsSync(join(dirname(file), link.replace(/#.*/, ''))))
  expect(missing).toEqual([])
})

test('the glossary defines each term once, with its file', () => {
  const rows = readFileSync('docs/glossary.md', 'utf8').matchAll(
    /^\| (.+?) \| (.+?) \| (\[.+?\]\(.+?\)) \|$/gm,
  )
  const terms = [...rows].map(([, term]) => term!).filter((term) => term !== 'term')
  expect(terms.length).toBeGreaterThan(20)
  expect(new Set(terms).size).toBe(terms.length)
})
