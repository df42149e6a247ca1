// Files that people give us instead of the one that we expect, recognised by their first bytes.

const MAGIC: readonly (readonly [begin: string, what: string])[] = [
  ['version https://git-lfs', 'It is a Git LFS pointer: run "git lfs pull" to get the file itself.'],
  ['\x1f\x8b', 'It is compressed by gzip: unpack it first.'],
  ['\x28\xb5\x2f\xfd', 'It is compressed by Zstandard: unpack it first.'],
  [
    'PK\x03\x04',
    'It is a zip archive, as PyTorch writes: openCheckpoint reads such weights. Others must be unpacked.',
  ],
  ['\x80\x02', 'It is a Python pickle, as PyTorch wrote: convert it to safetensors.'],
  ['\x89HDF', 'It is an HDF5 file: get the model as safetensors.'],
  ['GGUF', 'It is a GGUF file: get the model as safetensors.'],
  ['\xff\xfe', 'It is UTF-16 text: save it as UTF-8.'],
  ['\xfe\xff', 'It is UTF-16 text: save it as UTF-8.'],
]

/** The first bytes of a file that are enough to recognise what it is. */
export const DISGUISE_BYTES = 64

/** @returns a sentence that names it and says what to do, or undefined */
export function disguiseOf(bytes: Uint8Array): string | undefined {
  const text = String.fromCharCode(...bytes.subarray(0, DISGUISE_BYTES))
  const match = MAGIC.find(([begin]) => text.startsWith(begin))
  if (match) return match[1]
  if (/^(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml|!--|body)/i.test(text)) {
    return 'It is a web page: check the address that it was downloaded from.'
  }
  // Text of Latin letters, two bytes each, without a mark
  if (/^(\s|[{["])\0/.test(text)) return 'It is UTF-16 text: save it as UTF-8.'
  return /^\0+$/.test(text) ? 'It holds zeros only: copy or download it again.' : undefined
}
