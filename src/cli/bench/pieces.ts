// The pieces that `flowseg bench` times: each is a plan with all it takes to run. Here are those of a model that fits,
// whole; bench-full.ts has those of the full model.

import { readFile } from 'node:fs/promises'
import { expectDefined } from '../../check.ts'
import type { Gpu } from '../../gpu/gpu.ts'
import { openFolder, readJson } from '../../io/folder.ts'
import { decodeImage } from '../../io/image/image.ts'
import { openCheckpoint } from '../../io/open-checkpoint.ts'
import { loadTokenizer } from '../../io/text/tokenizer.ts'
import { type Config, parseConfig } from '../../model/checkpoint/config.ts'
import { LanguageHead } from '../../model/checkpoint/language-head.ts'
import { makeParts } from '../../model/checkpoint/parts.ts'
import { noise } from '../../model/checkpoint/random-weights.ts'
import { loadWeights } from '../../model/checkpoint/weights.ts'
import { Preprocessor, placeImage } from '../../model/input/preprocess.ts'
import { buildPrompt } from '../../model/input/prompt.ts'
import { cacheShapes, finishPlan, lookPlan, readInputs, readPlan, segmentPlan } from '../../model/plans.ts'
import { wordsPlan } from '../../model/words/plans.ts'
import type { TaskOptions } from '../../progress.ts'
import { type Inputs, type Outputs, type Plan, plan, type RunValues } from '../../tensor/plan.ts'
import {
  allocate,
  release as freeTensor,
  type HostArray,
  type Shape,
  sizeOf,
  type Tensor,
  upload,
} from '../../tensor/tensor.ts'
import { packagePath } from '../package.ts'

const SENTENCE = 'the dotted shape'

/** One of the model's steps; a token of an answer in words is one by itself. */
export type BenchStep = 'look' | 'read' | 'segment' | 'token'

/** Something that is timed by itself: a step of the model, or a layer of it. */
export interface BenchPiece {
  /** The name that --only takes. */
  readonly name: string
  /** A description for people. */
  readonly title: string
  /** The step whose time it is a part of. */
  readonly step: BenchStep
  /** The number of times that the full model runs it; 0 is a plan of the small one. */
  readonly count: number
  /** Allocates and compiles; the caller releases the result. */
  readonly prepare: (gpu: Gpu, task: TaskOptions) => Promise<Prepared>
}

/** A plan ready to run, with all it takes. */
export interface Prepared {
  /** The plan to time, which `release` frees. */
  readonly plan: Plan
  /** Inputs and parameters, the same for every run. */
  readonly values: RunValues
  /** Bytes of its weights on the device, of a piece of the full model. */
  readonly weightBytes?: number
  /** Frees the plan and all that was allocated for it. */
  readonly release: () => void
}

/** A function that records a piece. */
export type PieceBuild = (inputs: Inputs) => Outputs

/** Inputs of a piece are noise, unless they are given. */
interface Sources {
  readonly inputs?: Readonly<Record<string, HostArray>>
  readonly bound?: Readonly<Record<string, Tensor>>
  readonly params?: Readonly<Record<string, number>>
}

/** @param free what else goes when the piece does, also if it can't be made */
export async function prepare(
  gpu: Gpu,
  name: string,
  build: PieceBuild,
  sources: Sources,
  task: TaskOptions,
  free: () => void = () => undefined,
): Promise<Prepared> {
  const inputs: Record<string, HostArray> = { ...sources.inputs }
  const wanted: { label: string; shape: Shape }[] = []
  const own: Tensor[] = []
  let prepared: Plan | undefined
  const release = (): void => {
    prepared?.release()
    for (const x of own) freeTensor(gpu, x)
    free()
  }
  try {
    prepared = await plan(
      gpu,
      name,
      ({ input, bound }) =>
        build({
          input: (label, shape, dtype) => {
            inputs[label] ??= noise(sizeOf(shape), 1)
            return input(label, shape, dtype)
          },
          bound: (label, shape, dtype) => {
            wanted.push({ label, shape })
            return bound(label, shape, dtype)
          },
        }),
      task,
    )
    const bound: Record<string, Tensor> = { ...sources.bound }
    for (const [i, { label, shape }] of wanted.entries()) {
      if (bound[label]) continue
      own.push(
        (bound[label] = await upload(gpu, noise(sizeOf(shape), i + 2), shape, 'f32', {
          label,
          owner: 'bench',
        })),
      )
    }
    const used = Object.fromEntries(wanted.map(({ label }) => [label, expectDefined(bound[label], label)]))
    return {
      plan: prepared,
      values: { inputs, bound: used, params: sources.params ?? {}, signal: task.signal },
      release,
    }
  } catch (error) {
    release()
    throw error
  }
}

// ---------------------------------------------------------------------------------------------------------
// A model that fits, whole

