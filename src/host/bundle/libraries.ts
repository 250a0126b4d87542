import { execFileSync } from 'node:child_process'
import { BundleError } from './bundle-error.ts'

/** The dynamic loader's path inside every image, by architecture. */
export const LOADER: Readonly<Record<string, string>> = {
  x64: '/lib64/ld-linux-x86-64.so.2',
  arm64: '/lib/ld-linux-aarch64.so.1',
}

/**
 * Paths of the shared libraries that `program` loads, the loader among them, sorted. Asks the
 * loader itself, which lists them without running the program. Throws BundleError.
 */
export function librariesOf(program: string, arch: string): readonly string[] {
  const loader = LOADER[arch]
  if (loader === undefined) {
    throw new BundleError('BUNDLE_INPUT_MISSING', `bundles cannot be built on ${arch}`)
  }
  let listing: string
  try {
    listing = execFileSync(loader, ['--list', program], { env: {}, encoding: 'utf8' })
  } catch (cause) {
    const found = `listing the libraries of ${program} failed`
    throw new BundleError('BUNDLE_INPUT_MISSING', found, { cause })
  }
  const paths = new Set([loader])
  for (const line of listing.split('\n')) {
    const [, missing, path] = /^\t(\S+) => (?:not found|(\/\S+))/.exec(line) ?? []
    if (path !== undefined) paths.add(path)
    else if (missing !== undefined) {
      throw new BundleError('BUNDLE_INPUT_MISSING', `${program} needs ${missing}, which is missing`)
    }
  }
  return [...paths].sort()
}
