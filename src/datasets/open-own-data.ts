// Tells the layouts of data sets apart: a JSON Lines file, a folder of RefCOCO, a folder of ReasonSeg.

import { existsSync } from 'node:fs'
import { isFolder } from '../make-folders.ts'
import { listJsonLines } from './json-lines.ts'
import type { OwnData } from './own-data.ts'
import { listReasonSeg, looksLikeReasonSeg } from './reasonseg.ts'
import { listRefcoco, looksLikeRefcoco, type RefcocoOptions } from './refcoco.ts'

/**
 * Lists a data set, whatever its layout.
 *
 * @param name the same as the user typed it
 * @returns undefined if the path is of no layout that is known
 * @throws FlowSegError 'ERR_DATASET' naming the places with faults
 */
export async function openOwnData(
  path: string,
  name: string,
  options: RefcocoOptions,
  signal: AbortSignal,
): Promise<OwnData | undefined> {
  if (!existsSync(path)) return undefined
  if (looksLikeRefcoco(path)) return listRefcoco(path, name, options, signal)
  if (!isFolder(path)) return listJsonLines(path, name, signal)
  return looksLikeReasonSeg(path) ? listReasonSeg(path, name, signal) : undefined
}
