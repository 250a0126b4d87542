import type { Reading } from './stack.ts'

/** One case of the suite. */
export interface Row {
  readonly name: string
  /** A reading, or the code with which the mount was refused. */
  readonly sealed: Reading | string
  /** The same attack where nothing is authenticated; undefined where that has no such part. */
  readonly twin?: Reading | string
}

/** The rows as aligned text, with a line of sums at the end. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map(({ name, sealed, twin }) => [
    name,
    ...columns(sealed),
    ...(twin === undefined ? ['', '', ''] : columns(twin)),
  ])
  const heads = ['case', 'right', 'refused', 'wrong', 'twin: right', 'refused', 'wrong']
  const all = [heads, ...cells, sums(rows)]
  const widths = heads.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)))
  return all
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function columns(outcome: Reading | string): readonly string[] {
  return typeof outcome === 'string'
    ? ['', outcome, '0']
    : [outcome.right, outcome.refused, outcome.wrong].map(String)
}

function sums(rows: readonly Row[]): readonly string[] {
  const of = (pick: (row: Row) => Reading | string | undefined): readonly string[] => {
    const readings = rows.map(pick).filter((each) => typeof each === 'object')
    return [
      readings.reduce((sum, { right }) => sum + right, 0),
      readings.reduce((sum, { refused }) => sum + refused, 0),
      readings.reduce((sum, { wrong }) => sum + wrong, 0),
    ].map(String)
  }
  return [`${rows.length} cases`, ...of(({ sealed }) => sealed), ...of(({ twin }) => twin)]
}
