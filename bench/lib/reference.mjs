// Each op's formula in float64, for one output at a time: the truth that every engine is held against.

/** @returns a function from an output's place to its value */
export function referenceOf({ op, sizes, output }, inputs) {
  return FORMULAS[op](
    sizes,
    Object.fromEntries(Object.entries(inputs).map(([k, x]) => [k, x.values])),
    output,
  )
}

const ACTIVATIONS = {
  none: (x) => x,
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
}

const FORMULAS = {
  linear({ K, N, activation }, { x, weight, bias }) {
    return (place) => {
      const [m, n] = [Math.floor(place / N), place % N]
      return ACTIVATIONS[activation](dot(x, m * K, weight, n * K, K) + (bias?.[n] ?? 0))
    }
  },

  swiglu({ K, I }, { x, gate, up }) {
    return (place) => {
      const [m, n] = [Math.floor(place / I), place % I]
      const g = dot(x, m * K, gate, n * K, K)
      return (g / (1 + Math.exp(-g))) * dot(x, m * K, up, n * K, K)
    }
  },

  attention({ heads, kvHeads, d, Tq, Tk, bias, start, map }, { query, key, value, bits, height, width }) {
    return (place) => {
      const c = place % d
      const h = Math.floor(place / d) % heads
      const row = Math.floor(place / d / heads)
      const [b, q] = [Math.floor(row / Tq), row % Tq]
      const kvHead = Math.floor((h * kvHeads) / heads)
      const at = (row * heads + h) * d
      const keyAt = (t) => ((b * Tk + t) * kvHeads + kvHead) * d
      const scores = []
      for (let t = 0; t < Tk; t++) {
        const hidden =
          (bias === 'causal' && t > start + q) ||
          (bias === 'mask' && ((bits[q * Math.ceil(Tk / 32) + (t >>> 5)] >>> (t & 31)) & 1) === 1)
        let score = hidden ? -Infinity : dot(query, at, key, keyAt(t), d) / Math.sqrt(d)
        if (bias === 'relative') {
          const [H, W] = map
          const dy = Math.floor(q / W) - Math.floor(t / W) + H - 1
          const dx = (q % W) - (t % W) + W - 1
          score += dot(query, at, height, dy * d, d) + dot(query, at, width, dx * d, d)
        }
        scores.push(score)
      }
      const top = scores.reduce((m, s) => Math.max(m, s), -Infinity)
      let sum = 0
      let y = 0
      scores.forEach((score, t) => {
        const p = Math.exp(score - top)
        sum += p
        y += p * value[keyAt(t) + c]
      })
      return y / sum
    }
  },

  conv2d({ H, W, I, O, k, stride, padding, W2 }, { x, weight }) {
    return (place) => {
      const o = place % O
      const [Y, X] = [Math.floor(place / O / W2), Math.floor(place / O) % W2]
      let sum = 0
      for (let dy = 0; dy < k; dy++) {
        for (let dx = 0; dx < k; dx++) {
          const [py, px] = [Y * stride + dy - padding, X * stride + dx - padding]
          if (py < 0 || py >= H || px < 0 || px >= W) continue
          sum += dot(x, (py * W + px) * I, weight, ((o * k + dy) * k + dx) * I, I)
        }
      }
      return sum
    }
  },

  deformable({ heads, d, points, levels }, { value, offsets, weights }) {
    const L = levels.length
    const starts = levels.map((_, l) => levels.slice(0, l).reduce((sum, [H, W]) => sum + H * W, 0))
    return (place) => {
      const c = place % d
      const h = Math.floor(place / d) % heads
      const t = Math.floor(place / d / heads)
      const own = starts.findLastIndex((start) => start <= t)
      const [H0, W0] = levels[own]
      const [y0, x0] = [Math.floor((t - starts[own]) / W0), (t - starts[own]) % W0]
      const logits = Array.from({ length: L * points }, (_, i) => weights[(t * heads + h) * L * points + i])
      const top = Math.max(...logits)
      const shares = logits.map((w) => Math.exp(w - top))
      const total = shares.reduce((sum, w) => sum + w, 0)
      let sum = 0
      levels.forEach(([H, W], l) => {
        for (let p = 0; p < points; p++) {
          const i = l * points + p
          const at = ((t * heads + h) * L * points + i) * 2
          const x = ((x0 + 0.5) / W0) * W + offsets[at] - 0.5
          const y = ((y0 + 0.5) / H0) * H + offsets[at + 1] - 0.5
          const [left, above] = [Math.floor(x), Math.floor(y)]
          for (const [py, wy] of [
            [above, above + 1 - y],
            [above + 1, y - above],
          ]) {
            for (const [px, wx] of [
              [left, left + 1 - x],
              [left + 1, x - left],
            ]) {
              if (py < 0 || py >= H || px < 0 || px >= W) continue
              sum += (shares[i] / total) * wy * wx * value[((starts[l] + py * W + px) * heads + h) * d + c]
            }
          }
        }
      })
      return sum
    }
  },

  layerNorm({ eps }, { x, weight, bias }, [, C]) {
    return (place) => {
      const [row, c] = [place - (place % C), place % C]
      const { mean, variance } = moments(x, (i) => row + i, C)
      return ((x[place] - mean) / Math.sqrt(variance + eps)) * weight[c] + bias[c]
    }
  },

  rmsNorm({ eps }, { x, weight }, [, C]) {
    return (place) => {
      const row = place - (place % C)
      return (x[place] / Math.sqrt(dot(x, row, x, row, C) / C + eps)) * weight[place % C]
    }
  },

  groupNorm({ groups, eps }, { x, weight, bias }, [H, W, C]) {
    const size = C / groups
    const known = new Map()
    return (place) => {
      const c = place % C
      const group = Math.floor(c / size)
      if (!known.has(group)) {
        known.set(
          group,
          moments(x, (i) => Math.floor(i / size) * C + group * size + (i % size), H * W * size),
        )
      }
      const { mean, variance } = known.get(group)
      return ((x[place] - mean) / Math.sqrt(variance + eps)) * weight[c] + bias[c]
    }
  },

  softmax(_, { x }, [, C]) {
    return (place) => {
      const row = place - (place % C)
      let top = -Infinity
      for (let i = 0; i < C; i++) top = Math.max(top, x[row + i])
      let sum = 0
      for (let i = 0; i < C; i++) sum += Math.exp(x[row + i] - top)
      return Math.exp(x[place] - top) / sum
    }
  },

  resize({ H, W, C, H2, W2 }, { x }) {
    const taps = (i, from, to) => {
      const at = Math.max(0, ((i + 0.5) * from) / to - 0.5)
      const low = Math.min(Math.floor(at), from - 1)
      return [low, Math.min(low + 1, from - 1), at - low]
    }
    return (place) => {
      const c = place % C
      const [y0, y1, fy] = taps(Math.floor(place / C / W2), H, H2)
      const [x0, x1, fx] = taps(Math.floor(place / C) % W2, W, W2)
      const at = (y, x_) => x[(y * W + x_) * C + c]
      return (
        (1 - fy) * ((1 - fx) * at(y0, x0) + fx * at(y0, x1)) + fy * ((1 - fx) * at(y1, x0) + fx * at(y1, x1))
      )
    }
  },

  gelu:
    (_, { x }) =>
    (place) =>
      ACTIVATIONS.gelu(x[place]),
  add:
    (_, { x, other }) =>
    (place) =>
      x[place] + other[place],
}

function dot(a, aStart, b, bStart, length) {
  let sum = 0
  for (let i = 0; i < length; i++) sum += a[aStart + i] * b[bStart + i]
  return sum
}

function moments(x, at, count) {
  let mean = 0
  for (let i = 0; i < count; i++) mean += x[at(i)]
  mean /= count
  let variance = 0
  for (let i = 0; i < count; i++) variance += (x[at(i)] - mean) ** 2
  return { mean, variance: variance / count }
}

/** By its series below 3 and its continued fraction above: 1e-14. */
function erf(x) {
  const a = Math.abs(x)
  if (a > 6) return Math.sign(x)
  if (a < 3) {
    let term = x
    let sum = x
    for (let n = 1; n < 80; n++) {
      term *= (-x * x) / n
      sum += term / (2 * n + 1)
    }
    return (2 / Math.sqrt(Math.PI)) * sum
  }
  let tail = 0
  for (let n = 60; n > 0; n--) tail = n / 2 / (a + tail)
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + tail))
}
