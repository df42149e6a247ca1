// Helpers leave folders and the like behind, which are cleaned up after the test. Their own hooks wouldn't do, as a
// helper is loaded once for many files.

const leftovers: (() => Promise<unknown>)[] = []

/** Calls it after the test that runs, or the next one. */
export function afterTest(cleanUp: () => Promise<unknown>): void {
  leftovers.push(cleanUp)
}

/** Cleans up all that is left. */
export async function cleanUpAll(): Promise<void> {
  await Promise.all(leftovers.splice(0).map((cleanUp) => cleanUp()))
}
