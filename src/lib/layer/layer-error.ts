import { CodedError } from '#lib/errors'

/** Codes of the layer pipeline. The host never sees them: the agent shows one for all content. */
export type LayerCode =
  | 'LAYER_SPOOL_TAMPERED'
  | 'LAYER_COMPRESSION'
  | 'LAYER_TOO_LARGE'
  | 'LAYER_DIFF_ID_MISMATCH'
  | 'LAYER_WHITEOUT'
  | 'LAYER_DEVICE'
  | 'LAYER_XATTR'

/** A layer is refused for what is in it. */
export class LayerError extends CodedError<LayerCode> {}
