import type { BenchDocument, Measured, Row } from './document.ts'

/** A document as a table for people. */
export function table(document: BenchDocument): string {
  const head = ['row', 'ours', 'min..max', 'peer', 'min..max', 'ratio', 'goal', 'met']
  const rows = [head, ...document.rows.map(cells)]
  const widths = head.map((_, i) => Math.max(...rows.map((each) => each[i]?.length ?? 0)))
  const lines = rows.map((each) =>
    each
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  const notes = document.rows.flatMap(({ name, note }) =>
    note === undefined ? [] : [`${name}: ${note}`],
  )
  return `${[`bench ${document.bench}, ${document.rows[0]?.runs ?? 0} runs`, ...lines, ...notes].join('\n')}\n`
}

/** One row as cells: name, ours, spread, peer, spread, ratio, goal, met. */
export function cells(row: Row): string[] {
  const { ours, peer, ratio, goal, unit } = row
  return [
    row.name,
    `${ours.median} ${unit}`,
    spread(ours),
    peer === null ? '' : `${peer.name} ${peer.median} ${unit}`,
    peer === null ? '' : spread(peer),
    ratio === null ? '' : String(ratio),
    goalText(row),
    goal === null ? '' : row.met === null ? 'unclear' : row.met ? 'yes' : 'NO',
  ]
}

function spread({ min, max, samples }: Measured): string {
  return samples.length === 1 ? '' : `${min}..${max}`
}

function goalText({ goal, ratio, unit, better }: Row): string {
  if (goal === null) return ''
  if (ratio !== null) return `≥ ${goal}×`
  return `${better === 'lower' ? '≤' : '≥'} ${goal} ${unit}`
}
