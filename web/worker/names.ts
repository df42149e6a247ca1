// Names of files to save.

/** A file's name without its extension. */
export function stem(name: string): string {
  return name.replace(/\.[^.]*$/, '') || 'image'
}
