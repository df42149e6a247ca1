// The measurements of the tuner: the variants of one problem are checked, twice each, and timed in turns.

import { DeviceLostError, FlowSegError, LimitError, OutOfMemoryError } from '../errors.ts'
import { type AdapterFacts, PLAIN_ADAPTER } from '../gpu/adapter.ts'
import type { Gpu } from '../gpu/gpu.ts'
import { type ComparedVariant, FEWEST_ROUNDS, HOPELESS, type ProblemClass, weightsOf } from './problems.ts'
import { distance, rebuild, type StandaloneProblem, sameBits, Trial, type TrialOutputs } from './trial.ts'

/** |y - reference| / |reference|: f32 sums of some thousand products in another order. */
const TOLERANCE = 1e-5
const ROUNDS = 5
const SAMPLE_MS = 6
/**
 * A variant that was never within this factor of the fastest is dropped, from the second round on: one sample may be a
 * hiccup.
 */
const BEATEN = 2

/**
 * Checks the variants of each comparison against one that runs anywhere, and times those that are right, in turns.
 * Verdicts and samples go into the candidates, and variants that compute wrong values among the adapter's vetoes.
 *
 * @param deadline of performance.now(): from `soft` on there are no more rounds than are needed, from `hard` on none
 */
export async function measure(
  gpu: Gpu,
  { family, problem, comparisons }: ProblemClass,
  adapter: AdapterFacts,
  deadline: { readonly soft: number; readonly hard: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { vetoed } = adapter.choices
  const weights = weightsOf(family, problem)
  const rebuilts: StandaloneProblem<never>[] = []
  const running: { candidate: ComparedVariant; trial: Trial<never> }[] = []
  try {
    // 1. The expected values come from a variant that runs anywhere; it wants weights in rows
    const plain = await rebuild(gpu, problem, weights, weights.length > 0 ? 'rows' : undefined)
    rebuilts.push(plain)
    const reference = family.variants.findLast(
      (v) => v.fits(plain.problem, PLAIN_ADAPTER) && !(v.forGpus && adapter.software),
    )
    const standardTrial = reference && new Trial(gpu, plain, reference)
    const standard = standardTrial && {
      trial: standardTrial,
      result: await tryOut(standardTrial, undefined, signal),
    }

    // 2. The others must give the same values, and the same bits again
    for (const { layout, candidates } of comparisons) {
      const rebuilt = layout === 'packed' ? await rebuild(gpu, problem, weights, layout) : plain
      if (rebuilt !== plain) rebuilts.push(rebuilt)
      let least = Infinity
      for (const candidate of candidates) {
        signal?.throwIfAborted()
        if (performance.now() > deadline.hard) return
        const { variant, predicted } = candidate
        const name = `${family.name}/${variant.name}`
        if (vetoed.has(name)) candidate.verdict = 'vetoed'
        else if (predicted > HOPELESS * least) candidate.verdict = 'pruned'
        else {
          const known = variant === reference && rebuilt === plain ? standard : undefined
          const trial = known?.trial ?? new Trial(gpu, rebuilt, variant)
          const { fault } = known?.result ?? (await tryOut(trial, standard?.result.outputs, signal))
          candidate.reason = fault
          candidate.flops = trial.flops
          if (candidate.reason === undefined) {
            running.push({ candidate, trial })
            least = Math.min(least, predicted)
          } else {
            candidate.verdict = 'vetoed'
            vetoed.add(name)
          }
        }
      }
    }

    // 3. In turns, so that what else the machine does hits all of them
    let still = running
    if (still.length === 0) return
    for (let round = 0; round < ROUNDS; round++) {
      for (const { candidate, trial } of still) candidate.samples.push(await trial.time(SAMPLE_MS, signal))
      if (round > 0) {
        const fastest = Math.min(...still.flatMap(({ candidate }) => candidate.samples))
        still = still.filter(({ candidate }) => Math.min(...candidate.samples) <= BEATEN * fastest)
      }
      const now = performance.now()
      if (now > deadline.hard || (round + 1 >= FEWEST_ROUNDS && (now > deadline.soft || still.length === 1)))
        break
    }
    for (const { candidate } of running) candidate.verdict = 'timed'
  } catch (error) {
    // This adapter can't hold it beside the model: the default stays
    if (!(error instanceof OutOfMemoryError || error instanceof LimitError)) throw error
    for (const { candidates } of comparisons) {
      for (const candidate of candidates) {
        if (candidate.verdict === 'untried') candidate.reason = error.message
      }
    }
  } finally {
    for (const { trial } of running) trial.release()
    for (const { release } of rebuilts) release()
  }
}

/** The result of a variant, and the fault in it; the reference itself is compared with nothing. */
async function tryOut(
  trial: Trial<never>,
  expected: TrialOutputs | undefined,
  signal: AbortSignal | undefined,
): Promise<{ readonly outputs?: TrialOutputs; readonly fault?: string }> {
  try {
    const [outputs, again] = await trial.outputs(expected ? 2 : 1, signal)
    const error = expected ? distance(outputs, expected) : 0
    if (!(error <= TOLERANCE)) return { outputs, fault: `error ${error.toExponential(0)}` }
    return sameBits(outputs, again) ? { outputs } : { outputs, fault: 'a second run gives other bits' }
  } catch (error) {
    if (!isOfVariant(error)) throw error
    return { fault: error.message.replace(/\n[^]*/, '') }
  }
}

/** It doesn't compile here, or the driver refuses it; no lack of memory, no loss, no abort. */
function isOfVariant(error: unknown): error is FlowSegError {
  const others = [DeviceLostError, OutOfMemoryError, LimitError]
  return error instanceof FlowSegError && !others.some((Other) => error instanceof Other)
}
