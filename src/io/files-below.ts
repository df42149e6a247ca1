// The files of a directory and of those below it, as far as somebody who looks for weights would look: Node, Deno, Bun.

/** Folders below folders, and entries in all of them. */
const MOST_DEEP = 4
const MOST_ENTRIES = 5000

/** Paths from the directory, with slashes; hidden folders, links and what can't be listed are passed over. */
export async function filesBelow(directory: string): Promise<string[]> {
  const { readdir } = await import('node:fs/promises')
  const path = await import('node:path')
  const files: string[] = []
  let seen = 0
  let level = ['']
  for (let depth = 0; depth < MOST_DEEP && level.length > 0; depth++) {
    const next: string[] = []
    for (const folder of level) {
      if (seen > MOST_ENTRIES) return files
      const entries = await readdir(path.join(directory, folder), { withFileTypes: true }).catch(() => [])
      seen += entries.length
      for (const entry of entries) {
        if (entry.isDirectory() && !entry.name.startsWith('.')) next.push(`${folder}${entry.name}/`)
        else if (entry.isFile()) files.push(`${folder}${entry.name}`)
      }
    }
    level = next
  }
  return files
}
