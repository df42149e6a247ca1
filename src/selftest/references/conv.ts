// Convolution, in float64.

/** A convolution's sizes; a stride of 1 and no padding by default. */
export interface ConvolutionSize {
  /** Rows, columns and input channels. */
  readonly x: readonly [H: number, W: number, I: number]
  /** Output channels, and rows and columns of the kernel; each reads all I channels. */
  readonly weight: readonly [O: number, kh: number, kw: number]
  /** Along both axes, in pixels of the input; 1 if undefined. */
  readonly stride?: number
  /** Rows and columns of zeros on each side; 0 if undefined. */
  readonly padding?: number
}

/** y[oy, ox, o] = sum x[oy s + dy - p, ox s + dx - p, i] w[o, dy, dx, i] */
export function convReference(
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  size: ConvolutionSize,
): Float64Array {
  const { stride = 1, padding = 0 } = size
  const [H, W, I] = size.x
  const [O, kh, kw] = size.weight
  const outH = Math.floor((H + 2 * padding - kh) / stride) + 1
  const outW = Math.floor((W + 2 * padding - kw) / stride) + 1
  const y = new Float64Array(outH * outW * O)
  for (let i = 0; i < y.length; i++) {
    const [oy, ox, o] = [Math.floor(i / O / outW), Math.floor(i / O) % outW, i % O]
    let sum = 0
    for (let dy = 0; dy < kh; dy++) {
      for (let dx = 0; dx < kw; dx++) {
        const [iy, ix] = [oy * stride + dy - padding, ox * stride + dx - padding]
        if (iy < 0 || iy >= H || ix < 0 || ix >= W) continue
        const [from, by] = [(iy * W + ix) * I, ((o * kh + dy) * kw + dx) * I]
        // Indexed directly: see at.ts
        for (let c = 0; c < I; c++) sum += x[from + c]! * w[by + c]!
      }
    }
    y[i] = sum
  }
  return y
}
