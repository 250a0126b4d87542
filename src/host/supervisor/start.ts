// Where a supervisor starts: as `src/cli/start.ts`, with the same folder of compiled code.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

enableCompileCache(join(__dirname, '.compiled'))
require('./supervise.cjs')
