import { once } from 'node:events'
import { collectAtMost } from '#lib/bytes'
import type { CommandContext } from '#lib/command'
import { CodedError } from '#lib/errors'
import { resolveSettings } from './places.ts'
import { helpPages, type Input, parseLine } from './program.ts'
import { type ProgressKind, startProgress } from './progress.ts'
import { reportLines, toExit, toReport } from './report.ts'
import { versionDocument } from './version.ts'

const LEVELS = ['error', 'warn', 'info', 'debug']
const PROGRESS: readonly ProgressKind[] = ['auto', 'plain', 'json']
const FORMATS = ['text', 'json']
const EXIT_PIPE = 141

async function main(argv: readonly string[]): Promise<number> {
  if (process.env.ENCLAVE_CC_HELP_PAGES === '1') {
    process.stdout.write(JSON.stringify([...(await helpPages())]))
    return 0
  }
  const abort = new AbortController()
  let caught: NodeJS.Signals | undefined
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      caught ??= name
      abort.abort(new CodedError('INTERRUPTED', `interrupted by ${name}`))
    })
  }
  // a guess, until the line is parsed: words after the image of `run` are not for us
  let json = argv.slice(0, argv.indexOf('--') >>> 0).includes('--json')
  try {
    const parsed = await parseLine(argv, process.env)
    if (parsed.kind === 'version') {
      const version = versionDocument()
      process.stdout.write(
        json ? `${JSON.stringify(version)}\n` : `enclave-cc ${version.version}\n`,
      )
      return 0
    }
    if (parsed.kind === 'text') {
      const out = parsed.exitCode === 0 ? process.stdout : process.stderr
      out.write(parsed.text)
      return parsed.exitCode
    }
    if (parsed.kind === 'usage') {
      const help = ['enclave-cc', ...parsed.path, '--help'].join(' ')
      throw new CodedError('USAGE', parsed.message, { next: `see ${help}` })
    }
    const { command, input } = parsed
    json = input.globalFlag('json')
    const context = contextOf(input, abort.signal)
    const outcome = await command.run(context, input)
    if (context.json && outcome.document !== undefined) {
      process.stdout.write(`${JSON.stringify(outcome.document)}\n`)
    } else if (outcome.stream !== undefined && !context.json) {
      for await (const piece of outcome.stream) {
        if (!process.stdout.write(piece)) await once(process.stdout, 'drain')
      }
    } else if (outcome.bytes !== undefined && !context.json) {
      process.stdout.write(outcome.bytes)
    } else if (!context.json) {
      const text = outcome.text ?? pretty(outcome.document)
      if (text !== '') process.stdout.write(text.endsWith('\n') ? text : `${text}\n`)
    }
    return outcome.exitCode ?? 0
  } catch (error) {
    process.stderr.write(reportLines(toReport(error), json))
    if (process.env.ENCLAVE_CC_TRACE === '1') console.error(error)
    return toExit(error, caught)
  }
}

function pretty(document: unknown): string {
  return document === undefined ? '' : JSON.stringify(document, null, 2)
}

function contextOf(input: Input, signal: AbortSignal): CommandContext {
  const level = input.global('log-level') ?? 'warn'
  if (!LEVELS.includes(level)) throw new CodedError('USAGE', `--log-level ${level} is unknown`)
  const wanted = input.global('progress') ?? 'auto'
  const kind = PROGRESS.find((word) => word === wanted)
  if (kind === undefined) throw new CodedError('USAGE', `--progress ${wanted} is unknown`)
  const quiet = input.globalFlag('quiet')
  const format = input.global('log-format') ?? 'text'
  if (!FORMATS.includes(format)) {
    throw new CodedError('USAGE', `--log-format ${format} is unknown`)
  }
  return {
    ...resolveSettings((name) => input.global(name), process.env),
    env: process.env,
    signal,
    json: input.globalFlag('json'),
    quiet,
    verbose: input.globalFlag('verbose'),
    program: { dist: __dirname, node: process.execPath, version: versionDocument().version },
    stdout: (chunk) => void process.stdout.write(chunk),
    note: (line) => void (quiet || process.stderr.write(`${line}\n`)),
    warn: (line) => void process.stderr.write(`${line}\n`),
    log(at, fields) {
      if (LEVELS.indexOf(at) > LEVELS.indexOf(level)) return
      const line =
        format === 'json'
          ? JSON.stringify({ time: new Date().toISOString(), level: at, ...fields })
          : `${at}: ${Object.entries(fields)
              .map(([key, value]) => `${key}=${String(value)}`)
              .join(' ')}`
      process.stderr.write(`${line}\n`)
    },
    progress: (label) =>
      startProgress(label, quiet ? { write: () => {} } : process.stderr, () => Date.now(), kind),
    async stdin(max) {
      const bytes = await collectAtMost(process.stdin, max)
      if (bytes !== undefined) return bytes
      const found = `reading standard input: it has over ${max} bytes`
      throw new CodedError('INPUT_UNREADABLE', found)
    },
  }
}

// Whoever reads our output may go away (`| head`): the end of a program by SIGPIPE, without its words.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_PIPE)
  throw error
})
process.stderr.on('error', () => {})

// A defect, and still one report in the shape that scripts expect.
process.on('uncaughtException', (error) => {
  const json = process.argv.includes('--json')
  process.stderr.write(reportLines(toReport(error), json), () => process.exit(1))
})

void main(process.argv.slice(2)).then((code) => {
  process.exitCode = code
})
