// Where `enclave-cc` starts. Compiling the whole program takes longer than most commands do, so what Node
// made of it the last time is kept beside it, in a folder for this user and this Node; whoever may write
// there may write the program as well. Enclaves never do this: what they execute is measured.
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

enableCompileCache(join(__dirname, '.compiled'))
require('./cli.cjs')
