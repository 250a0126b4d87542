import { CodedError, type GeneralCode } from '#lib/errors'

/** Codes of the commands about sealed layers, beside those of formats. */
export type LayerCommandCode =
  | GeneralCode
  | 'LAYER_KEY_INVALID'
  | 'LAYER_NOT_FILE'
  | 'SEALED_FORMAT'
  | 'SEALED_MISMATCH'
  | 'SEALED_CHUNK'
  | 'SEALED_STATE'

/** A command about a sealed layer cannot do what it was asked. */
export class LayerCommandError extends CodedError<LayerCommandCode> {
  /** A key that is none is unreadable input: 1 would be the verdict "no" of `layer verify`. */
  get exitCode(): number | undefined {
    return this.code === 'LAYER_KEY_INVALID' ? 2 : undefined
  }
}

/** What an owner does about a sealed file that is not genuine; the table's words are for a node. */
export const NOT_GENUINE =
  'do not use this file; seal the layer again, or fetch it again from where it was made'
