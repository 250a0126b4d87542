/** Codes of sealed layers, EROFS images, tar archives and the layer pipeline. */
export const LAYER_CODES = {
  SEALED_FORMAT: {
    meaning: 'A sealed layer header does not follow its format.',
    next: 'delete the file; the layer is sealed again from the registry',
  },
  SEALED_MISMATCH: {
    meaning: 'A sealed layer file is not the one its key and root belong to.',
    next: 'treat the node storage as edited; delete the file and start the container again',
  },
  SEALED_CHUNK: {
    meaning: 'A chunk of a sealed layer was edited, moved or cut.',
    next: 'treat the node storage as edited; delete the file and start the container again',
  },
  SEALED_STATE: {
    meaning: 'A sealer was used after its end, or asked to seal the same chunk twice.',
    next: 'report it: a key may seal each chunk only once',
  },
} as const

/** A code of `LAYER_CODES`. */
export type LayerTableCode = keyof typeof LAYER_CODES
