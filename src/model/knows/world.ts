// The distance of an image from those that a checkpoint was trained on. A model segments something in any image, so
// users are told when its answers about theirs mean little.
//
// The features x of an image are the mean and the standard deviation of each channel over the rows that the language
// model reads, for each encoder. Training's features have a mean m, K main axes A and deviations s along them
// (training/world.py). The distance of an image is
//
//   sqrt(mean_k((A (x - m))_k / s_k)^2 + (|x - m - A'A (x - m)| / rest)^2)
//
// The device adds the features up in the plan of a look; the distance is computed here, in float64.

import { expectDefined } from '../../check.ts'
import { WeightsError } from '../../errors.ts'
import { mul, sub } from '../../ops/elementwise/elementwise.ts'
import { meanRows } from '../../ops/reduce/reduce.ts'
import { printable } from '../../printable.ts'
import { scope, type Tensor } from '../../tensor/tensor.ts'
import type { Config, Vision } from '../checkpoint/config.ts'
import type { WorldConfig } from '../checkpoint/task-config.ts'
import { floats, type HostArrays } from '../segmentation.ts'

/** The distance of an image from those that the checkpoint was trained on. */
export interface ImageWorld {
  /** About 1 for an image of training's kind, in standard deviations along the main axes of training's features. */
  readonly distance: number
  /** The largest distance that counts as known, `knows.world.threshold` of config.json. */
  readonly threshold: number
  /** True if the distance is at most the threshold. Answers about an image beyond it mean little. */
  readonly isKnown: boolean
}

/**
 * Outputs for a look to read: the mean and the variance of each channel of an encoder's rows [N, H]. Call it where the
 * rows are made.
 */
export function rowFeatures(from: Vision, rows: Tensor): Readonly<Record<string, Tensor>> {
  return scope('world', () => {
    const mean = meanRows(rows)
    const deviations = sub(rows, mean)
    return { [meanName(from)]: mean, [varianceName(from)]: meanRows(mul(deviations, deviations)) }
  })
}

function meanName(from: Vision): string {
  return `world mean of ${from}`
}

function varianceName(from: Vision): string {
  return `world variance of ${from}`
}

/** The images that a checkpoint knows. */
export class World {
  readonly #config: WorldConfig
  /** Rows of each encoder, in the order of the features. */
  readonly #rows: ReadonlyMap<Vision, number>
  readonly #mean: Float32Array
  readonly #axes: Float32Array
  readonly #scale: Float32Array

  /**
   * @param host the tensors `world.mean`, `world.axes` and `world.scale` of the checkpoint
   * @param rows of each encoder, in the order of the prompt
   * @throws WeightsError if a deviation isn't above 0
   */
  constructor(
    { name, knows }: Pick<Config, 'name' | 'knows'>,
    host: ReadonlyMap<string, Float32Array>,
    rows: ReadonlyMap<Vision, number>,
  ) {
    const of = (tensor: string): Float32Array => expectDefined(host.get(`world.${tensor}`), `world.${tensor}`)
    this.#config = expectDefined(knows?.world, 'knows.world')
    this.#rows = rows
    this.#mean = of('mean')
    this.#axes = of('axes')
    this.#scale = of('scale')
    const bad = this.#scale.findIndex((deviation) => !(deviation > 0))
    if (bad >= 0) {
      throw new WeightsError(
        `${printable(name)}: the value at [${bad}] of world.scale is ${this.#scale[bad]}, expected a deviation above 0. ` +
          'Compute it again with training/world.py, or leave "world" out of "knows" in config.json.',
      )
    }
  }

  /** @param read what a look read back */
  judge(read: HostArrays): ImageWorld {
    const { threshold } = this.#config
    const distance = this.#distance(this.#features(read))
    return { distance, threshold, isKnown: distance <= threshold }
  }

  /** Standard deviations are those of a sample, as torch.std has them. */
  #features(read: HostArrays): number[] {
    return [...this.#rows].flatMap(([from, N]) => {
      const variances = Array.from(floats(read, varianceName(from)))
      return [
        ...floats(read, meanName(from)),
        ...variances.map((variance) => Math.sqrt((variance * N) / Math.max(1, N - 1))),
      ]
    })
  }

  #distance(features: readonly number[]): number {
    const left = features.map((x, i) => x - (this.#mean[i] ?? Number.NaN))
    const off = [...left]
    let squares = 0
    for (const [k, deviation] of this.#scale.entries()) {
      const axis = this.#axes.subarray(k * left.length, (k + 1) * left.length)
      const along = axis.reduce((sum, a, i) => sum + a * (left[i] ?? Number.NaN), 0)
      for (const [i, a] of axis.entries()) off[i] = (off[i] ?? Number.NaN) - along * a
      squares += (along / deviation) ** 2
    }
    return Math.hypot(Math.sqrt(squares / this.#scale.length), Math.hypot(...off) / this.#config.rest)
  }
}
