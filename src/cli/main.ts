#!/usr/bin/env node
// The bin. Node ends by itself when the command has closed what it opened.

import { main } from './cli.ts'
import { processTerminal } from './process.ts'

const terminal = processTerminal()
process.exitCode = await terminal.finish(await main(process.argv.slice(2), terminal))
