import { getCACertificates } from 'node:tls'

/**
 * The CA certificates of this machine, PEM; those that node brings along where the machine
 * has none. For the owner's commands: an enclave brings its own list.
 */
export function systemCa(): readonly string[] {
  const system = getCACertificates('system')
  return system.length > 0 ? system : getCACertificates('bundled')
}
