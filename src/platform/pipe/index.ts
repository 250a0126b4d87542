export type { Pipe } from './pipe.ts'
export { openPipe } from './pipe.ts'
