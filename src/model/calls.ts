// Calls on a model take turns: those on its scenes, looks, and tuning.

import type { Lane } from '../async/queue.ts'
import { BusyError, FlowSegError } from '../errors.ts'
import type { TaskOptions } from '../progress.ts'
import type { LoadedModel } from './load.ts'
import type { SceneState } from './look.ts'

/** Begins unless the scene or its model was closed meanwhile, or the caller gave up. */
export async function callScene<T>(
  model: LoadedModel,
  scene: SceneState,
  { signal }: TaskOptions,
  task: () => Promise<T>,
): Promise<T> {
  expectTurn(model, 'scene', signal, scene)
  model.scenes.used(scene)
  return model.queue.run({ lane: 'scene', owner: scene, signal }, async () => {
    try {
      return await task()
    } finally {
      model.scenes.used(scene)
    }
  })
}

/** Runs a look, which takes memory for a new scene, once there is room for one. The caller has called expectTurn. */
export async function callLook<T>(
  model: LoadedModel,
  { signal, onProgress }: TaskOptions,
  task: () => Promise<T>,
): Promise<T> {
  const { queue, scenes, look: plan } = model
  let isTold = false
  const hold = (alone: boolean): number => {
    const ms = scenes.hold(alone)
    if (ms > 0 && !isTold) {
      isTold = true
      const waiting = { reason: 'scenes', seconds: Math.ceil(ms / 1000) } as const
      onProgress?.({ phase: 'run', what: plan.info.name, loaded: 0, total: plan.info.flops, waiting })
    }
    return ms
  }
  return queue.run({ lane: 'look', signal, hold }, task)
}

/** Runs any other call, in the order of asking among looks. */
export async function callModel<T>(
  model: LoadedModel,
  { signal }: TaskOptions,
  task: () => Promise<T>,
): Promise<T> {
  expectTurn(model, 'look', signal)
  return model.queue.run({ lane: 'look', signal }, task)
}

/** The reasons to refuse a call before it takes anything. */
export function expectTurn(
  model: LoadedModel,
  lane: Lane,
  signal: AbortSignal | undefined,
  scene?: SceneState,
): void {
  expectOpen(model, scene)
  signal?.throwIfAborted()
  expectRoom(model, lane)
}

/** @throws FlowSegError 'ERR_CLOSED' if the model or the scene was closed */
export function expectOpen(model: LoadedModel, scene?: SceneState): void {
  if (model.closed) throw modelClosed()
  if (scene?.closed) throw sceneClosed()
}

/** The error of calls on a model that was closed. */
export function modelClosed(): FlowSegError {
  return new FlowSegError('ERR_CLOSED', 'This model was closed: load it again.')
}

/** The error of calls on a scene that was closed. */
export function sceneClosed(): FlowSegError {
  return new FlowSegError('ERR_CLOSED', 'This scene was closed: call model.look(image) again.')
}

function expectRoom({ queue, maxPending }: LoadedModel, lane: Lane): void {
  const pending = queue.pendingIn(lane)
  if (pending < maxPending) return
  const what = lane === 'look' ? 'looks' : 'calls on scenes'
  throw new BusyError(
    `This model has ${pending} ${what} that wait or run, as many as maxPending allows. Try again later.`,
  )
}
