export { readFileAtMost } from './input-file.ts'
