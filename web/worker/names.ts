// Names of files to save, as the command makes them.

const MOST_LETTERS = 47

/** A sentence as a part of a file's name. */
export function slug(sentence: string): string {
  const words =
    sentence
      .normalize('NFC')
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  return Array.from(words.join('-') || 'mask')
    .slice(0, MOST_LETTERS)
    .join('')
    .replace(/-$/, '')
}

/** A file's name without its extension. */
export function stem(name: string): string {
  return name.replace(/\.[^.]*$/, '') || 'image'
}
