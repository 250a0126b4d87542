export { jsonLine, jsonLines } from './json-lines.ts'
