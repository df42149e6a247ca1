// `#hash` in browsers, which have nothing that takes bytes in pieces.

import type { PiecewiseHash } from './sha256.ts'

/** None: crypto.subtle takes a file only whole. */
export const hostSha256: (() => PiecewiseHash) | undefined = undefined
/** None: browsers have no CRC-32 for scripts. */
export const hostCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = undefined
