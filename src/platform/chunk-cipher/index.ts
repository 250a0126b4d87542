export { createOpensslOpener } from './openssl-opener.ts'
export { createOpensslScratchCipher } from './openssl-scratch-cipher.ts'
export { createOpensslSealer } from './openssl-sealer.ts'
