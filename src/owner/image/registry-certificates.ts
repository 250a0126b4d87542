import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ImageError } from './image-error.ts'

/** What a certificate directory of containers/image and docker holds. */
export interface RegistryCertificates {
  /** PEM; trusted beside those of the system. */
  readonly ca: readonly string[]
  readonly client: { readonly cert: string; readonly key: string } | undefined
}

const SYSTEM_DIRS = ['/etc/containers/certs.d', '/etc/docker/certs.d']

/**
 * Reads `--cert-dir`, or without it the first directory of the system for this host: `*.crt`
 * are CA certificates, `NAME.cert` with `NAME.key` authenticate the client.
 */
export async function registryCertificates(
  host: string,
  certDir: string | undefined,
): Promise<RegistryCertificates> {
  if (certDir !== undefined) return readDirectory(certDir, true)
  for (const parent of SYSTEM_DIRS) {
    const found = await readDirectory(join(parent, host), false)
    if (found.ca.length > 0 || found.client !== undefined) return found
  }
  return { ca: [], client: undefined }
}

async function readDirectory(directory: string, required: boolean): Promise<RegistryCertificates> {
  const ca: string[] = []
  let client: RegistryCertificates['client']
  try {
    const names = (await readdir(directory)).sort()
    for (const name of names) {
      const path = join(directory, name)
      if (name.endsWith('.crt')) ca.push(await readFile(path, 'utf8'))
      if (!name.endsWith('.cert')) continue
      const keyName = `${name.slice(0, -'.cert'.length)}.key`
      if (!names.includes(keyName)) throw invalid(directory, `${name} has no ${keyName}`)
      client = {
        cert: await readFile(path, 'utf8'),
        key: await readFile(join(directory, keyName), 'utf8'),
      }
    }
  } catch (cause) {
    if (cause instanceof ImageError) throw cause
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
    if (required || code !== 'ENOENT') throw invalid(directory, code)
  }
  return { ca, client }
}

function invalid(directory: string, found: string): ImageError {
  return new ImageError(
    'REGISTRY_CERTIFICATES_INVALID',
    `reading certificates in ${directory}: ${found}`,
  )
}
