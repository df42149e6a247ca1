// Elements, briefly.

type Children = readonly (Node | string | undefined)[]

/** A new element: properties that it has, attributes by their names with a dash or a colon, then what is in it. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<Omit<HTMLElementTagNameMap[K], 'style' | 'dataset'>> &
    Readonly<Record<string, unknown>> = {},
  ...children: Children
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (name.includes('-') || name === 'role' || name === 'for') element.setAttribute(name, value as string)
    else Object.assign(element, { [name]: value })
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

const SVG = 'http://www.w3.org/2000/svg'

/** An element of an SVG picture. */
export function makeSvg(
  tag: string,
  attributes: Readonly<Record<string, string | number>> = {},
  ...children: Children
): SVGElement {
  const element = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value))
  element.append(...children.filter((child) => child !== undefined))
  return element
}

/** An element that index.html has, of a kind if one is named. */
export function byId(id: string): HTMLElement
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T
export function byId(id: string, kind: new () => HTMLElement = HTMLElement): HTMLElement {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`)
  return element
}

/** A small picture, for decoration: what it shows is said beside it. */
export function picture(blob: Blob): HTMLImageElement {
  const url = URL.createObjectURL(blob)
  const image = make('img', { src: url, alt: '', decoding: 'async' })
  image.addEventListener('load', () => URL.revokeObjectURL(url), { once: true })
  return image
}

/** Makes an element as wide as a share of what it is in. */
export function setWidth(element: HTMLElement, share: number): void {
  element.style.width = `${(100 * Math.min(1, Math.max(0, share))).toFixed(1)}%`
}
