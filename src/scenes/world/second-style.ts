// The second style of icons, Noto's. Only scenes of the split style2 show it, so that a model's answers about them tell
// what it knows of things and what it knows of one hand's drawings.

import { addIcons } from '../icons.ts'
import noto from './noto.json' with { type: 'json' }

/** Makes the style known: scenes of style2 can be drawn from then on. */
export function addSecondStyle(): void {
  addIcons('noto', noto)
}
