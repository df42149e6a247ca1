// Numbers in words.

/** A share from 0 to 1, as a percentage. */
export function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)}\u00a0%`
}

/** A score from 0 to 1 with two digits, rounded down: none looks as if it reached what it doesn't. */
export function scoreText(value: number): string {
  return (Math.floor(100 * value + 1e-9) / 100).toFixed(2)
}

/** A time: milliseconds up to a second, then seconds. */
export function milliseconds(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`
  return ms < 995 ? `${ms.toFixed(0)} ms` : `${(ms / 1000).toFixed(ms < 9_950 ? 2 : 1)} s`
}

/** A size in megabytes of 10^6 bytes, or gigabytes of 10^9. */
export function megabytes(bytes: number): string {
  const mb = bytes / 1e6
  return mb < 10 ? `${mb.toFixed(1)} MB` : mb < 1000 ? `${mb.toFixed(0)} MB` : `${(mb / 1000).toFixed(2)} GB`
}

/** 1st, 2nd, 3rd ... */
export function ordinal(n: number): string {
  const last = n % 10
  const isTeen = n % 100 > 10 && n % 100 < 14
  return `${n}${isTeen ? 'th' : last === 1 ? 'st' : last === 2 ? 'nd' : last === 3 ? 'rd' : 'th'}`
}
