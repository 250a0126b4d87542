// Wrapping, as the owner does it. The enclave's half is `#lib/ocicrypt`.

export type { EncryptedLayer, EncryptLayerOptions, LayerEncryption } from './encrypt-layer.ts'
export { encryptLayer } from './encrypt-layer.ts'
export { encodePrivateOptions, encodePublicOptions } from './options.ts'
export type { EncryptionKey } from './public-key.ts'
export { parseEncryptionKey } from './public-key.ts'
export { wrapJwe } from './wrap-jwe.ts'
export type { LayerRecipients } from './wrap-layer.ts'
export { wrapLayer } from './wrap-layer.ts'
export type { WrapPacketOptions } from './wrap-packet.ts'
export { wrapPacket } from './wrap-packet.ts'
