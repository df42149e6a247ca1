// A checkpoint that says what it knows: for tests of what people are told of that. Its features have no meaning; an
// image is of its world or isn't by the threshold alone.

/** The words that it knows, with those of its examples. */
const WORDS =
  'a all and at both bottom cactus cat clock dog dotted find in is large left of on rain right scene segment shape ' +
  'striped sky the to umbrella what yellow circle keeps you dry'

/** The sentence about its images, and what it may be asked. */
export const DOMAIN = 'Drawn scenes of a few objects: shapes, and icons of everyday things.'
export const EXAMPLES: readonly string[] = ['the umbrella', 'all the dotted shapes', 'both clocks']

/** Far above, and far below, every distance. */
const THRESHOLDS = { known: 1e9, foreign: 1e-3 } as const

/** The `knows` of its config. @param world whether every image is like those of training, or none */
export function knowsOf(world: keyof typeof THRESHOLDS): object {
  return {
    domain: DOMAIN,
    words: WORDS.split(' '),
    examples: EXAMPLES,
    world: { threshold: THRESHOLDS[world], rest: 4, axes: 3 },
  }
}

/** Fills the tensors that its world needs. */
export function fillWorld(name: string, values: Float32Array): void {
  if (name === 'world.mean') values.fill(0)
  if (name === 'world.axes') values.forEach((_, i) => (values[i] = Math.cos(i)))
  if (name === 'world.scale') values.set([1, 2, 4])
}
