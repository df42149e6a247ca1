// The second style of icons, Noto's: importing this file makes it known. Only scenes of the split style2 show it, so
// that a model's answers about them tell what it knows of things and what it knows of one hand's drawings.

import { addIcons } from '../icons.ts'
import noto from './noto.json' with { type: 'json' }

addIcons('noto', noto)
