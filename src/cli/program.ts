import { Command as Commander, CommanderError, Option } from 'commander'
import type { Command, CommandInput, OptionSpec } from '#lib/command'
import { GLOBAL_OPTIONS } from './globals.ts'
import { GROUPS } from './groups.ts'
import { nearest } from './nearest.ts'

/** A parsed command line: which command, with what; or text to print and leave. */
export type Parsed =
  | { readonly kind: 'command'; readonly command: Command; readonly input: Input }
  | { readonly kind: 'text'; readonly text: string; readonly exitCode: number }
  | { readonly kind: 'usage'; readonly message: string; readonly path: readonly string[] }
  | { readonly kind: 'version' }

/** What `parseLine` found beside the command: also the global flags. */
export interface Input extends CommandInput {
  global(flag: string): string | undefined
  globalFlag(flag: string): boolean
}

/** Parses a command line (without node and script); a flag given last wins. Loads only the group that the line names. */
export async function parseLine(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Parsed> {
  const word = firstWord(argv)
  const commands = word !== undefined ? ((await GROUPS[word]?.load()) ?? []) : []
  let out = ''
  let found: { command: Command; input: Input } | undefined
  const root = new Commander('enclave-cc')
    .description('Confidential containers built on processes')
    .enablePositionalOptions()
    .usage('[flags] COMMAND …')
  addOptions(root, GLOBAL_OPTIONS, env)
  answerVersion(root)
  for (const [name, group] of Object.entries(GROUPS)) {
    if (name !== word) root.command(name).description(group.summary)
  }
  for (const command of commands.filter((c) => c.path[0] === word)) {
    const leaf = node(root, command.path)
      .description(command.summary)
      .addHelpText('after', `\nExample:\n  ${command.example}`)
    for (const operand of command.operands?.split(' ') ?? []) leaf.argument(operand)
    addOptions(leaf, command.options ?? [], env)
    addOptions(leaf, GLOBAL_OPTIONS, env, true)
    answerVersion(leaf)
    if (command.passThrough === true) leaf.passThroughOptions()
    leaf.allowExcessArguments(false)
    leaf.action(() => {
      const options = { ...root.opts(), ...defined(leaf.opts()) }
      found = { command, input: inputOf(command, leaf.processedArgs, options) }
    })
  }
  addGroupExamples(root, commands, word)
  if (word !== undefined) {
    const group = root.commands.find((c) => c.name() === word)
    group?.summary(GROUPS[word]?.summary ?? '')
    if (group !== undefined && group.description() === '') {
      group.description(GROUPS[word]?.summary ?? '')
    }
  }
  settle(root, (text) => {
    out += text
  })
  try {
    await root.parseAsync([...argv], { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    if (error.code === VERSION) return { kind: 'version' }
    if (error.exitCode === 0) return { kind: 'text', text: out, exitCode: 0 }
    if (error.code === 'commander.help') return { kind: 'text', text: out, exitCode: 2 }
    return {
      kind: 'usage',
      message: withNearestGlobal(sentence(error.message)),
      path: word === undefined ? [] : [word],
    }
  }
  if (found !== undefined) return { kind: 'command', ...found }
  return { kind: 'text', text: root.helpInformation(), exitCode: argv.length === 0 ? 0 : 2 }
}

/** The help page of each command, for `docs/cli-reference.md`. */
export async function helpPages(): Promise<ReadonlyMap<string, string>> {
  const pages = new Map<string, string>()
  for (const [word, group] of Object.entries(GROUPS)) {
    for (const command of (await group.load()).filter((c) => c.path[0] === word)) {
      const parsed = await parseLine([...command.path, '--help'], {})
      if (parsed.kind === 'text') pages.set(command.path.join(' '), parsed.text)
    }
  }
  return pages
}

const VERSION = 'enclave-cc.version'

// Seen while the line is parsed, so it works without the operands that a command wants, and is not
// seen among the words that `run` hands to the container.
function answerVersion(to: Commander): void {
  to.addOption(new Option('--version', 'print the version').hideHelp(to.parent !== null))
  to.on('option:version', () => {
    throw new CommanderError(0, VERSION, '')
  })
}

// commander looks for near names among the flags that its help shows, and global ones are not there
function withNearestGlobal(message: string): string {
  const [, flag] = /^unknown option '--([^'=]+)[^']*'$/.exec(message) ?? []
  const near = flag === undefined ? undefined : nearest(flag, GLOBAL_OPTIONS.map(longName))
  return near === undefined ? message : `${message} (Did you mean --${near}?)`
}

function firstWord(argv: readonly string[]): string | undefined {
  const valued = new Set(
    GLOBAL_OPTIONS.filter((o) => o.flags.includes('<')).map((o) => o.flags.split(' ')[0]),
  )
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string
    if (!word.startsWith('-')) return Object.hasOwn(GROUPS, word) ? word : undefined
    if (valued.has(word)) i++
  }
  return undefined
}

function node(root: Commander, path: readonly string[]): Commander {
  let at = root
  for (const word of path) at = at.commands.find((c) => c.name() === word) ?? at.command(word)
  return at
}

/** The help of a group shows how its first command is used. */
function addGroupExamples(
  root: Commander,
  commands: readonly Command[],
  word: string | undefined,
): void {
  const shown = new Set(commands.map(({ path }) => path.join(' ')))
  for (const { path, example } of commands.filter((c) => c.path[0] === word)) {
    for (let length = 1; length < path.length; length++) {
      const prefix = path.slice(0, length)
      if (shown.has(prefix.join(' '))) continue
      shown.add(prefix.join(' '))
      node(root, prefix).addHelpText('after', `\nExample:\n  ${example}`)
    }
  }
}

function addOptions(
  to: Commander,
  specs: readonly OptionSpec[],
  env: Readonly<Record<string, string | undefined>>,
  hidden = false,
): void {
  for (const spec of specs) {
    const option = new Option(spec.flags, spec.help)
    if (to.options.some((o) => o.long === option.long)) continue
    if (hidden) option.hideHelp()
    if (spec.repeat === true) {
      option.argParser((value: string, before: string[] | undefined) => [...(before ?? []), value])
    }
    const filled = spec.env === undefined ? undefined : env[spec.env]
    if (filled) option.default(spec.repeat === true ? [filled] : filled)
    to.addOption(option)
  }
}

function inputOf(
  command: Command,
  operands: readonly unknown[],
  options: Readonly<Record<string, unknown>>,
): Input {
  const declared = new Set((command.options ?? []).map(longName))
  const read = (flag: string): unknown => {
    if (!declared.has(flag)) throw new TypeError(`${command.path.join(' ')} has no --${flag}`)
    // commander reads `--no-x` as the negation of an `x` that is there by itself
    if (flag.startsWith('no-')) return options[attribute(flag.slice(3))] === false
    return options[attribute(flag)]
  }
  return {
    operands: operands.flat().filter((x) => typeof x === 'string'),
    text: (flag) => optionalText(read(flag)),
    flag: (flag) => read(flag) === true,
    list: (flag) => (read(flag) as string[] | undefined) ?? [],
    global: (flag) => optionalText(options[attribute(flag)]),
    globalFlag: (flag) => options[attribute(flag)] === true,
  }
}

function longName(spec: OptionSpec): string {
  return (/--([a-z0-9-]+)/.exec(spec.flags) as RegExpExecArray)[1] as string
}

// commander camel-cases names
function attribute(flag: string): string {
  return flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

function defined(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

function sentence(message: string): string {
  return message
    .replace(/^error: /, '')
    .replaceAll('\n', ' ')
    .trim()
}

function settle(command: Commander, write: (text: string) => void): void {
  command
    .exitOverride()
    .configureOutput({ writeOut: write, writeErr: write, outputError: () => {} })
  for (const child of command.commands) settle(child, write)
}
