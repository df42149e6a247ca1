// How images and weights come in: chosen, dropped, pasted or photographed.

import { ImageError } from '../src/errors.ts'
import { chosenFiles } from '../src/io/chosen.ts'
import { byId } from './dom.ts'
import { RequestError } from './failures.ts'

export interface Incoming {
  readonly image: (image: Blob | ImageBitmap, name: string) => void
  readonly weights: (files: readonly File[]) => void
  /** With what can't be taken. */
  readonly fail: (error: unknown) => void
}

export function listen(incoming: Incoming): void {
  listenToInput(
    byId('file', HTMLInputElement),
    (files) => files[0] && incoming.image(files[0], files[0].name),
  )
  byId('choose').addEventListener('click', () => byId('file').click())
  listenToDrops(incoming)
  document.addEventListener('paste', (event) => {
    const file = [...(event.clipboardData?.files ?? [])].find(({ type }) => type.startsWith('image/'))
    if (!file) return
    event.preventDefault()
    incoming.image(file, file.name || 'pasted.png')
  })
  byId('photograph').addEventListener('click', () => void photograph(incoming))
}

/** Files of an input; choosing the same ones again is an event too. */
export function listenToInput(input: HTMLInputElement, take: (files: readonly File[]) => void): void {
  input.addEventListener('change', () => {
    const files = [...(input.files ?? [])]
    input.value = ''
    if (files.length > 0) take(files)
  })
}

// ---- Dropping

function listenToDrops({ image, weights, fail }: Incoming): void {
  const sign = byId('drop')
  let depth = 0 // leaving a child is not leaving
  const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') ?? false
  document.addEventListener('dragenter', (event) => {
    if (!hasFiles(event)) return
    depth++
    sign.hidden = false
  })
  document.addEventListener('dragleave', (event) => {
    if (hasFiles(event) && --depth <= 0) sign.hidden = true
  })
  document.addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault()
  })
  document.addEventListener('drop', (event) => {
    depth = 0
    sign.hidden = true
    const items = event.dataTransfer
    if (!items || !hasFiles(event)) return
    event.preventDefault()
    // At once: a drop is empty when its event is over
    chosenFiles(items)
      .then((files) => {
        const [first] = files
        if (!first) throw new ImageError('What was dropped has no files in it.')
        if (files.some(isWeights)) weights(files)
        else image(first, first.name)
      })
      .catch(fail)
  })
}

function isWeights({ name }: File): boolean {
  return name.endsWith('.safetensors') || name === 'config.json'
}

// ---- Photographing

async function photograph({ image, fail }: Incoming): Promise<void> {
  const dialog = byId('camera-dialog', HTMLDialogElement)
  const video = byId('camera-video', HTMLVideoElement)
  const take = byId('camera-take', HTMLButtonElement)
  const stream = await navigator.mediaDevices
    ?.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 } } })
    .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
  if (!stream || typeof stream === 'string') {
    const why = stream ? `The browser says: ${stream}. ` : ''
    return fail(
      new RequestError('ERR_CAMERA', `${why}Allow it in the browser's settings, or open an image file.`),
    )
  }
  video.srcObject = stream
  const onTake = (): void => {
    void (async () => {
      image(await createImageBitmap(video), 'photo')
      dialog.close()
    })().catch(fail)
  }
  take.addEventListener('click', onTake)
  dialog.addEventListener(
    'close',
    () => {
      take.removeEventListener('click', onTake)
      video.srcObject = null
      for (const track of stream.getTracks()) track.stop()
    },
    { once: true },
  )
  dialog.showModal()
  await video.play().catch(() => undefined)
}
