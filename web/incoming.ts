// How images and weights come in: chosen, dropped, pasted or photographed.

import { byId } from './dom.ts'

export interface Incoming {
  readonly image: (image: Blob | ImageBitmap, name: string) => void
  readonly weights: (files: readonly File[]) => void
  /** What can't be taken, in a sentence. */
  readonly refuse: (message: string) => void
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

function listenToDrops({ image, weights, refuse }: Incoming): void {
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
    // Entries must be asked for before the event is over
    const entries = [...items.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => !!entry)
    const plain = [...items.files]
    void (async () => {
      const files =
        entries.length > 0 ? (await Promise.all(entries.map((entry) => filesOf(entry)))).flat() : plain
      const isFolder = entries.some((entry) => entry.isDirectory)
      if (isFolder || files.some(isWeights)) return weights(files)
      const file = files[0]
      if (file) image(file, file.name)
    })().catch((error: unknown) => refuse(error instanceof Error ? error.message : String(error)))
  })
}

function isWeights({ name }: File): boolean {
  return name.endsWith('.safetensors') || name === 'config.json'
}

/** A checkpoint is a folder; what lies in folders inside of it is not part of it. */
const MOST_DEPTH = 2

async function filesOf(entry: FileSystemEntry, depth = 0): Promise<File[]> {
  if (entry.isFile) {
    return [
      await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
    ]
  }
  if (depth === MOST_DEPTH) return []
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const entries: FileSystemEntry[] = []
  // A reader hands out a hundred at a time
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) break
    entries.push(...some)
  }
  return (await Promise.all(entries.map((child) => filesOf(child, depth + 1)))).flat()
}

// ---- Photographing

async function photograph({ image, refuse }: Incoming): Promise<void> {
  const dialog = byId('camera-dialog', HTMLDialogElement)
  const video = byId('camera-video', HTMLVideoElement)
  const take = byId('camera-take', HTMLButtonElement)
  const stream = await navigator.mediaDevices
    ?.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1920 } } })
    .catch((error: unknown) => (error instanceof Error ? error.message : String(error)))
  if (!stream || typeof stream === 'string') {
    return refuse(
      `The camera can't be used${stream ? `: ${stream}` : ''}. Allow it in the browser's settings, or open an image file.`,
    )
  }
  video.srcObject = stream
  const onTake = (): void => {
    void (async () => {
      image(await createImageBitmap(video), 'photo')
      dialog.close()
    })().catch((error: unknown) => refuse(error instanceof Error ? error.message : String(error)))
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
