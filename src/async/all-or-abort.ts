// Tasks that run at once, where none is of use if another fails.

/**
 * Runs tasks side by side and returns when all have ended.
 *
 * @param signal given up by the caller: the rejection is its reason
 * @param tasks  each gets a signal that says when to stop, because the caller gave up or another task failed
 * @throws what the first one failed with
 */
export async function allOrAbort(
  signal: AbortSignal | undefined,
  ...tasks: readonly ((stop: AbortSignal) => Promise<void>)[]
): Promise<void> {
  const failing = new AbortController()
  const stop = signal ? AbortSignal.any([signal, failing.signal]) : failing.signal
  const failures: unknown[] = []
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(stop)
      } catch (error) {
        failures.push(error)
        failing.abort(error)
      }
    }),
  )
  if (failures.length > 0) throw failures[0]
  signal?.throwIfAborted()
}
