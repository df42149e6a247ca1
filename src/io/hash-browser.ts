// `#hash` in browsers, which have nothing that takes bytes in pieces.

import type { PiecewiseHash } from './sha256.ts'

export const hostSha256: (() => PiecewiseHash) | undefined = undefined
export const hostCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = undefined
