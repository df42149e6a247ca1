// Images and weights come in here: chosen, dropped, pasted or photographed.

import { printable } from '../../src/index.ts'
import { RequestError } from '../common/failures.ts'
import { byId } from '../page/dom.ts'
import { note } from '../page/notices.ts'
import { filesOf, sorted } from './files.ts'
import { fetchImage, linkOf, nameOf } from './links.ts'

/** Buttons for further images of one drop. */
const MOST_OFFERED = 8

/** Handlers for what somebody chooses, drops or pastes. */
export interface InputHandlers {
  readonly image: (image: Blob | ImageBitmap | Promise<Blob>, name: string) => void
  readonly weights: (files: readonly File[]) => void
  /** Called with the error of what can't be taken. */
  readonly fail: (error: unknown) => void
}

/** Listens to the file fields, to drops and pastes on the page, and to the camera button. */
export function listen(handlers: InputHandlers): void {
  listenToInput(byId('file', HTMLInputElement), (files) => take(files, handlers))
  byId('choose').addEventListener('click', () => byId('file').click())
  listenToDrops(handlers)
  document.addEventListener('paste', (event) => {
    const { clipboardData, target } = event
    const files = [...(clipboardData?.files ?? [])]
    // Spreadsheets copy a table as text and as a picture; a text field takes the text
    const isText = target instanceof HTMLInputElement && clipboardData?.types.includes('text/plain')
    if (files.length === 0 || isText) return
    event.preventDefault()
    take(files, handlers)
  })
  byId('photograph').addEventListener('click', () => void photograph(handlers))
}

/** Weights and an image may come together; of several images the first is taken. */
function take(files: readonly File[], handlers: InputHandlers, isFolder = false): void {
  const { images, weights, others } = sorted(files)
  if (weights.length > 0) {
    handlers.weights(weights)
    if (isFolder) return // pictures in a checkpoint's folder illustrate the model
  }
  const [first, ...more] = images
  if (first) handlers.image(first, first.name || 'pasted.png')
  if (more.length + others.length > 0) tellOfOthers(more, others, handlers)
}

function tellOfOthers(images: readonly File[], others: readonly File[], { image }: InputHandlers): void {
  const text = [
    images.length > 0 ? 'One image at a time: the first was taken.' : '',
    others.length > 0 ? `Not used: ${others.map(({ name }) => printable(name)).join(', ')}.` : '',
  ]
  note(
    text.join(' ').trim(),
    images.slice(0, MOST_OFFERED).map((file) => ({
      name: `Open ${printable(file.name)}`,
      act: () => image(file, file.name),
    })),
  )
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

function listenToDrops(handlers: InputHandlers): void {
  const sign = byId('drop')
  const isOurs = ({ dataTransfer, target }: DragEvent): boolean => {
    const types = dataTransfer?.types ?? []
    // The browser inserts a dropped address into a text field itself
    const isForField = target instanceof HTMLInputElement && !types.includes('text/html')
    return types.includes('Files') || (types.includes('text/uri-list') && !isForField)
  }
  document.addEventListener('dragenter', (event) => {
    sign.hidden = !isOurs(event)
  })
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) sign.hidden = true // the pointer left the page, not only an element
  })
  document.addEventListener('dragover', (event) => {
    if (isOurs(event)) event.preventDefault()
  })
  document.addEventListener('dragend', () => {
    sign.hidden = true
  })
  document.addEventListener('drop', (event) => {
    sign.hidden = true
    const drop = event.dataTransfer
    if (!drop || !isOurs(event)) return
    event.preventDefault()
    // At once: a drop is empty when its event is over
    const link = linkOf(drop)
    filesOf(drop)
      .then(({ files, isFolder }) => {
        if (files.length > 0) return take(files, handlers, isFolder)
        if (!link) throw new RequestError('ERR_DROP', 'It holds no file and no address of an image.')
        handlers.image(fetchImage(link), nameOf(link))
      })
      .catch(handlers.fail)
  })
}

// ---- Photographing

async function photograph({ image, fail }: InputHandlers): Promise<void> {
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
