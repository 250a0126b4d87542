export { createOpensslOpener } from './openssl-opener.ts'
