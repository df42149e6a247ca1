// Numbers of bench/results/full-size.md as it shows them.

/** What was not measured. */
export const DASH = '-'

export const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`
export const seconds = (ms) => (ms < 10_000 ? `${(ms / 1000).toFixed(2)} s` : `${Math.round(ms / 1000)} s`)
export const milliseconds = (ms) => `${Math.round(ms)} ms`
export const scientific = (x) => x.toExponential(1)
export const percent = (x) => `${(100 * x).toFixed(2)} %`
export const bits = (isSame) => (isSame ? 'the same bits' : 'other bits')
