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
  EROFS_PATH: {
    meaning: 'A path of an image entry leaves the root or holds a NUL.',
    next: 'build the layer again with plain relative paths',
  },
  EROFS_NOT_DIRECTORY: {
    meaning: 'An entry lies below something that is not a directory in the same layer.',
    next: 'build the layer so that it does not write through a symlink or file',
  },
  EROFS_LINK_TARGET: {
    meaning: 'A hard link points at nothing in its layer, at a directory or at itself.',
    next: 'build the layer so that it holds the target of each hard link',
  },
  EROFS_XATTR: {
    meaning: 'An extended attribute has a name that the filesystem cannot store.',
    next: 'remove the attribute from the image',
  },
  EROFS_LIMIT: {
    meaning: 'A layer has more entries, deeper paths or more attributes than the format takes.',
    next: 'split the layer; the limits are in docs/formats/erofs.md',
  },
  EROFS_SIZE: {
    meaning: 'The content of a file is shorter or longer than announced.',
    next: 'build the layer again; if it repeats, its archive is damaged',
  },
  EROFS_INVALID: {
    meaning: 'A filesystem image breaks a rule of the format that we write.',
    next: 'make the image again; never mount this one',
  },
  EROFS_NOT_FOUND: {
    meaning: 'A path does not exist in a layer.',
    next: 'check the path; a file of a lower layer is not in this one',
  },
  EROFS_LOOP: {
    meaning: 'A path of a layer leads through too many symbolic links.',
    next: 'name the file by a path without links',
  },
  TAR_TRUNCATED: {
    meaning: 'An archive ends before its end mark.',
    next: 'build or push the layer again',
  },
  TAR_CHECKSUM: {
    meaning: 'The checksum of an archive header is wrong.',
    next: 'build or push the layer again',
  },
  TAR_INVALID: {
    meaning: 'An archive header holds a value that the format does not allow.',
    next: 'build the layer again with a tool that writes plain ustar, PAX or GNU archives',
  },
  TAR_UNSUPPORTED: {
    meaning: 'An archive holds a kind of entry that layers must not have, such as a sparse file.',
    next: 'build the layer again without it (GNU tar: no --sparse)',
  },
  TAR_LIMIT: {
    meaning: 'An archive has more entries or larger headers than allowed.',
    next: 'split the layer; the limits are in docs/formats/tar.md',
  },
  TAR_TRAILING: {
    meaning: 'Data follows the end of an archive.',
    next: 'build the layer again as one archive',
  },
  LAYER_SPOOL_TAMPERED: {
    meaning: 'The node gave other bytes of a layer at the second reading than at the first.',
    next: 'treat the node storage as edited; start the container again elsewhere',
  },
  LAYER_COMPRESSION: {
    meaning: 'A layer cannot be decompressed: damaged, cut, or followed by other data.',
    next: 'build or push the layer again',
  },
  LAYER_TOO_LARGE: {
    meaning: 'A layer decompresses to more than allowed.',
    next: 'split the layer; the limits are in docs/formats/layer-pipeline.md',
  },
  LAYER_DIFF_ID_MISMATCH: {
    meaning: 'The unpacked layer is not the one that the image configuration names.',
    next: 'treat the image as replaced; push and sign it again from its source',
  },
  LAYER_WHITEOUT: {
    meaning: 'A deletion mark of a layer names nothing, or has entries below it.',
    next: 'build the layer again',
  },
  LAYER_DEVICE: {
    meaning: 'A layer holds character device 0:0, which overlayfs takes for a deletion.',
    next: 'remove the device node from the image',
  },
  LAYER_XATTR: {
    meaning: 'A layer holds an attribute that steers overlayfs.',
    next: 'remove trusted.overlay.* and user.overlay.* attributes from the image',
  },
  LAYER_KEY_INVALID: {
    meaning: 'A layer key is neither the JSON of its format nor 32 bytes.',
    next: 'give the key file that layer seal wrote; the format is in docs/formats/layer-key.md',
  },
  LAYER_NOT_FILE: {
    meaning: 'A path of a layer is not a regular file.',
    next: 'name a regular file; to see a whole tree, mount the image in a container',
  },
} as const

/** A code of `LAYER_CODES`. */
export type LayerTableCode = keyof typeof LAYER_CODES
