// The share of its ceiling that each kernel should reach, written down before it is measured, so that `flowseg bench`
// can show the one beside the other: where they differ, either the kernel or our idea of it is wrong.
//
// For a CPU behind Vulkan with 8 lanes, lavapipe, in cycles of a subgroup (two cores of a Xeon, November 2026): a
// multiply-add 1, a load of a vec4 from a buffer 60 and from a storage texture 30, a store like a load, a broadcast of
// a vec4 13, a loop's step 13, the exponential of a vec4 35. At the ceiling nothing but multiply-adds counts, or, where
// bytes do, nothing but a load and a store for every vec4 that comes and goes. Shares are those of large dispatches.

/** A share, and how it comes about. */
export interface SharePrediction {
  /** The share of the ceiling's rate that the kernel should reach, from 0 to 1. */
  readonly share: number
  /** The reason, in a few words, for the table. */
  readonly because: string
}

const LOAD = 60
const TEXEL = 30
const BROADCAST = 13
const STEP = 13

/** Multiply-adds among all that is done. */
function arithmetic(multiplyAdds: number, others: number, because: string): SharePrediction {
  return { share: multiplyAdds / (multiplyAdds + others), because }
}

/** Loads and stores that must be among those that are done, and what is computed besides. */
function traffic(needed: number, done: number, computed: number, because: string): SharePrediction {
  return { share: (needed * LOAD) / (done * LOAD + computed), because }
}

const subgroups = arithmetic(
  32 * 4 * 8,
  4 * LOAD + 8 * TEXEL + 32 * BROADCAST + STEP,
  'of 4 x 8 groups of rows and four k: 4 loads of a, 8 texels of b, 32 broadcasts, 1,024 multiply-adds',
)
const registers = arithmetic(
  4 * 8 * 4,
  12 * LOAD + STEP,
  'of 4 x 8 outputs a lane and four k: 12 loads, as no lane shares what it loaded, 128 multiply-adds',
)
const plain = traffic(2, 2, 25, 'a load and a store for each vec4, and where it stands')
const gatherers = traffic(2, 2, 40, 'a load and a store for each vec4, and two divisions for its place')

/** The predictions, by the shader's name. */
export const PREDICTIONS: Readonly<Record<string, SharePrediction>> = {
  'matmul/subgroup': subgroups,
  'matmul/skinny': {
    share: (2 * LOAD) / ((2 * TEXEL) / 0.75),
    because: 'weights come as texels, at half of the cost of a load, three quarters of the time',
  },
  'matmul/registers': registers,
  'attention/subgroup': arithmetic(
    4 * 128,
    4 * LOAD + 32 * 6 + 4 * (32 + 30),
    'of a key and 4 rows per lane, 64 channels: 4 loads, 32 broadcasts, a mask and an exponential per row, 512 multiply-adds',
  ),
  'attention/registers': arithmetic(
    8,
    2 * LOAD,
    'of a chunk of a key and its value: 2 loads, 8 multiply-adds',
  ),
  'attention/relative-position': traffic(2, 2, 64, 'as a product of few columns: what is written counts'),
  'attention/deformable': arithmetic(4, LOAD + 20, 'of a tap: a load, its place, 4 multiply-adds'),
  'norm/layer-norm': traffic(2, 5, 30, 'x twice, weight, bias, and the store'),
  'norm/rms-norm': traffic(2, 4, 15, 'x twice, weight, and the store'),
  'norm/group-norm-stats': traffic(1, 1, 40, 'a load, and a step of Welford'),
  'norm/group-norm': traffic(2, 4, 30, 'x, weight, bias, and the store'),
  'elementwise/swiglu': traffic(3, 3, 50, 'two loads, a store, an exponential'),
  'attention/rope': traffic(4, 4, 120, 'two loads, two stores, sine and cosine once for all heads'),
  'elementwise/binary': plain,
  'elementwise/unary': plain,
  'elementwise/mix': traffic(4, 4, 50, 'three loads, a store, an exponential'),
  'layout/copy': plain,
  'layout/gather': gatherers,
  'layout/shuffle': gatherers,
  'layout/windows': gatherers,
  'layout/transpose': gatherers,
  'image/resize': traffic(2, 5, 60, 'four loads, a store, two weights'),
  'attention/combine': traffic(2, 2, 60, 'a load and an exponential for each split, and the store'),
  'norm/group-norm-merge': traffic(1, 1, 100, 'partials one after another, each a step of Welford'),
  'head/cosine-logits': traffic(2, 3, 40, 'a row and two classes, and three sums for each vec4'),
  'reduce/mean-rows': traffic(1, 1, 15, 'a load and an addition'),
  'attention/mask-bits': traffic(1, 1, 60, 'a load of four values, and their bits'),
  'head/mask-pixels': traffic(
    0.25,
    2.5,
    40,
    'of a pixel: four loads of one value, four weights; one value must move',
  ),
  'image/morphology': traffic(
    0.5,
    6,
    20,
    'of a pixel: nine loads of one value and a store; two values must move',
  ),
}

/**
 * The share that a kernel's dispatches should reach together: their time at the ceiling by that time at the kernel's
 * share, and what it costs to launch them, which is most of it where they are small.
 *
 * @returns undefined for a kernel that nothing was predicted for
 */
export function predictedShare(
  kernel: string,
  { idealMs, dispatches }: { readonly idealMs: number; readonly dispatches: number },
  { dispatchSeconds }: { readonly dispatchSeconds: number },
): number | undefined {
  const prediction = PREDICTIONS[kernel]
  return prediction && idealMs / (idealMs / prediction.share + 1000 * dispatchSeconds * dispatches)
}
