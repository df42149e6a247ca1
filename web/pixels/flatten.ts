// Composites transparent images onto white, as pages and viewers show them. Drawing programs often store black under
// transparent pixels, where a black drawing would disappear. The engine itself drops alpha; opaque images are left to
// it, so their pixels are the same as on the command line.

import { contextOf } from './context.ts'
import { stripsOf } from './strips.ts'

const OPAQUE = 255

/** @returns a bitmap that the caller closes; undefined if the image is opaque or the browser can't decode it */
export async function flattened(file: Blob): Promise<ImageBitmap | undefined> {
  if (!(await mayBeTransparent(file))) return undefined
  const bitmap = await createImageBitmap(file, {
    colorSpaceConversion: 'none',
    imageOrientation: 'from-image',
  }).catch(() => undefined)
  if (!bitmap) return undefined
  try {
    if (isOpaque(bitmap)) return undefined
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
    const context = contextOf(canvas, { alpha: false })
    context.fillStyle = '#fff'
    context.fillRect(0, 0, bitmap.width, bitmap.height)
    context.drawImage(bitmap, 0, 0)
    return canvas.transferToImageBitmap()
  } finally {
    bitmap.close()
  }
}

/** Checks the first bytes: JPEG and BMP have no alpha; a PNG declares it in its header or in a tRNS chunk. */
async function mayBeTransparent(file: Blob): Promise<boolean> {
  const bytes = new Uint8Array(await file.slice(0, 4096).arrayBuffer())
  const text = String.fromCharCode(...bytes)
  if (text.startsWith('\xff\xd8') || text.startsWith('BM')) return false
  if (!text.startsWith('\x89PNG')) return true
  const colourType = bytes[25]
  return colourType === 4 || colourType === 6 || text.includes('tRNS')
}

function isOpaque(bitmap: ImageBitmap): boolean {
  for (const { data } of stripsOf(bitmap)) {
    for (let i = 3; i < data.length; i += 4) if (data[i] !== OPAQUE) return false
  }
  return true
}