/** The usual use: look at the sample scene, and find something in it. */
const PLANS = {
  look: 'look',
  read: 'read',
  segment: 'decoder',
  finish: 'refinement',
  token: 'a token of an answer',
} as const
type PlanName = keyof typeof PLANS

/** @param open called when one of them is prepared */
export function modelPieces(model: string, open: () => Promise<OpenModel>): BenchPiece[] {
  return (Object.keys(PLANS) as PlanName[]).map((name) => ({
    name,
    title: `${model}: ${PLANS[name]}`,
    step: name === 'finish' ? 'segment' : name,
    count: 0,
    prepare: async (_, task) => (await open()).prepare(name, task),
  }))
}

/** The pieces of a model that is loaded, and a way to free it. */
export interface OpenModel {
  /** The piece of one of the model's plans; valid while the model is open. */
  readonly prepare: (plan: PlanName, task: TaskOptions) => Promise<Prepared>
  /** Frees the weights, and all that the pieces start from. */
  readonly release: () => void
}

/** Loads a checkpoint, and looks and reads once, so that every piece has what it starts from. */
export async function openModel(gpu: Gpu, location: string, task: TaskOptions): Promise<OpenModel> {
  const folder = openFolder(location)
  const config = parseConfig(
    await readJson(folder, 'config.json', task.signal),
    `${folder.describe}/config.json`,
  )
  const tokenizer = await loadTokenizer(
    await folder.readText('tokenizer.json', task.signal),
    await folder.readText('tokenizer_config.json', task.signal),
    config.llm.vocab,
    task.signal,
  )
  const owned: (() => void)[] = []
  const free = (): void => {
    for (const one of owned.toReversed()) one()
  }
  const keep = (x: Tensor): Tensor => {
    owned.push(() => freeTensor(gpu, x))
    return x
  }
  try {
    // 1. Weights, a picture and a sentence
    const checkpoint = await openCheckpoint(folder, { signal: task.signal })
    owned.push(() => void checkpoint.close())
    const loaded = await loadWeights(gpu, checkpoint, config, task)
    owned.push(loaded.release)
    const embeddings = expectDefined(loaded.embeddings, 'the token embeddings')
    const prompt = buildPrompt(tokenizer, SENTENCE, config)
    const built = await makeParts(gpu, loaded, config, prompt.before.length)
    owned.push(built.release)
    const { parts } = built
    const image = await decodeImage(await readFile(packagePath('examples', 'scene.png')))
    const preprocessor = new Preprocessor(gpu, config)
    owned.push(() => preprocessor.release())
    const pixels = await preprocessor.run(image, task)
    const { scaled } = placeImage(image, config.sam.image)
    const size = { width: image.width, height: image.height, scaled }
    const { T, K, count: span, ids, rows } = readInputs(prompt, parts)

    // 2. What each plan takes; the tensors that pass between them are those of one run
    const pool: Record<string, Tensor> = { ...pixels }
    for (const [label, shape] of Object.entries(cacheShapes(parts)))
      pool[label] = keep(await allocate(gpu, shape, parts.cacheType, { label, owner: 'bench' }))
    const after = await embeddings.rows(ids, T)
    const length = config.flow.condition === 'tokens' ? span : 1
    const head = new LanguageHead({ gpu, checkpoint, match: loaded.head, quantize: undefined })
    owned.push(() => head.release())
    const matrix = loaded.head && (await head.load(task))
    const sizes = { T: 1, capacity: parts.capacity, sampled: false }
    const tasks: Record<PlanName, { build: PieceBuild } & Pick<Sources, 'inputs' | 'params'>> = {
      look: {
        build: (from) => lookPlan(from, parts),
        inputs: { before: await embeddings.rows(prompt.before) },
      },
      read: { build: (from) => readPlan(from, T, K, parts), inputs: { after, rows }, params: { span } },
      segment: { build: (from) => segmentPlan(from, rowsOfC(config, K), false, parts), params: { length } },
      finish: { build: (from) => finishPlan(from, size, parts) },
      token: {
        build: (from) => wordsPlan(from, sizes, parts, expectDefined(matrix, 'the head')),
        inputs: { x: await embeddings.rows(ids.slice(0, 1)) },
        params: { position: parts.prefix },
      },
    }
    const start = (name: PlanName, more: TaskOptions): Promise<Prepared> => {
      const { build, inputs = {}, params = {} } = tasks[name]
      return prepare(gpu, name, build, { inputs, bound: pool, params }, more)
    }
    for (const name of ['look', 'read'] as const) {
      const ready = await start(name, task)
      try {
        const { kept } = await ready.plan.run(ready.values)
        for (const [label, x] of Object.entries(kept)) pool[label] = keep(x)
      } finally {
        ready.release()
      }
    }
    return { prepare: start, release: free }
  } catch (error) {
    free()
    throw error
  }
}

/** Rows of C that the decoder gets, of K that were read. */
export function rowsOfC({ flow }: Config, K: number): number {
  return { tokens: K, pooled: 1, 'pooled+background': 2 }[flow.condition]
}
