export { loopMount } from './loop.ts'
