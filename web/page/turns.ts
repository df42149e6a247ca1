// Waiting for the page itself.

/** Once a frame was drawn, or soon where none are as nobody looks. */
export function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve))
    setTimeout(resolve, 200)
  })
}

/** Lets others have a turn, so that nobody waits long for one. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}
