// Images that one can see through, laid on white, as people know them from pages and viewers. What is stored under
// transparent pixels is often black, and a drawing in black would be lost in it. The engine drops transparency instead; opaque
// images take its way, bit for bit.

/** Rows that are looked at, at a time. */
const STRIP = 512
const OPAQUE = 255

/** @returns the image on white, which is the caller's; undefined where it is opaque, or no image that the browser knows */
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
    const context = canvas.getContext('2d', { alpha: false })!
    context.fillStyle = '#fff'
    context.fillRect(0, 0, bitmap.width, bitmap.height)
    context.drawImage(bitmap, 0, 0)
    return canvas.transferToImageBitmap()
  } finally {
    bitmap.close()
  }
}

/** By the first bytes: JPEG and BMP are opaque; a PNG says so in its header, or in a chunk before its pixels. */
async function mayBeTransparent(file: Blob): Promise<boolean> {
  const bytes = new Uint8Array(await file.slice(0, 4096).arrayBuffer())
  const text = String.fromCharCode(...bytes)
  if (text.startsWith('\xff\xd8') || text.startsWith('BM')) return false
  if (!text.startsWith('\x89PNG')) return true
  const colourType = bytes[25]
  return colourType === 4 || colourType === 6 || text.includes('tRNS')
}

function isOpaque(bitmap: ImageBitmap): boolean {
  const { width, height } = bitmap
  const canvas = new OffscreenCanvas(width, Math.min(STRIP, height))
  const context = canvas.getContext('2d', { willReadFrequently: true })!
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top)
    context.clearRect(0, 0, width, rows)
    context.drawImage(bitmap, 0, -top)
    const { data } = context.getImageData(0, 0, width, rows)
    for (let i = 3; i < data.length; i += 4) if (data[i] !== OPAQUE) return false
  }
  return true
}
