import { type Command, printable } from '#lib/command'
import type { ContainerRecord } from '../record.ts'
import { ContainerStore } from '../store.ts'

/** Members of `ps --json`, in the order of docs/cli.md. */
export function psEntry(record: ContainerRecord): Record<string, unknown> {
  return {
    id: record.id,
    name: record.name,
    image: record.image,
    digest: record.digest,
    command: record.command,
    state: record.state,
    ...(record.exitCode === undefined ? {} : { exitCode: record.exitCode }),
    ...(record.code === undefined ? {} : { code: record.code }),
    createdAt: record.createdAt,
    ...(record.startedAt === undefined ? {} : { startedAt: record.startedAt }),
    ports: [],
    platform: record.platform,
    pid: record.pid,
  }
}

/** `ps`: containers of this node. */
export const ps: Command = {
  path: ['ps'],
  summary: 'List containers',
  options: [
    { flags: '-a, --all', help: 'also those that have ended' },
    { flags: '--no-trunc', help: 'ids and commands in full' },
  ],
  example: 'enclave-cc ps -a',
  run: async (context, input) => {
    const all = new ContainerStore(context.places).list()
    const shown = input.flag('all') ? all : all.filter((record) => record.state !== 'exited')
    if (context.quiet) {
      return {
        document: shown.map(psEntry),
        text: shown.map(({ id }) => (input.flag('no-trunc') ? id : id.slice(0, 12))).join('\n'),
      }
    }
    const full = input.flag('no-trunc')
    const rows = shown.map((record) => [
      full ? record.id : record.id.slice(0, 12),
      printable(record.image),
      printable(
        full || record.command.length <= 24 ? record.command : `${record.command.slice(0, 23)}…`,
      ),
      age(record.createdAt),
      status(record),
      record.name,
    ])
    const head = ['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'NAME']
    return { document: shown.map(psEntry), text: table([head, ...rows]) }
  },
}

function status(record: ContainerRecord): string {
  if (record.state === 'running') return `Up ${age(record.startedAt ?? record.createdAt, false)}`
  if (record.state === 'created') return 'Created'
  const why = record.code === undefined ? '' : ` ${record.code}`
  return `Exited (${record.exitCode ?? 0})${why}`
}

function age(time: string, ago = true): string {
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000))
  const [count, unit] =
    seconds < 90
      ? [seconds, 'second']
      : seconds < 5400
        ? [Math.round(seconds / 60), 'minute']
        : seconds < 129600
          ? [Math.round(seconds / 3600), 'hour']
          : [Math.round(seconds / 86400), 'day']
  return `${count} ${unit}${count === 1 ? '' : 's'}${ago ? ' ago' : ''}`
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd((widths[i] ?? 0) + 3))
        .join('')
        .trimEnd(),
    )
    .join('\n')
}
