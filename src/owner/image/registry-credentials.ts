import { join } from 'node:path'
import type { Reference } from '#lib/oci'
import {
  type Credential,
  credentialHelper,
  findCredential,
  parseAuthFile,
  parseCredential,
} from '#lib/registry'
import { readFileAtMost } from '#platform/input-file'
import { ImageError } from './image-error.ts'
import type { RegistryAccess } from './registry-access.ts'

const MAX_FILE = 1024 * 1024

/**
 * The credential for an image, from --creds, else from the file that was named, else from the
 * first of skopeo's and docker's files that has one. Credential helpers are programs of
 * others; they are mentioned, never run.
 */
export async function credentialFor(
  reference: Reference,
  access: RegistryAccess,
): Promise<Credential | undefined> {
  if (access.credentials !== undefined) return parseCredential(access.credentials)
  const named = access.authFile ?? (access.env.REGISTRY_AUTH_FILE || undefined)
  for (const path of named === undefined ? defaultFiles(access.env) : [named]) {
    const bytes = await readIfThere(path, named !== undefined)
    if (bytes === undefined) continue
    const file = parseAuthFile(bytes)
    const found = findCredential(file, reference)
    if (found !== undefined) return found
    const helper = credentialHelper(file, reference.host)
    if (helper !== undefined) {
      access.note(`credential helper ${helper} of ${path} is not used; log in with skopeo login`)
    }
  }
  return undefined
}

function defaultFiles(env: RegistryAccess['env']): string[] {
  const { XDG_RUNTIME_DIR: run, XDG_CONFIG_HOME: config, DOCKER_CONFIG: docker, HOME: home } = env
  const files: string[] = []
  if (run) files.push(join(run, 'containers', 'auth.json'))
  if (config) files.push(join(config, 'containers', 'auth.json'))
  else if (home) files.push(join(home, '.config', 'containers', 'auth.json'))
  if (docker) files.push(join(docker, 'config.json'))
  else if (home) files.push(join(home, '.docker', 'config.json'))
  return files
}

async function readIfThere(path: string, required: boolean): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFileAtMost(path, MAX_FILE)
    if (bytes !== undefined) return bytes
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code
    // A file for another user (a runtime directory kept over sudo) is like none.
    if (!required && (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR')) {
      return undefined
    }
    throw new ImageError('INPUT_UNREADABLE', `reading credentials in ${path}: ${code}`, { cause })
  }
  const found = `it has over ${MAX_FILE} bytes`
  throw new ImageError('INPUT_UNREADABLE', `reading credentials in ${path}: ${found}`)
}
