// The number of scenes that are open at a time is limited. A scene holds keys, values and features on the device, so
// fifty callers who look before anyone is answered would need fifty times that; a look waits instead until others have
// closed theirs.
//
// The default allows as many as together take half of what the model takes without them. WebGPU doesn't tell how much
// memory a device has, but whoever holds the model can hold half of it again. It regulates a crowd and must not stop
// those who mean to keep scenes: a look that nobody competes with never waits, and scenes that nobody asks for as long
// as a look takes are taken for kept and no longer counted. `maxScenes` is strict: there a look waits for a scene to be
// closed, and is refused when for half a minute none was used, as that may last for ever.

import { BusyError } from '../errors.ts'

/** Scenes may take this share of the memory that the model takes without them. */
export const SCENES_SHARE = 0.5
/** The time that `maxScenes` lets a look wait while nobody uses the scenes that are open. */
const STRICT_PATIENCE_MS = 30_000

/** A scene as it is counted. */
export interface Counted {
  /** Bytes that it holds on the device. */
  readonly bytes: number
  /** Milliseconds that its look took. */
  readonly lookMs: number
  /** Nobody asked it for a while: it is there to stay. */
  idle: boolean
}

/** The scenes of a model that are open, and the room for another. */
export class SceneLimit<S extends Counted = Counted> {
  readonly #open = new Set<S>()
  readonly #maxScenes: number | undefined
  readonly #bytesInUse: () => number
  /** When a scene was last opened, asked or closed, or had answered. */
  #lastUse = 0
  /** The scene of the last look: all scenes of a model are alike. */
  #last: Pick<Counted, 'bytes' | 'lookMs'> | undefined

  /** @param bytesInUse on the device, scenes included */
  constructor(maxScenes: number | undefined, bytesInUse: () => number) {
    this.#maxScenes = maxScenes
    this.#bytesInUse = bytesInUse
  }

  /** The number that may be open: one, until it is known how large they are. */
  get limit(): number {
    if (this.#maxScenes !== undefined) return this.#maxScenes
    if (!this.#last) return 1
    const { bytes } = this.#last
    const withoutScenes = this.#bytesInUse() - this.#open.size * bytes
    return Math.max(1, Math.floor((SCENES_SHARE * withoutScenes) / bytes))
  }

  /** The scenes that are open, idle ones included. */
  get open(): ReadonlySet<S> {
    return this.#open
  }

  /** Counts a scene that a look just made. */
  opened(scene: S): void {
    this.#open.add(scene)
    this.#last = scene
    this.#lastUse = performance.now()
  }

  /** Notes that a call on the scene began or ended: it is no longer idle. */
  used(scene: S): void {
    scene.idle = false
    this.#lastUse = performance.now()
  }

  /** Counts the scene no more; its memory is free by then. */
  closed(scene: S): void {
    this.#open.delete(scene)
    this.#lastUse = performance.now()
  }

  /** The milliseconds that a look waits before it is tried again; 0 if it may begin. For Entry.hold of queue.ts. */
  hold(alone: boolean): number {
    const isStrict = this.#maxScenes !== undefined
    const counted = [...this.#open].filter(({ idle }) => isStrict || !idle)
    if (counted.length < this.limit || (alone && !isStrict)) return 0
    const patience = isStrict ? STRICT_PATIENCE_MS : (this.#last?.lookMs ?? 0)
    const left = this.#lastUse + patience - performance.now()
    if (left > 0) return left
    if (isStrict) {
      throw new BusyError(
        `As many scenes are open as maxScenes allows (${counted.length}), and none was used for ` +
          `${STRICT_PATIENCE_MS / 1000} seconds. Close those that are done (scene.close()), or load the model with more maxScenes.`,
      )
    }
    for (const scene of counted) scene.idle = true
    return 0
  }
}
