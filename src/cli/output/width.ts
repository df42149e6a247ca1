// Texts are measured in cells of a terminal, and cut to fit.

/** Characters that terminals show two cells wide: East Asian wide and full-width ones, and emoji. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1f9ff}\u{20000}-\u{3fffd}]/u
/** Characters that they draw on the one before: accents, variation selectors, joiners. */
const NOTHING = /[\p{M}\u200c\u200d]/u

function cellsOf(character: string): number {
  return NOTHING.test(character) ? 0 : WIDE.test(character) ? 2 : 1
}

/** Cells that a text takes: 2 per wide character, none per accent. */
export function widthOf(text: string): number {
  let width = 0
  for (const character of text) width += cellsOf(character)
  return width
}

/** At most `room` cells of it, with an ellipsis where something is left out. */
export function cut(text: string, room: number): string {
  if (widthOf(text) <= room) return text
  let shown = ''
  let left = room - 1
  for (const character of text) {
    left -= cellsOf(character)
    if (left < 0) break
    shown += character
  }
  return room > 0 ? `${shown}…` : ''
}
