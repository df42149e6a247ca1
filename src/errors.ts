// Every error the library throws on purpose. Each message says what happened, to what, and what to do
// next; each class has a stable `code` that programs can switch on. The library prints nothing itself. Names are
// written out, as bundlers shorten those of classes.

/** Every error of the library: the message says what happened, to what, and what to do next. */
export class FlowSegError extends Error {
  /** The name of the class, written out, as bundlers shorten those of classes. */
  override readonly name: string = 'FlowSegError'
  /** Stable, for programs; the message is for people. */
  readonly code: string

  /** @param options the `cause`, where another error led to this one */
  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** No WebGPU adapter could be opened. Where several things were tried, the message has these lists as well. */
export class NoAdapterError extends FlowSegError {
  override readonly name: string = 'NoAdapterError'
  /** The places where an adapter was looked for, each with the reason why there was none. */
  readonly tried: readonly string[]
  /** Ways to get one; any of them will do. */
  readonly fixes: readonly string[]

  constructor(
    message: string,
    options: ErrorOptions & { tried?: readonly string[]; fixes?: readonly string[] } = {},
  ) {
    const { tried = [], fixes = [], ...rest } = options
    super('ERR_NO_ADAPTER', message, rest)
    this.tried = tried
    this.fixes = fixes
  }
}

/** The device went away (driver reset, destroyed, out of memory on some systems). */
export class DeviceLostError extends FlowSegError {
  override readonly name: string = 'DeviceLostError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_DEVICE_LOST', message, options)
  }
}

/** The device could not allocate what was asked for. */
export class OutOfMemoryError extends FlowSegError {
  override readonly name: string = 'OutOfMemoryError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_OUT_OF_MEMORY', message, options)
  }
}

/** Something exceeds a limit of this adapter. */
export class LimitError extends FlowSegError {
  override readonly name: string = 'LimitError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_LIMIT', message, options)
  }
}

/** A kernel of the engine does not compile on this device, or its dispatch does not fit it: a fault of the engine. */
export class KernelError extends FlowSegError {
  override readonly name: string = 'KernelError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_KERNEL', message, options)
  }
}

/** Tensors whose shapes or types don't fit the operation. */
export class ShapeError extends FlowSegError {
  override readonly name: string = 'ShapeError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_SHAPE', message, options)
  }
}

/** A weights file, its config or its tokenizer is missing, damaged or does not fit. */
export class WeightsError extends FlowSegError {
  override readonly name: string = 'WeightsError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_WEIGHTS', message, options)
  }
}

/** An image can't be read, decoded or used. */
export class ImageError extends FlowSegError {
  override readonly name: string = 'ImageError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_IMAGE', message, options)
  }
}

/** A mask, or a form in which masks are exchanged (RLE, polygons, labels), is damaged or doesn't fit. */
export class MaskError extends FlowSegError {
  override readonly name: string = 'MaskError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_MASK', message, options)
  }
}

/** A sentence can't be used as a prompt. */
export class PromptError extends FlowSegError {
  override readonly name: string = 'PromptError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_PROMPT', message, options)
  }
}

/** A network computed a number that isn't finite. The message names the first stage that did. */
export class NumericError extends FlowSegError {
  override readonly name: string = 'NumericError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_NUMERIC', message, options)
  }
}

/**
 * A caller's mistake: an option that doesn't exist, a value of a kind that isn't taken, or an own kernel that doesn't
 * compile.
 */
export class UsageError extends FlowSegError {
  override readonly name: string = 'UsageError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_USAGE', message, options)
  }
}

/** A model has as many calls waiting as it takes (`maxPending`, `maxScenes`): try again later. */
export class BusyError extends FlowSegError {
  override readonly name: string = 'BusyError'

  constructor(message: string, options?: ErrorOptions) {
    super('ERR_BUSY', message, options)
  }
}
