// Addresses of files, which may hold secrets: a signature or a token in the query, a user's password before the host.
// Messages and caches get the address without these secrets.

import { printable } from '../../printable.ts'

/** Parameters that sign or permit a request, and so differ from visit to visit. */
const SIGNING =
  /^(x-(amz|goog|oss|cos|ms)-.*|awsaccesskeyid|googleaccessid|ossaccesskeyid|.*(signature|token|secret|password|credential|auth).*|(api_?)?key|key-pair-id|expires|policy|hmac|sig|s[vertp]|spr|sip|ske|skt|sks|skv|skoid|sktid)$/i

/** The address for messages and lists: one line, without user, query and fragment. */
export function shownAddress(address: string | URL): string {
  try {
    const { origin, host, protocol, pathname } = new URL(address)
    return printable(origin === 'null' ? `${protocol}//${host}${pathname}` : origin + pathname)
  } catch {
    return printable(String(address).replace(/[?#].*/s, ''))
  }
}

/** The addresses in a text of somebody else's, such as a runtime's error, shown as ours are. */
export function hideSecrets(text: string): string {
  return printable(
    text.replaceAll(/\b[a-z][a-z0-9+.-]*:\/\/[^\s"'<>()]+/gi, (address) => shownAddress(address)),
    400,
  )
}

/** The same for each visit to a file: without what signs the request. */
export function lastingAddress(address: string): string {
  const url = new URL(address)
  url.username = url.password = url.hash = ''
  for (const name of new Set(url.searchParams.keys())) {
    if (SIGNING.test(name)) url.searchParams.delete(name)
  }
  return url.href
}

/** `fetch` refuses addresses with a user in them: here he is a header. */
export function withoutUser(address: string): { url: URL; authorization?: string } {
  const url = new URL(address)
  const { username, password } = url
  if (username === '' && password === '') return { url }
  url.username = url.password = ''
  const pair = new TextEncoder().encode(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`)
  return { url, authorization: `Basic ${btoa(String.fromCharCode(...pair))}` }
}
