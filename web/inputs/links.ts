// An image dragged from another page arrives as its address. It can be fetched if its host allows that (CORS).

import { printable, quoted } from '../../src/index.ts'
import { RequestError } from '../common/failures.ts'

/** The address of the dragged image; else that of the dragged link. */
export function linkOf(drag: DataTransfer): string | undefined {
  // Browsers give an image inside a link as the link's address; the image is in the HTML fragment
  const page = new DOMParser().parseFromString(drag.getData('text/html'), 'text/html')
  const image = page.querySelector('img')?.getAttribute('src')
  const link = drag
    .getData('text/uri-list')
    .split(/\r?\n/)
    .find((line) => line !== '' && !line.startsWith('#'))
  return [image, link].find((url): url is string => typeof url === 'string' && URL.canParse(url))
}

/** A file name for the address. */
export function nameOf(url: string): string {
  const { protocol, pathname } = new URL(url)
  const last = pathname.slice(pathname.lastIndexOf('/') + 1)
  if (!/^https?:$/.test(protocol) || last === '') return 'linked image'
  try {
    return decodeURIComponent(last)
  } catch {
    return last // not a valid escape: the name has a literal per cent sign
  }
}

/** @throws RequestError saying why it can't be had, and what to do instead */
export async function fetchImage(url: string): Promise<Blob> {
  const { protocol, host } = new URL(url)
  const save = 'Save the image, with a click of the right button on it, and open the file.'
  if (!/^(https?|data|blob):$/.test(protocol)) {
    throw new RequestError(
      'ERR_LINK',
      `Pages can't read addresses that begin with ${quoted(protocol)}. ${save}`,
    )
  }
  const from = host === '' ? 'The address' : printable(host)
  const response = await fetch(url, { credentials: 'omit', referrerPolicy: 'no-referrer' }).catch(
    () => undefined,
  )
  if (!response) {
    throw new RequestError(
      'ERR_LINK',
      `${from} can't be reached, or doesn't let other pages read its images. ${save}`,
    )
  }
  if (!response.ok) throw new RequestError('ERR_LINK', `${from} answers ${response.status}. ${save}`)
  const blob = await response.blob().catch(() => undefined)
  if (!blob) throw new RequestError('ERR_LINK', `The connection to ${from} broke off. Try again. ${save}`)
  if (blob.type.startsWith('text/html')) {
    throw new RequestError('ERR_LINK', `${from} answers with a page, not with an image. ${save}`)
  }
  return blob
}
