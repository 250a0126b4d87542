export type { LoopDevice } from './loop.ts'
export { attachLoop, loopMount } from './loop.ts'
