import { openSync } from 'node:fs'
import { ReadStream } from 'node:tty'
import type { CommandContext } from '#lib/command'
import { ProtectError } from './protect-error.ts'

/** Variables that hold a passphrase, in order of preference; an empty value is a passphrase. */
const VARIABLES = ['ENCLAVE_CC_KEY_PASSWORD', 'COSIGN_PASSWORD'] as const

/** What of a command's context a passphrase needs. */
export type PassphraseContext = Pick<CommandContext, 'env' | 'signal' | 'warn'>

/** The passphrase of the environment; undefined if there is none. */
export function environmentPassphrase(env: CommandContext['env']): string | undefined {
  return VARIABLES.map((name) => env[name]).find((value) => value !== undefined)
}

/**
 * The passphrase of an existing key: from the environment, else asked on the terminal. Never
 * from the command line, where every user of the machine can read it. Throws `KEY_PASSPHRASE`
 * where there is neither.
 */
export async function askPassphrase(context: PassphraseContext, what: string): Promise<string> {
  return environmentPassphrase(context.env) ?? (await prompt(`Passphrase of ${what}: `, context))
}

/** The passphrase of a new key; a terminal is asked twice. Throws `KEY_PASSPHRASE`. */
export async function newPassphrase(context: PassphraseContext, what: string): Promise<string> {
  const given = environmentPassphrase(context.env)
  if (given !== undefined) return given
  const first = await prompt(`New passphrase of ${what}: `, context)
  if (first === (await prompt('Again: ', context))) return first
  throw new ProtectError('KEY_PASSPHRASE', 'reading a new passphrase: the two differ', {
    next: 'run the command again',
  })
}

async function prompt(question: string, { signal }: PassphraseContext): Promise<string> {
  signal.throwIfAborted()
  using terminal = openTerminal()
  process.stderr.write(question)
  try {
    return await readLine(terminal.stream, signal)
  } finally {
    process.stderr.write('\n')
  }
}

function openTerminal(): Disposable & { readonly stream: ReadStream } {
  try {
    // Not stdin: that may carry data of the command.
    const stream = new ReadStream(openSync('/dev/tty', 'r'))
    stream.setRawMode(true)
    return {
      stream,
      [Symbol.dispose]: () => {
        stream.setRawMode(false)
        stream.destroy()
      },
    }
  } catch (cause) {
    const message = 'reading a passphrase: none is set and there is no terminal to ask'
    throw new ProtectError('KEY_PASSPHRASE', message, { cause })
  }
}

function readLine(stream: ReadStream, signal: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let line = ''
  stream.setEncoding('utf8')
  stream.on('data', (data) => {
    for (const char of String(data)) {
      if (char === '\r' || char === '\n') return resolve(line)
      // In raw mode the terminal does not turn ^C into a signal.
      if (char === '\u0003' || char === '\u0004') {
        return reject(new ProtectError('INTERRUPTED', 'reading a passphrase: interrupted'))
      }
      line = char === '\u007f' || char === '\b' ? line.slice(0, -1) : line + char
    }
  })
  stream.on('error', reject)
  const abort = (): void => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  return promise.finally(() => signal.removeEventListener('abort', abort))
}
