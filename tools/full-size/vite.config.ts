// The steps of tools/full-size.mjs.

import { nodeBundle } from '../node-bundle.ts'

export default nodeBundle('full-size', 'main')
