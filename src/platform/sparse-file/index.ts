export { openUnnamed, punchHole } from './sparse-file.ts'
