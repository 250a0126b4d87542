import { compareBytes, utf8 } from '#lib/bytes'
import {
  type Attributes,
  ErofsError,
  type ErofsWriter,
  quote,
  splitPath,
  type Xattr,
} from '#lib/erofs'
import type { TarEntry } from '#lib/tar'
import { LayerError } from './layer-error.ts'

const WHITEOUT = utf8('.wh.')
const META = utf8('.wh..wh.')
const OPAQUE = utf8('.wh..wh..opq')
const OVERLAY = [utf8('trusted.overlay.'), utf8('user.overlay.')]
const KEPT_PREFIX = utf8('user.')
const KEPT = ['security.capability', 'system.posix_acl_access', 'system.posix_acl_default'].map(
  utf8,
)

/** What a layer held that the filesystem does not. */
export interface Omissions {
  /** Device nodes. */
  devices: number
  /** Extended attributes of namespaces that are not kept. */
  xattrs: number
}

/**
 * Puts one archive entry into the image, by the table of docs/formats/tar.md. Throws LayerError
 * `LAYER_WHITEOUT`, `LAYER_DEVICE`, `LAYER_XATTR`, and what the writer throws.
 */
export async function applyEntry(
  writer: ErofsWriter,
  entry: TarEntry,
  omitted: Omissions,
): Promise<void> {
  const names = splitPath(entry.path)
  const name = names.at(-1)
  if (name === undefined) {
    if (entry.type !== 'directory') {
      throw new ErofsError('EROFS_NOT_DIRECTORY', `unpacking the root: it is a ${entry.type}`)
    }
    writer.addDirectory('', attributesOf(entry, omitted))
    return
  }
  if (applyMarker(writer, names, entry)) return
  switch (entry.type) {
    case 'directory':
      writer.addDirectory(entry.path, attributesOf(entry, omitted))
      break
    case 'file':
      await writer.addFile(entry.path, attributesOf(entry, omitted), entry.size, entry.content)
      break
    case 'symlink':
      await writer.addSymlink(entry.path, entry.linkPath, attributesOf(entry, omitted))
      break
    case 'hardlink':
      writer.addHardlink(entry.path, entry.linkPath)
      break
    case 'fifo':
      writer.addFifo(entry.path, attributesOf(entry, omitted))
      break
    case 'char':
    case 'block':
      if (entry.type === 'char' && entry.major === 0 && entry.minor === 0) {
        const found = 'it is character device 0:0, which overlayfs takes for a deletion'
        throw new LayerError('LAYER_DEVICE', `unpacking ${quote(entry.path)}: ${found}`)
      }
      omitted.devices++
      break
  }
}

/** Whiteouts, opaque marks and the metadata of aufs; false for an ordinary entry. */
function applyMarker(writer: ErofsWriter, names: readonly Uint8Array[], entry: TarEntry): boolean {
  const name = names.at(-1) as Uint8Array
  const above = names.slice(0, -1)
  if (above.some((part) => startsWith(part, META))) return true
  if (above.some((part) => startsWith(part, WHITEOUT))) throw whiteout(entry, 'lies in a whiteout')
  if (!startsWith(name, WHITEOUT)) return false
  if (compareBytes(name, OPAQUE) === 0) {
    writer.setOpaque(join(above))
    return true
  }
  if (startsWith(name, META)) return true
  const target = name.subarray(WHITEOUT.length)
  const isDots = target.every((byte) => byte === 0x2e) && target.length <= 2
  if (isDots) throw whiteout(entry, 'names nothing that can be deleted')
  writer.addWhiteout(join([...above, target]))
  return true
}

function attributesOf(entry: TarEntry, omitted: Omissions): Attributes {
  const { mode, uid, gid, mtime } = entry
  const xattrs: Xattr[] = []
  for (const xattr of entry.xattrs) {
    if (OVERLAY.some((prefix) => startsWith(xattr.name, prefix))) {
      const found = `its attribute ${quote(xattr.name)} would steer overlayfs`
      throw new LayerError('LAYER_XATTR', `unpacking ${quote(entry.path)}: ${found}`)
    }
    const kept =
      startsWith(xattr.name, KEPT_PREFIX) ||
      KEPT.some((name) => compareBytes(name, xattr.name) === 0)
    if (kept) xattrs.push(xattr)
    else omitted.xattrs++
  }
  return { mode, uid, gid, mtime, xattrs }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return compareBytes(bytes.subarray(0, prefix.length), prefix) === 0
}

function join(names: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(names.flatMap((name) => [utf8('/'), name])))
}

function whiteout(entry: TarEntry, found: string): LayerError {
  return new LayerError('LAYER_WHITEOUT', `unpacking ${quote(entry.path)}: it ${found}`)
}
