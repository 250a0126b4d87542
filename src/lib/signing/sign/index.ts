// Signing, as the owner does it. The verifier's half is `#lib/signing`.

export type { KeyFileOptions } from './key-file.ts'
export { isKeyFile, openKeyFile, sealKeyFile } from './key-file.ts'
export { encodePayload } from './payload.ts'
export type { SignatureImage } from './signature-image.ts'
export { addSignature } from './signature-image.ts'
export type { SigningKey } from './signing-key.ts'
export { generateSigningKey, newSigningKey, openSigningKey, signBytes } from './signing-key.ts'
