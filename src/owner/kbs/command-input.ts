import { readFile } from 'node:fs/promises'
import type { CommandContext, CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import type { AdminClient } from './admin-client.ts'
import { openAdmin } from './client-places.ts'

const LARGE = 256 * 1024 * 1024

/** Runs `use` with the administration of the broker that the command line means. */
export async function withAdmin<T>(
  context: CommandContext,
  input: CommandInput,
  use: (client: AdminClient) => Promise<T>,
): Promise<T> {
  using admin = await openAdmin(context, input)
  return await use(admin.client)
}

/** The bytes of a file, or of standard input for `-`. Throws CodedError INPUT_UNREADABLE. */
export async function readInput(context: CommandContext, file: string): Promise<Uint8Array> {
  const bytes = file === '-' ? await context.stdin() : await readFileOr(file)
  if (bytes.length > LARGE) throw new CodedError('INPUT_UNREADABLE', `${file} is too large`)
  return bytes
}

/** The bytes of a file. Throws CodedError INPUT_UNREADABLE. */
export async function readFileOr(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file)
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file} failed`, { cause })
  }
}
