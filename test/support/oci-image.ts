import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'

/** What an image is made of: one folder a layer, base first. */
export interface ImageSource {
  readonly layers: readonly string[]
  /** `config` of the image configuration: Cmd, Env, User, … */
  readonly config: Readonly<Record<string, unknown>>
  readonly architecture?: string
  /** Layers as plain tar instead of gzip. */
  readonly plain?: boolean
  /** Folder that keeps packed layers for the next time, by the name of their folder. */
  readonly kept?: { readonly folder: string; readonly names: readonly string[] }
}

/** This machine's architecture as OCI names it. */
export const ARCHITECTURE: string = process.arch === 'x64' ? 'amd64' : process.arch

/**
 * Writes an OCI image layout with one tagged image, packed by GNU tar: what any builder would make.
 * Returns the manifest's digest.
 */
export function writeOciImage(out: string, tag: string, source: ImageSource): string {
  mkdirSync(join(out, 'blobs/sha256'), { recursive: true })
  const layers: { mediaType: string; digest: string; size: number }[] = []
  const diffIds: string[] = []
  for (const folder of source.layers) {
    const { blob, diffId } = packLayer(folder, source)
    diffIds.push(diffId)
    const suffix = source.plain === true ? '' : '+gzip'
    layers.push({
      mediaType: `application/vnd.oci.image.layer.v1.tar${suffix}`,
      ...writeBlob(out, blob),
    })
  }
  const config = writeBlob(
    out,
    Buffer.from(
      JSON.stringify({
        created: '2026-01-01T00:00:00Z',
        architecture: source.architecture ?? ARCHITECTURE,
        os: 'linux',
        config: source.config,
        rootfs: { type: 'layers', diff_ids: diffIds },
      }),
    ),
  )
  const manifest = writeBlob(
    out,
    Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
        layers,
      }),
    ),
  )
  writeFileSync(join(out, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(
    join(out, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [
        {
          mediaType: 'application/vnd.oci.image.manifest.v1+json',
          ...manifest,
          annotations: { 'org.opencontainers.image.ref.name': tag },
        },
      ],
    }),
  )
  return manifest.digest
}

interface PackedLayer {
  readonly blob: Buffer
  readonly diffId: string
}

function packLayer(folder: string, { plain, kept }: ImageSource): PackedLayer {
  const name = basename(folder)
  if (kept?.names.includes(name) !== true) return pack(folder, plain === true)
  const files = ['blob', 'diff-id'].map((suffix) => join(kept.folder, `${name}.${suffix}`))
  const [blobFile = '', diffIdFile = ''] = files
  if (!existsSync(diffIdFile)) {
    const { blob, diffId } = pack(folder, plain === true)
    mkdirSync(kept.folder, { recursive: true })
    // the second file says that the first one is whole
    writeFileSync(`${blobFile}.${process.pid}`, blob)
    renameSync(`${blobFile}.${process.pid}`, blobFile)
    writeFileSync(`${diffIdFile}.${process.pid}`, diffId)
    renameSync(`${diffIdFile}.${process.pid}`, diffIdFile)
  }
  return { blob: readFileSync(blobFile), diffId: readFileSync(diffIdFile, 'utf8') }
}

function pack(folder: string, plain: boolean): PackedLayer {
  const tar = packFolder(folder)
  return { blob: plain ? tar : gzipSync(tar, { level: 6 }), diffId: digestOf(tar) }
}

/** Packs a folder as a layer; deterministic. Owners are as on disk. */
export function packFolder(folder: string): Buffer {
  const temporary = mkdtempSync(join(tmpdir(), 'enclave-cc-tar-'))
  try {
    const file = join(temporary, 'layer.tar')
    execFileSync('tar', [
      '--create',
      '--file',
      file,
      '--directory',
      folder,
      '--sort=name',
      '--mtime=@1700000000',
      '--numeric-owner',
      '--format=pax',
      '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime',
      '--xattrs',
      '.',
    ])
    return readFileSync(file)
  } finally {
    rmSync(temporary, { recursive: true })
  }
}

function writeBlob(out: string, bytes: Buffer): { digest: string; size: number } {
  const digest = digestOf(bytes)
  writeFileSync(join(out, 'blobs/sha256', digest.slice(7)), bytes)
  return { digest, size: bytes.length }
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
