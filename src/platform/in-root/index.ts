export { readInRoot } from './in-root.ts'
