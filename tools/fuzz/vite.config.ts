// The fuzzer's child.

import { nodeBundle } from '../node-bundle.ts'

export default nodeBundle('fuzz', 'child')
