// A plain listener: reads a sentence word by word and points at every object it could mean.
//
// It shares no code with the writer and knows no margins: left is left of the middle, small is under 23
// pixels. Where the writer kept its margins, the listener must end up with one object, the same one.

import { FACTS } from '../../src/scenes/catalogue.ts'
import { type SceneObject, SIZE } from '../../src/scenes/scene.ts'

type Objects = readonly SceneObject[]

const COLOUR = /^(red|orange|yellow|green|blue|purple|brown|black)$/
const PATTERN = /^(plain|striped|dotted)$/
const AXES: Record<string, (o: SceneObject) => number> = {
  left: (o) => o.centre[0],
  right: (o) => -o.centre[0],
  top: (o) => o.centre[1],
  bottom: (o) => -o.centre[1],
}
const MOST: Record<string, (o: SceneObject) => number> = {
  smallest: (o) => o.radius,
  largest: (o) => -o.radius,
  biggest: (o) => -o.radius,
  leftmost: AXES.left as never,
  rightmost: AXES.right as never,
  highest: AXES.top as never,
  lowest: AXES.bottom as never,
}
const RANKS = ['first', 'second', 'third', 'fourth', 'fifth']
const GROUPS: Record<string, string> = { 'piece of clothing': 'clothing', 'piece of furniture': 'furniture' }

export function listen(text: string, objects: Objects): SceneObject[] {
  const fact = FACTS.find(({ wordings }) => wordings.includes(text))
  if (fact) return objects.filter((o) => fact.yes.includes(o.category))

  // Relations: "the A <words> the B"
  const relation = text.match(
    /^(the .+?) (nearest to|closest to|next to|(?:to the )?left of|(?:to the )?right of|above|below|under) (the .+)$/,
  )
  if (relation && !/the (top|bottom)$/.test(text)) {
    const [, head, words, anchor] = relation as unknown as [string, string, string, string]
    const others = listen(anchor, objects)
    if (others.length !== 1) throw new Error(`"${anchor}" means ${others.length} objects`)
    const other = others[0] as SceneObject
    const among = listen(head, objects).filter((o) => o !== other)
    const apart = (o: SceneObject) => Math.hypot(o.centre[0] - other.centre[0], o.centre[1] - other.centre[1])
    if (/nearest|closest/.test(words)) return least(among, apart)
    if (words === 'next to') return among.filter((o) => apart(o) - o.radius - other.radius < 36)
    if (words.endsWith('left of')) return among.filter((o) => o.centre[0] < other.centre[0])
    if (words.endsWith('right of')) return among.filter((o) => o.centre[0] > other.centre[0])
    return among.filter((o) => (words === 'above') === o.centre[1] < other.centre[1])
  }

  // "... that is not X", "... that is X"
  const not = text.match(/^(the .+) that (?:is|are) not (.+)$/)
  if (not) {
    const [, head, what] = not as unknown as [string, string, string]
    const among = listen(head, objects)
    const named = among.filter(matcher(what.replace(/^an? /, '')))
    return among.filter((o) => !named.includes(o))
  }
  const that = text.match(/^(the .+) that is (.+)$/)
  if (that) return listen(that[1] as string, objects).filter(matcher(that[2] as string))

  // Order: "the third A from the left", "the A furthest to the left", "the A closest to the top"
  const order = text.match(/^the (\w+) (.+) from the (left|right|top|bottom)$/)
  if (order) {
    const [, rank, head, side] = order as unknown as [string, string, string, string]
    const along = AXES[side] as (o: SceneObject) => number
    const row = listen(`the ${head}`, objects).sort((a, b) => along(a) - along(b))
    return row.slice(RANKS.indexOf(rank), RANKS.indexOf(rank) + 1)
  }
  const end = text.match(/^(the .+) (?:furthest|closest) to the (left|right|top|bottom)$/)
  if (end) return least(listen(end[1] as string, objects), AXES[end[2] as string] as never)

  // Places and marks: "the A on the left", "the A with dots"
  const place = text.match(/^(the .+) ((?:on|at|in|with) .+)$/)
  if (place) return listen(place[1] as string, objects).filter(matcher(place[2] as string))

  // Adjectives and a noun
  const words = text.replace(/^the /, '').split(' ')
  let noun = words.pop() as string
  if (words.at(-1) === 'of') noun = [...words.splice(-2), noun].join(' ')
  if (words.at(-1) === 'light') noun = `${words.pop()} ${noun}`
  const among = objects.filter(
    (o) => matcher(noun)(o) && words.every((word) => word in MOST || matcher(word)(o)),
  )
  const most = words.find((word) => word in MOST)
  return most ? least(among, MOST[most] as never) : among
}

function matcher(word: string): (o: SceneObject) => boolean {
  const [x, y] = [(o: SceneObject) => o.centre[0] / SIZE, (o: SceneObject) => o.centre[1] / SIZE]
  if (/^(object|thing|one)$/.test(word)) return () => true
  if (COLOUR.test(word)) return (o) => o.colour === word
  if (PATTERN.test(word)) return (o) => o.pattern === word
  if (word === 'with stripes') return (o) => o.pattern === 'striped'
  if (word === 'with dots') return (o) => o.pattern === 'dotted'
  if (/^(small|little)$/.test(word)) return (o) => o.radius < 23
  if (/^(large|big)$/.test(word)) return (o) => o.radius >= 23
  if (/middle|center/.test(word)) return (o) => Math.max(Math.abs(x(o) - 0.5), Math.abs(y(o) - 0.5)) < 0.18
  if (/^(on|at|in) /.test(word)) {
    return (o) =>
      (!/left/.test(word) || x(o) < 0.48) &&
      (!/right/.test(word) || x(o) > 0.52) &&
      (!/top|upper/.test(word) || y(o) < 0.48) &&
      (!/bottom|lower/.test(word) || y(o) > 0.52)
  }
  return (o) => o.category === word || o.group === (GROUPS[word] ?? word)
}

function least(objects: Objects, by: (o: SceneObject) => number): SceneObject[] {
  const best = Math.min(...objects.map(by))
  return objects.filter((o) => by(o) === best)
}
